"""The three patches inside ComfyUI's UNet. They read everything from the call's own object.

torch.compile would freeze what it reads of transformer_options, so it is kept out of here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .state import CALL, CAPTURED


@torch.compiler.disable
def capture(n: Tensor, context: Any, value: Any, options: dict[str, Any]):
    """attn1_patch: keep y = LayerNorm1(x) before any other patch reshapes it."""
    if options.get(CALL) is not None:
        options[CAPTURED] = n
    return n, context, value


@torch.compiler.disable
def add_reference_term(x: Tensor, options: dict[str, Any]) -> Tensor:
    """middle_patch: add reference attention after self-attention and all that patches it."""
    call, y = options.get(CALL), options.pop(CAPTURED, None)
    term = call.term(y, options) if call is not None and y is not None else None
    return x if term is None else x + term


@torch.compiler.disable
def add_region(h: Tensor, options: dict[str, Any]) -> Tensor:
    """input_block_patch: conv5([x, m]) = conv4(x) + conv1(m), the second part."""
    call = options.get(CALL)
    if call is None or options["block"] != ("input", 0):
        return h
    term = call.region_term(h)
    return h if term is None else h + term


OWN = (capture, add_region, add_reference_term)


def beside(patches: dict[str, list]) -> dict[str, list]:
    """The patches of a UNet call with ours among them.

    First in their lists, where y is wanted as LayerNorm1 gave it, before HyperTile or ToMe reshape
    it; last behind the middle of a block. Where they are already, they stay.
    """
    if add_region in patches.get("input_block_patch", ()):
        return patches
    return {
        **patches,
        "attn1_patch": [capture, *patches.get("attn1_patch", ())],
        "input_block_patch": [add_region, *patches.get("input_block_patch", ())],
        "middle_patch": [*patches.get("middle_patch", ()), add_reference_term],
    }
