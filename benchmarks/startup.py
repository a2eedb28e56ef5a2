"""What the pack adds to ComfyUI's start: `python3 benchmarks/startup.py`.

Imports it in fresh processes, after what ComfyUI itself imports, beside a pack of core's own nodes
of about as many lines (comfy_extras.nodes_custom_sampler); medians, and the modules that are new.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import textwrap
from pathlib import Path

PACK = Path(__file__).resolve().parents[1]
ROUNDS = 5
SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import nodes, comfy_api.latest, importlib.util
before, start = set(sys.modules), time.perf_counter()
spec = importlib.util.spec_from_file_location(
    "pack", {file!r}, submodule_search_locations=[{folder!r}]
)
sys.modules["pack"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
print(time.perf_counter() - start, len(set(sys.modules) - before))
"""


def main() -> None:
    """Measure both in turn and print the medians."""
    sys.path.append(str(PACK / "scripts"))
    from setup.host import find_host

    host = find_host()
    core = host.root / "comfy_extras" / "nodes_custom_sampler.py"
    files = {"this pack": PACK / "__init__.py", "core's custom samplers": core}
    found: dict[str, list[float]] = {name: [] for name in files}
    modules = {}
    for _ in range(ROUNDS):
        for name, file in files.items():
            script = textwrap.dedent(SCRIPT).format(
                root=str(host.root), file=str(file), folder=str(file.parent)
            )
            answer = subprocess.run(
                [str(host.python), "-c", script],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONPATH": ""},
            )
            seconds, count = answer.stdout.split()[-2:]
            found[name].append(float(seconds))
            modules[name] = count
    for name, times in found.items():
        print(f"{name:24} {statistics.median(times):.3f} s, {modules[name]} new modules")


if __name__ == "__main__":
    main()
