"""Loads a FlashFace checkpoint as what ComfyUI works with: ModelPatchers.

MODEL is ComfyUI's own SD1.5 with FlashFace's fine-tuned UNet (all GroupNorms with eps 1e-6).
FLASHFACE_MODEL holds the rest: ReferenceNet, and an adapter with reference attention and the mask
convolution, each in a patcher of its own, so that ComfyUI places, offloads and counts them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import comfy.model_detection
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import torch
from comfy.model_patcher import ModelPatcher

from ..errors import file_name
from ..files.weights import CheckpointError, cast_weight
from ..loaded import LoadedModel, file_stamp
from .attention import ReferenceAttention
from .checkpoint import Checkpoint, open_checkpoint, open_unet
from .checkpoint.layout import Sizes, reference_blocks
from .referencenet import cut_tail, in_tail

GROUP_NORM_EPS = 1e-6
NORM_GROUPS = 32
SHARED_WITH_UNET = ("time_embed.", "middle_block.")
"""The released code never switches these two for the reference pass: it runs the main UNet's."""


class Adapter(torch.nn.Module):
    """The weights that FlashFace adds to the UNet: reference attention and the mask convolution."""

    def __init__(self, sizes: Sizes, dtype: torch.dtype, device: torch.device):
        super().__init__()
        self.sizes = sizes
        self.blocks = torch.nn.ModuleDict(
            {
                _module_name(block): ReferenceAttention(channels, dtype, device)
                for block, channels in reference_blocks(sizes).items()
            }
        )
        conv: Any = comfy.ops.manual_cast.Conv2d
        self.mask_conv = conv(1, sizes.width, 3, padding=1, bias=False, dtype=dtype, device=device)

    def attention(self, block: str) -> ReferenceAttention | None:
        """The layer of a UNet block such as `output_blocks.3.1`, None without one."""
        name = _module_name(block)
        return self.blocks[name] if name in self.blocks else None  # type: ignore[return-value]


@dataclass(eq=False)
class FlashFaceModel(LoadedModel):
    """What a FLASHFACE_MODEL socket carries.

    fingerprint tells checkpoints and their dtypes apart; it is part of the key of kept features.
    """

    name: str
    sizes: Sizes
    fingerprint: tuple[Any, ...]
    referencenet: ModelPatcher
    adapter: ModelPatcher

    @property
    def title(self) -> str:
        """File and dtype of the weights, which tell two models apart."""
        return f"{self.name} ({str(self.fingerprint[-1]).removeprefix('torch.')})"

    def get_models(self) -> list[ModelPatcher]:
        """All patchers, the largest first."""
        return [self.referencenet, self.adapter]


def load_flashface(
    path: str, dtype: torch.dtype | None = None
) -> tuple[ModelPatcher, FlashFaceModel]:
    """Return (MODEL, FLASHFACE_MODEL) of a checkpoint file.

    dtype: of the weights; None leaves the choice to ComfyUI's settings and the device.
    Raises CheckpointError for a file that is no FlashFace checkpoint.
    """
    checkpoint = open_checkpoint(path)
    if checkpoint.sizes.width % NORM_GROUPS:
        raise CheckpointError(
            f"{file_name(checkpoint.file.path)} is {checkpoint.sizes.width} channels wide, but "
            f"SD1.5's networks are a multiple of {NORM_GROUPS}. Choose another file."
        )
    parts = {kind.name: kind(checkpoint, dtype) for kind in OF_FLASHFACE}
    _fill(checkpoint, list(parts.values()))
    unet, referencenet, adapter = (part.patcher(path) for part in parts.values())
    fingerprint = (*file_stamp(path), parts["unet"].dtype)
    name = os.path.basename(path)
    return unet, FlashFaceModel(name, checkpoint.sizes, fingerprint, referencenet, adapter)


def load_unet(path: str, dtype: torch.dtype | None = None) -> ModelPatcher:
    """MODEL of a file that holds a UNet alone, under the same names and with the same norms.

    Raises CheckpointError for a file without one.
    """
    return load_part(_PlainPart.name, path, dtype)


def load_part(
    name: str, path: str, dtype: torch.dtype | None, disable_dynamic: bool = False
) -> ModelPatcher:
    """One patcher anew: ComfyUI asks for it where it needs an untouched copy of a model."""
    checkpoint = PARTS[name].opened(path)
    part = PARTS[name](checkpoint, dtype)
    _fill(checkpoint, [part])
    return part.patcher(path, disable_dynamic)


class _Part:
    """One of the three networks while it is being loaded: built without memory, then filled."""

    name: str
    opened = staticmethod(open_checkpoint)

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype | None):
        self.asked_dtype = dtype
        self.load_device = comfy.model_management.get_torch_device()
        self.offload_device = comfy.model_management.unet_offload_device()
        config = _config(checkpoint)
        count = sum(torch.Size(shape).numel() for shape in checkpoint.shapes.values()) // 2
        supported = list(config.supported_inference_dtypes)
        self.dtype: torch.dtype = dtype or comfy.model_management.unet_dtype(
            model_params=count, supported_dtypes=supported, weight_dtype=checkpoint.dtype()
        )
        cast = comfy.model_management.unet_manual_cast(self.dtype, self.load_device, supported)
        config.set_inference_dtype(self.dtype, cast)
        self.model, self.target = self.build(config, checkpoint, cast)
        self.model.device = self.offload_device
        self.weights: dict[str, torch.Tensor] = {}

    def build(
        self, config: Any, checkpoint: Checkpoint, cast: torch.dtype | None
    ) -> tuple[torch.nn.Module, Any]:
        """What a ModelPatcher holds, and the module in it that has the weights.

        cast: the dtype that is computed in, None where that is the weights' own.
        """
        model = config.get_model({}, "", device=torch.device("meta"))
        _set_group_norm_eps(model.diffusion_model)
        return model, model.diffusion_model

    def local_name(self, name: str) -> str | None:
        """The network's own name of a checkpoint weight, None where it has no use for it."""
        raise NotImplementedError

    def patcher(self, path: str, disable_dynamic: bool = False) -> ModelPatcher:
        """Give the network its weights, as they are, and wrap it for ComfyUI."""
        missing, unexpected = self.target.load_state_dict(self.weights, strict=False, assign=True)
        assert not missing and not unexpected, f"{self.name}: {missing[:3]}, {unexpected[:3]}"
        self.weights = {}
        self.model.eval().requires_grad_(False)
        kind = ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
        patcher = kind(self.model, load_device=self.load_device, offload_device=self.offload_device)
        patcher.cached_patcher_init = (load_part, (self.name, path, self.asked_dtype))
        return patcher


class _UnetPart(_Part):
    name = "unet"

    def local_name(self, name: str) -> str | None:
        owner, _, rest = name.partition(".")
        return rest if owner == "unet" else None


class _ReferenceNetPart(_Part):
    name = "referencenet"

    def build(self, config, checkpoint, cast):
        model, unet = super().build(config, checkpoint, cast)
        cut_tail(unet)
        return model, unet

    def local_name(self, name: str) -> str | None:
        owner, _, rest = name.partition(".")
        if owner == "unet":
            return rest if rest.startswith(SHARED_WITH_UNET) else None
        return rest if owner == "referencenet" and not in_tail(rest) else None


class _AdapterPart(_Part):
    name = "adapter"

    def build(self, config, checkpoint, cast):
        self.dtype = cast or self.dtype  # small, and sensitive: never stored in 8 bits
        adapter = Adapter(checkpoint.sizes, self.dtype, torch.device("meta"))
        return adapter, adapter

    def local_name(self, name: str) -> str | None:
        owner, _, rest = name.partition(".")
        if owner == "reference_attention":
            block, _, leaf = rest.partition(".to_")
            return f"blocks.{_module_name(block)}.to_{leaf}"
        return name if owner == "mask_conv" else None


class _PlainPart(_UnetPart):
    name = "plain"
    opened = staticmethod(open_unet)


OF_FLASHFACE = (_UnetPart, _ReferenceNetPart, _AdapterPart)
PARTS = {part.name: part for part in (*OF_FLASHFACE, _PlainPart)}


def _fill(checkpoint: Checkpoint, parts: list[_Part]) -> None:
    """Collect every part's weights in one reading; those of the right dtype stay in the file."""
    for name, tensor in checkpoint.tensors():
        cast: dict[torch.dtype, torch.Tensor] = {}
        for part in parts:
            local = part.local_name(name)
            if local is not None:
                if part.dtype not in cast:
                    cast[part.dtype] = cast_weight(
                        checkpoint.file.path, name, tensor, part.dtype, part.offload_device
                    )
                part.weights[local] = cast[part.dtype]


def _config(checkpoint: Checkpoint):
    """ComfyUI's SD1.5 config with the checkpoint's sizes (its detection knows full sizes only)."""
    shapes = {
        name.removeprefix("unet."): torch.empty(shape, device="meta")
        for name, shape in checkpoint.shapes.items()
        if name.startswith("unet.")
    }
    return comfy.supported_models.SD15(comfy.model_detection.detect_unet_config(shapes, ""))


def _set_group_norm_eps(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = GROUP_NORM_EPS


def _module_name(block: str) -> str:
    return block.replace(".", "_")
