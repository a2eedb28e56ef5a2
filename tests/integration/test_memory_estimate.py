"""ComfyUI's memory estimate at full size, 768 x 768 in fp16, against what a step really takes.

The checkpoint has the official shapes and no content: a file without blocks on the disk, whose
weights stay there. A step's peak is that of the same call of the UNet with meta tensors.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import comfy.sampler_helpers as helpers
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import cfg_guider, random
from host_pack import pack_module
from memory_meter import MemoryMeter
from sampling import cond, evaluate
from standins.shapes import official_shapes
from torch import Tensor
from torch.utils._pytree import tree_map_only

SIDE = 96
"""Of the latent: 768 pixels."""
FACES, TIMESTEP = 4, 500
CARD = 6 * 10**9
PROMPT, NEGATIVE = (cond(random(1, 77, 768, seed=seed)) for seed in (1, 2))
MIB, GIB = 2**20, 2**30


@dataclass
class FullSize:
    """MODEL and FLASHFACE_MODEL of the official sizes, in fp16."""

    model: ModelPatcher
    flashface: Any

    def reference(self, faces: int) -> Any:
        """A reference of so many faces, whose features are kept already."""
        make_reference = pack_module("flashface_core.flashface.reference").make_reference
        made = make_reference(torch.zeros(faces, 4, 28, 28), PROMPT[0][0], faces)
        layout = pack_module("flashface_core.flashface.checkpoint.layout")
        features = {}
        for name, channels in layout.reference_blocks(self.flashface.sizes).items():
            side = 4 if name.startswith("middle") else {320: 28, 640: 14, 1280: 7}[channels]
            features[name] = torch.zeros(faces, side * side, channels, dtype=torch.float16)
        made.identities[0].features.put((self.flashface.fingerprint, TIMESTEP), features)
        return made


def write_empty(file: Path) -> None:
    """Write a safetensors file of fp16 zeros with the official shapes, as a hole in the disk."""
    duplicates = ("encoder.", "middle.", "decoder.", "ref_middle.")
    header: dict[str, Any] = {}
    end = 0
    for name, shape in official_shapes().items():
        if not name.startswith(duplicates):
            start, end = end, end + 2 * math.prod(shape)
            header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + end)


@pytest.fixture(scope="module")
def full(pack, run_node, comfyui_base: Path):
    """The pack's own loader's MODEL and FLASHFACE_MODEL, computing in fp16 as on a GPU."""
    file = comfyui_base / "models" / "flashface" / "official_shapes.safetensors"
    write_empty(file)
    node = pack["FlashFaceModelLoader"]
    model, flashface = run_node(node, model_name=file.name, weight_dtype="fp16")
    for network in (model.model, flashface.referencenet.model):
        network.manual_cast_dtype = None  # a CPU alone would compute in fp32
    for parameter in flashface.adapter.model.parameters():
        parameter.data = parameter.data.half()
    flashface.adapter.size = 0  # counted anew
    assert {p.dtype for p in model.model.diffusion_model.parameters()} == {torch.float16}
    yield FullSize(model, flashface)
    memory.unload_all_models()
    with suppress(PermissionError):  # Windows keeps a file that is still mapped
        file.unlink()


@dataclass
class Step:
    """What a step of a picture needs, in MiB: as ComfyUI estimates it, and at its real peak."""

    estimated: float
    taken: float
    branches: int


@pytest.fixture(scope="module")
def step(full: FullSize, pack, run_node) -> Callable[..., Step]:
    """`step(batch, side, faces, guided)`: faces are of one Apply each; none: plain SD1.5."""

    @cache
    def run(batch: int, side: int, faces: tuple[int, ...] = (), guided: bool = False) -> Step:
        model = full.model
        for count in faces:
            given = {"flashface": full.flashface, "reference": full.reference(count)}
            given |= {"strength": 1.2, "face_region": torch.ones(1, 768, 768)}
            (model,) = run_node(pack["FlashFaceApply"], model=model, **given)
        if guided:
            given = {"launch_percent": 0.0, "strength_before_launch": 0.85, "rescale": 0.5}
            node = pack["FlashFaceGuidance"]
            (model,) = run_node(node, model=model, reference_guidance=3.2, **given)
        needed, call = calls_of(model, random(batch, 4, side, side, seed=3))
        return Step(needed / MIB, peak(model, call) / MIB, call["input"].shape[0] // batch)

    return run


def calls_of(model: ModelPatcher, x: Tensor) -> tuple[float, dict[str, Any]]:
    """ComfyUI's estimate for a sampling, and the call of the UNet that it comes to."""
    model, estimates, calls, estimate = model.clone(), [], [], helpers.estimate_memory

    def spy(*args: Any, **options: Any) -> tuple[float, float]:
        estimates.append(estimate(*args, **options))
        return estimates[-1]

    def keep(apply_model: Any, arguments: dict[str, Any]) -> Tensor:
        calls.append(arguments)
        return torch.zeros_like(arguments["input"])

    model.set_model_unet_function_wrapper(keep)
    memory.unload_all_models()
    with pytest.MonkeyPatch.context() as patch:
        # The formula for GPUs, whose fused attention keeps no matrix of positions by positions.
        patch.setattr(memory, "pytorch_attention_flash_attention", lambda: True)
        patch.setattr(helpers, "estimate_memory", spy)
        evaluate(cfg_guider(model, 7.5, PROMPT, NEGATIVE), x, TIMESTEP)
    (call,), ((needed, _),) = calls, estimates
    return needed, call


def peak(model: ModelPatcher, call: dict[str, Any]) -> int:
    """The bytes that a call of the UNet takes at most, beside weights and inputs."""
    networks = [model.model, *(extra.model for extra in model.get_additional_models())]
    kept = [dict(network.state_dict()) for network in networks]

    def to_meta(value: Any) -> Any:
        return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), value)

    model.pre_run()
    try:
        for network in networks:
            network.to("meta")
        c = {name: to_meta(value) for name, value in call["c"].items()}
        x, timestep = to_meta(call["input"]), to_meta(call["timestep"])
        with torch.no_grad(), MemoryMeter() as meter:
            model.model.apply_model(x, timestep, **c)
    finally:
        model.cleanup()
        for network, weights in zip(networks, kept, strict=True):
            network.load_state_dict(weights, assign=True)
    return meter.peak


SIZES = [(1, 96), (4, 64)]
PEOPLE = [(1,), (FACES,), (8, 8, 8)]


@pytest.mark.parametrize(("batch", "side"), SIZES)
@pytest.mark.parametrize("guided", [False, True], ids=["2 branches", "3 branches"])
@pytest.mark.parametrize("faces", PEOPLE, ids=str)
def test_the_estimate_knows_what_flashface_adds(faces, guided, batch, side, step):
    plain, found = step(batch, side), step(batch, side, faces, guided)
    assert (plain.branches, found.branches) == (2, 3 if guided else 2)
    added, taken = found.estimated - plain.estimated, found.taken - plain.taken
    assert 0 < taken <= added
    assert found.estimated < 2 * found.taken, "nor is room made for what nobody needs"


def test_768_by_768_within_6_gb(full: FullSize, step):
    """4 faces, 3 branches: everything stays loaded at once, ComfyUI's reserve included."""
    found = step(1, SIDE, (FACES,), True)
    weights = {
        "UNet": full.model.model_size(),
        "adapter": full.flashface.adapter.model_size(),
        "ReferenceNet": full.flashface.referencenet.model_size(),
    }
    room = max(
        found.estimated * MIB + memory.extra_reserved_memory(), memory.minimum_inference_memory()
    )
    print({name: f"{size / MIB:.0f} MiB" for name, size in weights.items()}, found)
    assert 3.2 * GIB < sum(weights.values()) < 3.3 * GIB
    assert sum(weights.values()) + room < CARD


def test_referencenet_alone_needs_little_room(full: FullSize):
    """16 crops at once, the most that it runs."""
    rows = pack_module("flashface_core.flashface.referencenet").MAX_ROWS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "pytorch_attention_flash_attention", lambda: True)
        needed = full.flashface.referencenet.memory_required([rows, 4, 28, 28])
    assert full.flashface.referencenet.model_size() + needed < 2.5 * 10**9
