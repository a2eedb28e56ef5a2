"""What is measured: samplings in the real ComfyUI, with full-size random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("plain", "reused", "first")
BRANCHES = (2, 3)


@dataclass(frozen=True)
class Case:
    """One line of the table. size: pixels. images: of a batch. references: face crops."""

    size: int = 512
    images: int = 1
    references: int = 4
    steps: int = 1

    def __str__(self) -> str:
        images = f"{self.images} image{'s' * (self.images > 1)}"
        references = f"{self.references} reference{'s' * (self.references > 1)}"
        return f"{self.size} x {self.size}, {images}, {references}"


def write_checkpoint(file: Path) -> None:
    """Write full-size random weights in the official format, without its duplicates."""
    import torch
    from safetensors.torch import save_file
    from standins.shapes import official_shapes

    duplicates = ("encoder.", "middle.", "decoder.", "ref_middle.")
    tensors = {}
    for name, shape in official_shapes().items():
        if not name.startswith(duplicates):
            scale = 0.02 if len(shape) > 1 else 0.0
            tensors[name] = torch.randn(shape) * scale
            if len(shape) == 1 and name.endswith("weight"):
                tensors[name] += 1
    save_file(tensors, file)
    print(f"checkpoint of {file.stat().st_size / 1e9:.2f} GB, fp32", flush=True)


class Model:
    """A loaded FlashFace, plain or compiled by ComfyUI's TorchCompileModel."""

    def __init__(self, file: Path, compiled: bool):
        import host_pack
        import torch

        host_pack.load_pack()
        module = host_pack.pack_module
        self._patch = module("flashface_core.flashface.patch")
        self._guidance = module("flashface_core.flashface.guidance")
        self._applied = module("flashface_core.flashface.patch.state").AppliedReference
        self._make_reference = module("flashface_core.flashface.reference").make_reference
        self.model, self.flashface = module("flashface_core.flashface.model").load_flashface(
            str(file)
        )
        if compiled:
            from comfy_extras.nodes_torch_compile import TorchCompileModel

            (self.model,) = host_pack.run_node(
                TorchCompileModel, model=self.model, backend="inductor"
            )
        self._prompt, self._negative = ([[torch.randn(1, 77, 768), {}]] for _ in range(2))

    def runs(self, case: Case) -> dict[tuple[int, str], Callable[[], None]]:
        """Functions that sample a case, by number of branches and kind."""
        kept = self.fresh_reference(case)
        self.flashface_run(case, 2, kept)  # computes and keeps its features

        def run(branches: int, kind: str) -> Callable[[], None]:
            if kind == "plain":
                return lambda: self.plain_run(case, branches)
            if kind == "reused":
                return lambda: self.flashface_run(case, branches, kept)
            return lambda: self.flashface_run(case, branches, self.fresh_reference(case))

        return {(branches, kind): run(branches, kind) for branches in BRANCHES for kind in KINDS}

    def fresh_reference(self, case: Case) -> Any:
        """A reference whose features nobody computed yet."""
        import torch

        latents = torch.randn(case.references, 4, 28, 28)
        return self._make_reference(latents, self._negative[0][0], case.references)

    def plain_run(self, case: Case, branches: int) -> None:
        """Sample without FlashFace; three predictions come from ComfyUI's own guider for them."""
        import comfy.samplers
        from comfy_extras.nodes_perpneg import Guider_PerpNeg

        if branches == 2:
            guider = comfy.samplers.CFGGuider(self.model)
            guider.set_conds(self._prompt, self._negative)
            guider.set_cfg(7.5)
        else:
            guider = Guider_PerpNeg(self.model)
            guider.set_conds(self._prompt, self._negative, self._negative)
            guider.set_cfg(7.5, 1.0)
        self._sample(case, guider)

    def flashface_run(self, case: Case, branches: int, reference: Any) -> None:
        """Sample with a reference, and with Guidance where there are three branches."""
        import comfy.samplers

        applied = self._applied(reference, 1.2)
        patched = self._patch.apply_reference(self.model, self.flashface, applied)
        if branches == 3:
            schedule = self._guidance.Schedule(None, 3.2, 0.0, 0.85)
            patched = self._patch.set_guidance(patched, self._guidance.Guidance(schedule, 0.5))
        guider = comfy.samplers.CFGGuider(patched)
        guider.set_conds(self._prompt, self._negative)
        guider.set_cfg(7.5)
        self._sample(case, guider)

    def _sample(self, case: Case, guider: Any) -> None:
        import comfy.samplers
        import torch

        noise = torch.randn(case.images, 4, case.size // 8, case.size // 8)
        sampling = self.model.model.model_sampling
        steps = torch.linspace(990, 10, case.steps)
        sigmas = torch.tensor([float(sampling.sigma(t)) for t in steps] + [0.0])
        sampler = comfy.samplers.sampler_object("euler")
        guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, seed=0, disable_pbar=True)
