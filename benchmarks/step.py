"""What a denoising step costs, and what loading takes: `python3 benchmarks/step.py`.

Full-size random weights, one process, the variants in turn, several rounds; the median of each, and
ratios to the plain UNet with as many branches. Needs about 8 GB of disk and 16 GB of memory.

    plain    ComfyUI's SD1.5 without FlashFace
    reused   FlashFace, reference features kept from an earlier picture
    first    FlashFace, ReferenceNet run for every step

Several sizes, images or references make a table of all their combinations. The default takes about
five minutes on two cores; every measurement is printed as it stands.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve()
PACK = HERE.parents[1]


def main() -> None:
    """Set up the host, then run this file again inside it."""
    options = parse()
    if "FLASHFACE_COMFYUI_ROOT" not in os.environ:
        sys.path.append(str(PACK / "scripts"))
        from setup.host import find_host

        host = find_host(options.comfyui, tools=True)
        environment = {**os.environ, "FLASHFACE_COMFYUI_ROOT": str(host.root)}
        environment["OMP_WAIT_POLICY"] = "passive"
        command = [str(host.python), str(HERE), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment).returncode)
    sys.path.append(str(PACK / "tests" / "helpers"))
    import host_pack

    host_pack.enter_comfyui(host_pack.BASE, () if options.cuda else ("--cpu",))
    if options.measure_load:
        measure_load(*options.measure_load)
        return
    with tempfile.TemporaryDirectory(prefix="flashface-benchmark-") as folder:
        file = Path(folder) / "flashface.safetensors"
        from variants import Case, Model, write_checkpoint

        print("writing full-size random weights ...", flush=True)
        write_checkpoint(file)
        if not options.quick:
            report_loading(file)
        print("loading them for the steps ...", flush=True)
        model = Model(file, options.compile)
        for size, images, count in product(options.size, options.images, options.references):
            report_steps(model, Case(size, images, count, options.steps), options)


def parse() -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description="What a denoising step costs.")
    several = {"type": int, "nargs": "+"}
    parser.add_argument("--size", **several, default=[512], help="pixels, default 512")
    parser.add_argument("--images", **several, default=[1], help="of a batch, default 1")
    parser.add_argument("--references", **several, default=[4], help="face crops, default 4")
    parser.add_argument("--steps", type=int, default=1, help="steps of a run, default 1")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of all variants, default 2")
    parser.add_argument("--memory", action="store_true", help="also the peak memory of a step")
    parser.add_argument("--cuda", action="store_true", help="on the GPU, as ComfyUI is set up")
    parser.add_argument("--compile", action="store_true", help="through TorchCompileModel")
    parser.add_argument(
        "--quick", action="store_true", help="steps alone: no loading, no operations counted"
    )
    parser.add_argument("--profile", action="store_true", help="also what the time goes into")
    parser.add_argument("--comfyui", help="version, default the newest known")
    parser.add_argument(
        "--measure-load", nargs=2, metavar=("FILE", "DTYPE"), help=argparse.SUPPRESS
    )
    return parser.parse_args()


def report_loading(file: Path) -> None:
    """Load in fresh processes, as ComfyUI on a CPU and in half precision."""
    for dtype in ("default", "fp16"):
        subprocess.run([sys.executable, str(HERE), "--measure-load", str(file), dtype], check=True)


def measure_load(file: str, dtype: str) -> None:
    """Print seconds and peak memory of loading; in a process of its own."""
    import time

    import host_pack
    import torch
    from measure import ProcessMemory

    host_pack.load_pack()
    load = host_pack.pack_module("flashface_core.flashface.model").load_flashface
    start = time.perf_counter()
    with ProcessMemory() as memory:
        model, flashface = load(file, torch.float16 if dtype == "fp16" else None)
    seconds = time.perf_counter() - start
    patchers = [model, *flashface.get_models()]
    storages = {
        p.untyped_storage().data_ptr() + p.storage_offset(): p.numel() * p.element_size()
        for patcher in patchers
        for p in patcher.model.parameters()
    }
    kept, peak = sum(storages.values()), memory.peak
    print(
        f"loading, weights {dtype:7}: {seconds:5.1f} s, weights kept {kept / 1e9:.2f} GB, peak "
        f"{peak / 1e9:.2f} GB (limit {kept / 1e9 + 1:.2f} GB)"
    )


def report_steps(model, case, options: argparse.Namespace) -> None:
    """Measure all variants of a case in turn, a line for each measurement; then their table."""
    from measure import operations, peak_memory, seconds, time_shares

    print(f"{case}: preparing the features of *reused*", flush=True)
    runs = model.runs(case)
    counted, memory, found = {}, {}, {name: [] for name in runs}
    for name, run in runs.items():  # which also warms up
        note = ""
        if options.quick:
            run()
        else:
            counted[name] = operations(run) / case.steps
            note = f"{counted[name] / 1e12:.2f} TFLOP"
        if options.memory:
            memory[name] = peak_memory(run)
            note += f", peak +{memory[name] / 1e6:.0f} MB"
        print(f"  once     {title(name)}  {note}", flush=True)
    for number in range(1, options.rounds + 1):
        for name, run in runs.items():
            found[name].append(seconds(run) / case.steps)
            print(f"  round {number}  {title(name)}  {found[name][-1]:8.4f} s", flush=True)
    print(f"{case}: per step")
    middle = {name: statistics.median(times) for name, times in found.items()}
    for name, times in found.items():
        plain = (name[0], "plain")
        work = ""
        if counted:
            more = counted[name] / counted[plain]
            work = f"  {counted[name] / 1e12:6.2f} TFLOP, {more:.2f} x"
        peak = f"   peak +{memory[name] / 1e6:.0f} MB" if memory else ""
        print(
            f"  {title(name)} {middle[name]:8.4f} s  ({min(times):.4f} to {max(times):.4f})   "
            f"{middle[name] / middle[plain]:.2f} x plain{work}{peak}",
            flush=True,
        )
        if options.profile:
            shares = time_shares(runs[name]).items()
            print("      " + ", ".join(f"{family} {share:.0%}" for family, share in shares))
    more = middle[3, "reused"] / middle[2, "reused"]
    print(f"  3 branches, reused, are {more:.2f} x 2 branches, reused", flush=True)


def title(name: tuple[int, str]) -> str:
    """A variant's name, as wide as the others."""
    branches, kind = name
    return f"{branches} branches, {kind:7}"


if __name__ == "__main__":
    main()
