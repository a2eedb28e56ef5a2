"""What other nodes have put beside FlashFace, and how the positive prompt's twin has to run then.

Nothing here knows a node or a pack by name: what counts is the entry of ComfyUI that it uses.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

import comfy.hooks
import comfy.patcher_extension
import torch
from comfy.patcher_extension import WrappersMP

AFTER_ENCODER = ("output_block_patch",)
"""Kinds of patches that see the decoder only."""


class Company(Enum):
    """With whom the twin shares a batch of the UNet."""

    ALL = "all that the guider asked for"
    ALONE = "nobody"
    COPIES = "copies of all but the positive prompt"


def company_of_twin(options: dict[str, Any], positive: list[dict]) -> Company:
    """The company in which patches of others do to the twin what they do to the positive.

    options: the call's transformer options. positive: the entries of the positive prompt.
    """
    patches = options.get("patches", {})
    if _mix_prompts(patches):
        return Company.COPIES
    if patches.get("attn2_patch") or patches.get("attn2_output_patch"):
        return Company.ALONE  # some make a sample for every region of one positive prompt
    if options.get("patches_replace", {}).get("attn2") or any(map(_hooks_patches, positive)):
        return Company.ALONE
    return Company.ALL


def look_into_encoder(
    own: Iterable[Any], wrapper: Any, control: dict | None, options: dict[str, Any]
) -> bool:
    """Whether anything but FlashFace may treat the samples of the encoder differently.

    own: FlashFace's patches. wrapper: its wrapper of the UNet.
    """
    if any(residual is not None for residual in (control or {}).get("input") or ()):
        return True
    if any(options.get("patches_replace", {}).values()):
        return True
    if "optimized_attention_override" in options:
        return True
    for kind, patches in options.get("patches", {}).items():
        if kind not in AFTER_ENCODER and any(patch not in own for patch in patches):
            return True
    wrappers = comfy.patcher_extension.get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)
    return wrappers != [wrapper]


def replace_encoder(unet: Any) -> bool:
    """Whether somebody has put functions or layers of their own into the UNet or its encoder."""
    if _is_replaced(unet):
        return True
    layers = [layer for block in unet.input_blocks for layer in block.children()]
    if any(_is_foreign(layer) for layer in layers):
        return True
    return any(_is_replaced(module) for module in unet.input_blocks.modules())


def _is_foreign(layer: torch.nn.Module) -> bool:
    """Whether a layer is none of core's, such as a motion module; convolutions may be anybody's."""
    known = type(layer).__module__.startswith(("comfy.", "torch."))
    return not known and not isinstance(layer, torch.nn.Conv2d)


def _is_replaced(module: torch.nn.Module) -> bool:
    """Whether a module's forward is not the one that its class was written with.

    A patch that was taken off again leaves the module's own method behind, as an attribute.
    """
    for name in ("forward", "_forward"):
        written = [kind for kind in type(module).__mro__ if name in vars(kind)]
        for kind in written:  # core's layers call those of torch
            scope = getattr(vars(kind)[name], "__globals__", {})
            if scope.get("__name__") != kind.__module__:
                return True
        found = vars(module).get(name)
        if found is not None and (
            not written or getattr(found, "__func__", None) is not vars(written[0])[name]
        ):
            return True
    return False


def _mix_prompts(patches: dict[str, list]) -> bool:
    """Whether a patch may take what one prompt made of the picture from what another made.

    NAG of core does, after self-attention, and expects one of each. Patches that come with another
    before self-attention, such as HyperTile's, only undo there what that one did.
    """
    modules = {getattr(patch, "__module__", None) for patch in patches.get("attn1_patch", ())}
    return any(
        getattr(patch, "__module__", None) not in modules
        for patch in patches.get("attn1_output_patch", ())
    )


def _hooks_patches(entry: dict[str, Any]) -> bool:
    """Whether an entry of conditioning brings patches of its own, as hooks do."""
    hooks = entry.get("hooks")
    return bool(hooks and hooks.get_type(comfy.hooks.EnumHookType.TransformerOptions))
