"""What a denoising step costs, and what loading takes: `python3 benchmarks/step.py`.

Full-size random weights, one process, the variants in turn, several rounds; the median of each, and
ratios to the plain UNet with as many branches. Needs about 8 GB of disk and 16 GB of memory.

    plain    ComfyUI's SD1.5 without FlashFace
    reused   FlashFace, reference features kept from an earlier picture
    first    FlashFace, ReferenceNet run for every step
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve()
PACK = HERE.parents[1]


def main() -> None:
    """Set up the host, then run this file again inside it."""
    parser = argparse.ArgumentParser(description="What a denoising step costs.")
    parser.add_argument("--size", type=int, default=512, help="pixels, default 512")
    parser.add_argument("--references", type=int, default=4, help="face crops, default 4")
    parser.add_argument("--steps", type=int, default=2, help="steps of a run, default 2")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all variants, default 3")
    parser.add_argument("--comfyui", help="version, default the newest known")
    parser.add_argument(
        "--measure-load", nargs=2, metavar=("FILE", "DTYPE"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if "FLASHFACE_COMFYUI_ROOT" not in os.environ:
        sys.path.append(str(PACK / "scripts"))
        from host import find_host

        host = find_host(options.comfyui, tools=True)
        environment = {**os.environ, "FLASHFACE_COMFYUI_ROOT": str(host.root)}
        command = [str(host.python), str(HERE), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=environment).returncode)
    sys.path.append(str(PACK / "tests"))
    import host_pack

    host_pack.enter_comfyui(host_pack.BASE)
    if options.measure_load:
        measure_load(*options.measure_load)
        return
    with tempfile.TemporaryDirectory(prefix="flashface-benchmark-") as folder:
        file = Path(folder) / "flashface.safetensors"
        write_checkpoint(file)
        report_loading(file)
        report_steps(file, options)


def write_checkpoint(file: Path) -> None:
    """Write full-size random weights in the official format, without its duplicates."""
    import torch
    from safetensors.torch import save_file
    from standin_shapes import official_shapes

    duplicates = ("encoder.", "middle.", "decoder.", "ref_middle.")
    tensors = {}
    for name, shape in official_shapes().items():
        if not name.startswith(duplicates):
            scale = 0.02 if len(shape) > 1 else 0.0
            tensors[name] = torch.randn(shape) * scale
            if len(shape) == 1 and name.endswith("weight"):
                tensors[name] += 1
    save_file(tensors, file)
    print(f"checkpoint of {file.stat().st_size / 1e9:.2f} GB, fp32")


def report_loading(file: Path) -> None:
    """Load in fresh processes, as ComfyUI on a CPU and in half precision."""
    for dtype in ("default", "fp16"):
        subprocess.run([sys.executable, str(HERE), "--measure-load", str(file), dtype], check=True)


def measure_load(file: str, dtype: str) -> None:
    """Print seconds and peak memory of loading; in a process of its own."""
    import host_pack
    import torch

    host_pack.load_pack()
    load = host_pack.pack_module("flashface_core.model").load_flashface
    start = time.perf_counter()
    with PeakMemory() as memory:
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


class PeakMemory:
    """The most memory that this process gains while open, mapped files included; in bytes."""

    def __enter__(self) -> "PeakMemory":
        import psutil

        self._process = psutil.Process()
        self._start = self._process.memory_info().rss
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, self._process.memory_info().rss - self._start)


def report_steps(file: Path, options: argparse.Namespace) -> None:
    """Time all variants in turn and print medians and ratios."""
    runs = make_runs(file, options)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append((time.perf_counter() - start) / options.steps)
    print(f"{options.size} x {options.size}, {options.references} references, s per step")
    for branches in (2, 3):
        plain = statistics.median(seconds[f"plain {branches}"])
        for kind in ("plain", "reused", "first"):
            found = seconds[f"{kind} {branches}"]
            middle = statistics.median(found)
            print(
                f"  {branches} branches, {kind:7} {middle:7.2f}  ({min(found):.2f} to "
                f"{max(found):.2f})   {middle / plain:.2f} x plain"
            )
    more = statistics.median(seconds["reused 3"]) / statistics.median(seconds["reused 2"])
    print(f"  3 branches, reused, are {more:.2f} x 2 branches, reused")


def make_runs(file: Path, options: argparse.Namespace) -> dict:
    """Return functions that sample `steps` steps, by the name of their variant."""
    import comfy.samplers
    import host_pack
    import torch
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    host_pack.load_pack()
    module = host_pack.pack_module
    patch, guidance = module("flashface_core.patch"), module("flashface_core.guidance")
    applied_reference = module("flashface_core.patch.state").AppliedReference
    make_reference = module("flashface_core.reference").make_reference
    model, flashface = module("flashface_core.model").load_flashface(str(file))
    noise = torch.randn(1, 4, options.size // 8, options.size // 8)
    prompt, negative = ([[torch.randn(1, 77, 768), {}]] for _ in range(2))
    steps = torch.linspace(990, 10, options.steps)
    sigmas = torch.tensor([float(model.model.model_sampling.sigma(t)) for t in steps] + [0.0])

    def sample(guider) -> None:
        sampler = comfy.samplers.sampler_object("euler")
        guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, seed=0, disable_pbar=True)

    def plain(branches: int) -> None:
        if branches == 2:
            guider = comfy.samplers.CFGGuider(model)
            guider.set_conds(prompt, negative)
            guider.set_cfg(7.5)
        else:  # ComfyUI's own guider with three predictions
            guider = Guider_PerpNeg(model)
            guider.set_conds(prompt, negative, negative)
            guider.set_cfg(7.5, 1.0)
        sample(guider)

    def flashface_run(branches: int, reference) -> None:
        patched = patch.apply_reference(model, flashface, applied_reference(reference, 1.2))
        if branches == 3:
            schedule = guidance.Schedule(None, 3.2, 0.0, 0.85)
            patched = patch.set_guidance(patched, guidance.Guidance(schedule, 0.5))
        guider = comfy.samplers.CFGGuider(patched)
        guider.set_conds(prompt, negative)
        guider.set_cfg(7.5)
        sample(guider)

    def fresh():
        latents = torch.randn(options.references, 4, 28, 28)
        return make_reference(latents, negative[0][0], options.references)

    kept = fresh()
    flashface_run(2, kept)  # also warms up: memory, threads, kept features
    runs = {}
    for branches in (2, 3):
        runs[f"plain {branches}"] = lambda branches=branches: plain(branches)
        runs[f"reused {branches}"] = lambda branches=branches: flashface_run(branches, kept)
        runs[f"first {branches}"] = lambda branches=branches: flashface_run(branches, fresh())
    return runs


if __name__ == "__main__":
    main()
