"""Face ReferenceNet: ComfyUI's own UNet with FlashFace's reference weights, run for its features.

It sees the *clean* latents of the face crops at the timestep of the step to come, with the negative
prompt's tokens. Each transformer block of the middle and of decoder blocks 3 to 11 gives its
y = LayerNorm1(x); nothing after the last of them is computed.
docs/ARCHITECTURE.md has the whole picture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import comfy.model_management
import torch
from torch import Tensor

from .features import Features
from .reference import Identity

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

log = logging.getLogger(__name__)

MAX_ROWS = 16
"""Crops x timesteps in one batch: beyond this a batch is no faster, only larger."""


class LastFeature(torch.nn.Module):
    """Stands in for the last transformer block: gives its feature and ends there."""

    def __init__(self, block: Any):
        super().__init__()
        self.norm1 = block.norm1

    def forward(self, x: Tensor, context: Any = None, transformer_options: Any = None) -> Tensor:
        for patch in transformer_options["patches"]["attn1_patch"]:
            patch(self.norm1(x), None, None, transformer_options)
        return x


def cut_tail(unet: Any) -> None:
    """Remove what follows the last feature, and the output head, with their weights."""
    transformer = unet.output_blocks[-1][1]
    transformer.transformer_blocks[0] = LastFeature(transformer.transformer_blocks[0])
    transformer.proj_out = torch.nn.Identity()
    unet.out = torch.nn.Identity()


def in_tail(name: str) -> bool:
    """Whether a UNet weight belongs to what `cut_tail` removes."""
    if name.startswith("out."):
        return True
    _, _, rest = name.partition(".transformer_blocks.0.")
    if not name.startswith("output_blocks.11.1."):
        return False
    return name.startswith("output_blocks.11.1.proj_out.") or bool(rest and "norm1" not in rest)


def block_name(block: tuple[str, int]) -> str:
    """The SD name of the spatial transformer of a UNet block such as ("output", 3)."""
    kind, index = block
    return "middle_block.1" if kind == "middle" else f"{kind}_blocks.{index}.1"


def load(patcher: ModelPatcher, rows: int, identity: Identity) -> None:
    """Have ComfyUI load ReferenceNet alone, with room for a batch of `rows` crops."""
    shape = [rows, *identity.latents.shape[1:]]
    comfy.model_management.load_models_gpu(
        [patcher], memory_required=patcher.memory_required(shape)
    )


def rows_per_batch(patcher: ModelPatcher, identity: Identity) -> int:
    """How many crops x timesteps run at once: all of one timestep, more where they fit."""
    count = identity.latents.shape[0]
    rows = max(count, MAX_ROWS // count * count)
    free = comfy.model_management.get_free_memory(patcher.load_device)
    while rows > count:
        # The model's own estimate: a patcher of dynamic VRAM adds a gigabyte to it.
        if patcher.model.memory_required([rows, *identity.latents.shape[1:]]) < 0.5 * free:
            break
        rows -= count
    return rows


def compute(
    patcher: ModelPatcher, identity: Identity, timesteps: list[int], rows: int
) -> Iterator[tuple[int, Features]]:
    """Yield (timestep, features) for an identity, in batches of at most `rows` crops.

    Features lie on the offload device, in the inference dtype.
    Raises ComfyUI's interrupt between batches.
    """
    if patcher.current_loaded_device() != patcher.load_device:
        # In the middle of a sampling, which has the memory: weights come over one by one.
        patcher.partially_load(patcher.load_device)
    count = identity.latents.shape[0]
    step = max(1, rows // count)
    for start in range(0, len(timesteps), step):
        comfy.model_management.throw_exception_if_processing_interrupted()
        batch = timesteps[start : start + step]
        features = _forward(patcher, identity, batch)
        for index, timestep in enumerate(batch):
            own = slice(index * count, (index + 1) * count)
            yield (
                timestep,
                {
                    name: tensor[own].to(patcher.offload_device, copy=True)
                    for name, tensor in features.items()
                },
            )


@torch.no_grad()
def _forward(patcher: ModelPatcher, identity: Identity, timesteps: list[int]) -> Features:
    model: Any = patcher.model
    device, dtype = patcher.current_loaded_device(), model.get_dtype_inference()
    count = identity.latents.shape[0]
    latents = identity.latents.to(device, dtype).repeat(len(timesteps), 1, 1, 1)
    times = torch.tensor(timesteps, dtype=torch.float32, device=device).repeat_interleave(count)
    context = identity.context.to(device, dtype).expand(len(times), -1, -1)
    features: Features = {}
    log.debug("ReferenceNet runs: %d faces, timesteps %s", count, timesteps)

    def capture(n: Tensor, context_: Any, value: Any, options: dict[str, Any]):
        if options["block"][0] != "input":
            features[block_name(options["block"])] = n
        return n, context_, value

    options = {"patches": {"attn1_patch": [capture]}}
    model.diffusion_model(latents, times, context=context, transformer_options=options)
    return features
