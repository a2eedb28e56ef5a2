"""Run the tests in a real ComfyUI: `python3 scripts/test.py [--comfyui VERSION] [pytest options]`.

Finds or prepares the host (see host.py) and runs pytest with its Python. Everything but --comfyui
is handed to pytest; without a path of your own, all of tests/ runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from setup.comfyui_source import DEFAULT_VERSION, SOURCES
from setup.environment import SetupError, say
from setup.host import PACK, Host, find_host


def has_pytest(host: Host) -> bool:
    """Whether the host's Python can import pytest."""
    found = subprocess.run([str(host.python), "-c", "import pytest"], capture_output=True)
    return found.returncode == 0


def main() -> int:
    """Run pytest and return its exit code."""
    parser = argparse.ArgumentParser(description="Run the tests in a real ComfyUI.")
    parser.add_argument("--comfyui", metavar="VERSION", choices=list(SOURCES))
    options, rest = parser.parse_known_args()
    try:
        host = find_host(options.comfyui, tools=True)
    except SetupError as error:
        say(f"error: {error}")
        return 1
    if not host.prepared and not has_pytest(host):
        tools = PACK / "requirements-dev.txt"
        say(
            f"error: {host.python} has no pytest, and your ComfyUI's Python is not changed by this "
            f"script. Run: {host.python} -m pip install -r {tools}\n"
            f"or test in a prepared one: python3 scripts/test.py --comfyui {DEFAULT_VERSION}"
        )
        return 1
    say(f"testing in ComfyUI {host.version} ({host.root})")
    environment = {**os.environ, "FLASHFACE_COMFYUI_ROOT": str(host.root)}
    environment.pop("PYTHONPATH", None)
    # OpenMP's threads spin while they wait for each other: with tiny networks on a machine that has
    # other work too, that cost ten times the time of the work itself.
    environment.setdefault("OMP_WAIT_POLICY", "passive")
    command = [str(host.python), "-m", "pytest", *rest]
    return subprocess.run(command, cwd=PACK, env=environment).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
