"""Applies a reference to a MODEL: checks that they fit, and installs the patches once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...images import distinct
from ..guidance import Guidance
from ..model import GROUP_NORM_EPS, FlashFaceModel
from . import encoder, wrappers
from .state import ADAPTER, KEY, AppliedReference, set_state, state_of

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

log = logging.getLogger(__name__)


def apply_reference(
    model: ModelPatcher, flashface: FlashFaceModel, applied: AppliedReference
) -> ModelPatcher:
    """A clone of `model` with a reference applied, beside those applied before.

    Raises ValueError where model, FlashFace model, reference and masks do not fit each other.
    """
    _check_model(model, flashface)
    _check_reference(flashface, applied)
    applied = replace(
        applied,
        region=_as_mask("face_region", applied.region),
        attention_mask=_as_mask("attention_mask", applied.attention_mask),
    )
    if applied.attention_mask is not None and not distinct(applied.attention_mask).any():
        log.warning(
            "Apply FlashFace: attention_mask is 0 everywhere, so this reference counts nowhere. "
            "(Load Image gives such a MASK for a photo without transparency.) Connect another "
            "mask, or none."
        )
    state = state_of(model.model_options)
    if state.model is not None and state.model.fingerprint != flashface.fingerprint:
        raise ValueError(
            f"This MODEL already has a reference of {state.model.title} applied, and "
            f"{flashface.title} was given now. Connect the same FLASHFACE_MODEL to every Apply "
            "FlashFace of a MODEL."
        )
    clone = model.clone()
    _install_wrappers(clone)
    if state.model is None:
        _install_adapter(clone, flashface)
    set_state(clone, replace(state, model=flashface, applied=(*state.applied, applied)))
    return clone


def set_guidance(model: ModelPatcher, guidance: Guidance) -> ModelPatcher:
    """A clone of `model` with this guidance, in place of one that was set before."""
    clone = model.clone()
    _install_wrappers(clone)
    set_state(clone, replace(state_of(model.model_options), guidance=guidance))
    return clone


def _install_wrappers(model: ModelPatcher) -> None:
    """Install what both nodes need, once."""
    if KEY in model.wrappers.get(WrappersMP.OUTER_SAMPLE, {}):
        return
    for kind, wrapper in (
        (WrappersMP.OUTER_SAMPLE, wrappers.outer_sample),
        (WrappersMP.PREPARE_SAMPLING, wrappers.prepare_sampling),
        (WrappersMP.PREDICT_NOISE, wrappers.predict_noise),
        (WrappersMP.APPLY_MODEL, wrappers.apply_model),
        (WrappersMP.DIFFUSION_MODEL, encoder.diffusion_model),
    ):
        model.add_wrapper_with_key(kind, KEY, wrapper)


def _install_adapter(model: ModelPatcher, flashface: FlashFaceModel) -> None:
    model.set_additional_models(ADAPTER, [_adapter_beside(model, flashface)])
    factor = model.model.model_config.memory_usage_factor * wrappers.MEMORY_FACTOR
    model.add_object_patch("memory_usage_factor", factor)


def _adapter_beside(model: ModelPatcher, flashface: FlashFaceModel) -> ModelPatcher:
    """The adapter, a copy of its own where the user has put the model on another device."""
    adapter = flashface.adapter
    can_move = hasattr(adapter, "deepclone_multigpu")  # newer than the oldest supported ComfyUI
    if adapter.load_device == model.load_device or not can_move:
        return adapter
    return adapter.deepclone_multigpu(new_load_device=model.load_device)


def _check_model(model: ModelPatcher, flashface: FlashFaceModel) -> None:
    config: dict[str, Any] = getattr(model.model.model_config, "unet_config", {})
    sizes = flashface.sizes
    given = (config.get("model_channels"), config.get("context_dim"), config.get("channel_mult"))
    levels = tuple(given[2] or ())
    if (given[0], given[1], levels) != (sizes.width, sizes.text_width, sizes.multipliers):
        kind = type(model.model.model_config).__name__
        found = f"width {given[0]}, text width {given[1]}" if given[0] else "no UNet at all"
        raise ValueError(
            f"This MODEL is {kind} ({found}), but {flashface.name} needs an SD1.5 UNet of {sizes}. "
            "Connect the MODEL of Load FlashFace Model, or one of another SD1.5 checkpoint."
        )
    if model.model.diffusion_model.input_blocks[1][0].in_layers[0].eps != GROUP_NORM_EPS:
        log.warning(
            "Apply FlashFace: this MODEL is not FlashFace's own. It works, but FlashFace's weights "
            "were trained with the MODEL of Load FlashFace Model; use that, or merge with it."
        )


def _check_reference(flashface: FlashFaceModel, applied: AppliedReference) -> None:
    for identity in applied.reference.identities:
        if identity.text_width != flashface.sizes.text_width:
            raise ValueError(
                f"This reference was encoded with a text width of {identity.text_width}, but "
                f"{flashface.name} needs {flashface.sizes.text_width}. Encode it again, with the "
                "negative prompt of an SD1.5 CLIP."
            )


def _as_mask(name: str, mask: Tensor | None) -> Tensor | None:
    """A MASK, in whichever shape other nodes give it, as (B, H, W) or (H, W) in 0 to 1."""
    if mask is None:
        return None
    shape = list(mask.shape)
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask.squeeze(1)
    elif mask.ndim == 4 and mask.shape[3] == 1:
        mask = mask.squeeze(3)
    if mask.ndim not in (2, 3) or 0 in mask.shape:
        raise ValueError(
            f"{name} must be a MASK of shape (batch, height, width), got {shape}. "
            "Connect the MASK output of Face Region, Load Image or another mask node."
        )
    mask = mask.to(torch.float32)
    low, high = (float(value) for value in distinct(mask).aminmax())
    if low < 0 or high > 1:
        log.warning(
            "Apply FlashFace: %s has values from %g to %g; a MASK has 0 to 1. What is outside "
            "counts as 0 or 1.",
            name,
            low,
            high,
        )
        mask = mask.clamp(0, 1)
    return mask
