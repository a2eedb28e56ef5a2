"""Loads Face2Diffusion's two networks as ComfyUI ModelPatchers, and runs them.

Weights may be stored in 16 bits, but both networks compute in float32, as the authors do: they run
once for a photo, and what they answer stays in the prompt for the whole sampling.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from comfy.model_patcher import ModelPatcher

from ..loaded import LoadedModel, file_stamp
from .networks import Encoder, Mapping
from .weights import MAPPING, MSID, open_weights

BATCH = 16
BATCH_BYTES = 64 * 1024**2  # of activations of `BATCH` faces in the encoder


@dataclass(eq=False)
class Face2DiffusionModel(LoadedModel):
    """What a FACE2DIFFUSION_MODEL socket carries.

    fingerprint tells files apart: only what the same networks made can be mixed.
    """

    name: str
    fingerprint: tuple[Any, ...]
    msid: ModelPatcher
    mapping: ModelPatcher

    def get_models(self) -> list[ModelPatcher]:
        """All patchers, the largest first."""
        return [self.msid, self.mapping]

    def vectors(self, pictures: torch.Tensor) -> torch.Tensor:
        """Identity vectors (B, 1536) float32 on the CPU of `align.network_input`'s answer."""
        network = _loaded(self.msid, BATCH_BYTES)
        parts = pictures.float().split(BATCH)
        return torch.cat([network(part.to(self.msid.load_device)).cpu() for part in parts])

    def words(
        self, vector: torch.Tensor, expression: torch.Tensor | None, strength: float
    ) -> torch.Tensor:
        """The two words (2, 768), float32 on the CPU, of one identity vector (1536).

        expression: (64) or None for the learned neutral one; strength: 0..1, its share.
        """
        network = _loaded(self.mapping, 0)
        device = self.mapping.load_device
        share = torch.tensor([strength], dtype=torch.float32, device=device)
        given = None if expression is None else expression[None].to(device, torch.float32)
        words = network(vector[None].to(device, torch.float32), given, share)
        return torch.cat(words).cpu()


def load_face2diffusion(
    msid: str, mapping: str, dtype: torch.dtype | None = None
) -> Face2DiffusionModel:
    """The model of the two released files, or copies of them as .safetensors.

    dtype: of the stored weights; None keeps the files'.
    Raises CheckpointError for files that are something else, or swapped.
    """
    for path, kind in ((msid, MSID), (mapping, MAPPING)):
        open_weights(path, kind)  # both are checked before one is read
    fingerprint = (file_stamp(msid), file_stamp(mapping))
    name = f"{os.path.basename(msid)}, {os.path.basename(mapping)}"
    return Face2DiffusionModel(
        name, fingerprint, load_network(MSID, msid, dtype), load_network(MAPPING, mapping, dtype)
    )


def load_network(
    kind: str, path: str, dtype: torch.dtype | None, disable_dynamic: bool = False
) -> ModelPatcher:
    """One network's patcher; ComfyUI calls it too, for an untouched copy of a model."""
    weights = open_weights(path, kind).tensors(dtype)
    network: Any = {MSID: Encoder, MAPPING: Mapping}[kind](torch.float32, torch.device("meta"))
    missing, unexpected = network.load_state_dict(weights, strict=False, assign=True)
    assert not missing and not unexpected, f"{kind}: {missing[:3]}, {unexpected[:3]}"
    offload = comfy.model_management.unet_offload_device()
    network.to(offload).eval().requires_grad_(False)
    network.device = offload
    patcher_type = ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    patcher = patcher_type(
        network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=offload,
    )
    patcher.cached_patcher_init = (load_network, (kind, path, dtype))
    return patcher


def _loaded(patcher: ModelPatcher, extra_bytes: int) -> Any:
    comfy.model_management.load_models_gpu([patcher], memory_required=extra_bytes)
    return patcher.model
