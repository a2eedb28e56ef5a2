"""FlashFace beside the ways in which packs for identity and style patch a UNet's attention.

Each patch here does what such a pack's code does, through the same entries of ComfyUI, with random
weights: own keys and values for extra tokens, told apart by prompt with cond_or_uncond.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import NEGATIVE, PROMPT, Setting, random
from core_nodes import core_node, run_core, tiny_controlnet
from host_pack import run_node
from sampling import cond
from torch import Tensor
from written_down import GUIDED_ORDERS, ksampler, with_flashface

BOUND = 1e-5
ORDERS = ("fA", "Af", *GUIDED_ORDERS)
TOKENS = random(2, 4, 64, seed=100)
"""Extra tokens of the positive and of the negative prompt."""

WIDTHS = {("input", 4): 64, ("middle", 0): 128, ("output", 5): 128, ("output", 9): 32}
"""Channels of some blocks of the tiny UNet, of its encoder and of its decoder."""


def tokens_of(rows: int, options: dict[str, Any]) -> Tensor:
    """The extra tokens of every sample, (rows, 4, 64), by prompt."""
    chosen = TOKENS[options["cond_or_uncond"]]
    return chosen.repeat_interleave(rows // len(chosen), dim=0)


class ExtraTokens:
    """One block's attention to extra tokens: weights for their keys and values."""

    def __init__(self, width: int, seed: int):
        self.to_k, self.to_v = random(2, width, 64, seed=seed) / 8

    def __call__(self, q: Tensor, options: dict[str, Any]) -> Tensor:
        tokens = tokens_of(q.shape[0], options)
        k, v = tokens @ self.to_k.T, tokens @ self.to_v.T
        return optimized_attention(q, k, v, options["n_heads"])


def each_block(install: Callable[[ModelPatcher, tuple[str, int], ExtraTokens], None]):
    """A patch that installs extra tokens in some blocks of a model."""

    def patch(model: ModelPatcher) -> ModelPatcher:
        clone = model.clone()
        for seed, (block, width) in enumerate(WIDTHS.items(), start=101):
            install(clone, block, ExtraTokens(width, seed))
        return clone

    return patch


@each_block
def attn2_replace(model: ModelPatcher, block: tuple[str, int], extra: ExtraTokens) -> None:
    def replaced(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        return optimized_attention(q, k, v, options["n_heads"]) + 0.7 * extra(q, options)

    model.set_model_attn2_replace(replaced, *block)


@each_block
def attn2_output_patch(model: ModelPatcher, block: tuple[str, int], extra: ExtraTokens) -> None:
    def added(out: Tensor, options: dict[str, Any]) -> Tensor:
        here = options["block"] == block
        return out + 0.7 * extra(out, options) if here else out

    model.set_model_attn2_output_patch(added)


def attn2_patch(model: ModelPatcher) -> ModelPatcher:
    """Text attention to more tokens than the prompt's, in all blocks."""

    def more(n: Tensor, context: Tensor, value: Tensor, options: dict[str, Any]):
        tokens = tokens_of(n.shape[0], options)
        return n, torch.cat([context, tokens], dim=1), torch.cat([value, tokens], dim=1)

    clone = model.clone()
    clone.set_model_attn2_patch(more)
    return clone


@composes("IPAdapter-style patches (attn2 replace, patch and output patch)")
@pytest.mark.parametrize(
    "patch",
    [attn2_replace, attn2_output_patch, attn2_patch],
    ids=["replace", "output patch", "patch"],
)
def test_ipadapter_style(patch, setting: Setting, plain, record):
    error = with_flashface(setting, patch, orders=ORDERS, unlike=plain)
    record("composition: IPAdapter-style", error)
    assert error < BOUND


@composes("InstantID-style patches (attn2 replace and a ControlNet with its own prompt)")
@pytest.mark.parametrize("with_negative", [True, False])
def test_instantid_style(with_negative, setting: Setting, plain, record):
    prompts = [cond(PROMPT), cond(NEGATIVE)]
    positive, negative = run_node(
        core_node("ControlNetApplyAdvanced"),
        positive=prompts[0],
        negative=prompts[1],
        control_net=tiny_controlnet(setting.model),
        image=random(1, 128, 128, 3, seed=110).sigmoid(),
        strength=0.8,
        start_percent=0.0,
        end_percent=1.0,
    )
    for (entry,), tokens in zip((positive, negative), TOKENS, strict=True):
        entry[1]["cross_attn_controlnet"] = tokens[None]

    def sample(model: ModelPatcher) -> Tensor:
        return ksampler(
            model, positive=positive, negative=negative if with_negative else prompts[1]
        )

    error = with_flashface(setting, attn2_replace, sample, ("fA", "Af", "fAG", "AGf"), plain)
    record("composition: InstantID-style", error)
    assert error < BOUND


@each_block
def wrapped_forward(model: ModelPatcher, block: tuple[str, int], extra: ExtraTokens) -> None:
    """Wrap the forward of a block, as patches do that know no entry of ComfyUI for their place."""
    kind, index = block
    path = "middle_block.1" if kind == "middle" else f"{kind}_blocks.{index}.1"
    path = f"diffusion_model.{path}.transformer_blocks.0.forward"
    forward = model.get_model_object(path)

    def wrapped(x: Tensor, context: Tensor | None = None, transformer_options: Any = None):
        options = transformer_options or {}
        out = forward(x, context, options)
        return out + 0.5 * extra(out, {**options, "n_heads": 8})

    model.add_object_patch(path, wrapped)


@composes("PuLID-style patches (forward of single blocks wrapped)")
def test_pulid_style(setting: Setting, plain, record):
    error = with_flashface(setting, wrapped_forward, orders=ORDERS, unlike=plain)
    record("composition: PuLID-style", error)
    assert error < BOUND


@composes("PuLID-style patches (forward of single blocks wrapped)")
def test_pulid_style_beside_ipadapter_style(setting: Setting, plain, record):
    def patch(model: ModelPatcher) -> ModelPatcher:
        return attn2_output_patch(
            wrapped_forward(run_core("freelunch.FreeU", model=model, **FREEU))
        )

    error = with_flashface(setting, patch, orders=("fA", "Af", "fAG", "AGf"), unlike=plain)
    record("composition: PuLID-style, IPAdapter-style and FreeU", error)
    assert error < BOUND


FREEU = {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}
