"""Guidance composes with ComfyUI's guiders and conditioning; composition.py states the formula."""

from __future__ import annotations

from dataclasses import replace

import comfy.hooks
import pytest
import torch
from composes import composes
from composition import (
    EARLY,
    EMPTY,
    LATE,
    NEGATIVE,
    NOISE,
    OTHER,
    PROMPT,
    Setting,
    cfg_guider,
    points,
    random,
    unchanged,
    worst_error,
)
from core_nodes import core_node, run_core, tiny_controlnet
from host_pack import run_node
from sampling import cond

BOUND = 1e-5
ORDERS = ["AG", "GA"]


def without_shortcut(model):
    """A model that computes the negative at cfg 1 too."""
    clone = model.clone()
    clone.disable_model_cfg1_optimization()
    return clone


def dual_cfg(style: str, cfg: float = 5.0, cfg2: float = 3.0, **areas):
    """A maker of core's DualCFGGuider."""

    def make(model):
        return run_core(
            "custom_sampler.DualCFGGuider",
            model=model,
            cond1=cond(PROMPT, **areas.get("positive", {})),
            cond2=cond(OTHER),
            negative=cond(NEGATIVE, **areas.get("negative", {})),
            cfg_conds=cfg,
            cfg_cond2_negative=cfg2,
            style=style,
        )

    return make


def perp_neg(model, cfg: float = 7.5, neg_scale: float = 1.0):
    """Core's PerpNegGuider."""
    return run_core(
        "perpneg.PerpNegGuider",
        model=model,
        positive=cond(PROMPT),
        negative=cond(NEGATIVE),
        empty_conditioning=cond(EMPTY),
        cfg=cfg,
        neg_scale=neg_scale,
    )


def basic(model):
    """Core's BasicGuider."""
    return run_core("custom_sampler.BasicGuider", model=model, conditioning=cond(PROMPT))


def dual_model(model):
    """Core's guider that runs the negative prompt on another model, here the same."""
    return run_core(
        "custom_sampler.DualModelGuider",
        model=model,
        model_negative=model,
        positive=cond(PROMPT),
        negative=cond(NEGATIVE),
        cfg=7.5,
    )


CORNER = {"area": (8, 8, 4, 4)}
GUIDERS = {
    "cfg 7.5": (unchanged, cfg_guider),
    "cfg 1": (unchanged, lambda model: cfg_guider(model, 1.0)),
    "cfg 1, no shortcut": (without_shortcut, lambda model: cfg_guider(model, 1.0)),
    "cfg 0": (unchanged, lambda model: cfg_guider(model, 0.0)),
    "BasicGuider": (unchanged, basic),
    "DualCFG": (unchanged, dual_cfg("regular")),
    "DualCFG at 1": (unchanged, dual_cfg("regular", 1.0, 1.0)),
    "DualCFG nested": (unchanged, dual_cfg("nested")),
    "DualCFG, area on positive": (unchanged, dual_cfg("regular", positive=CORNER)),
    "DualCFG, area on negative": (unchanged, dual_cfg("regular", negative=CORNER)),
    "PerpNeg": (unchanged, perp_neg),
    "PerpNeg, cfg 1, no negative": (unchanged, lambda model: perp_neg(model, 1.0, 0.0)),
}
if core_node("custom_sampler.DualModelGuider") is not None:
    GUIDERS["DualModel"] = (unchanged, dual_model)


@composes("CFGGuider, BasicGuider, DualCFGGuider, PerpNegGuider, DualModelGuider")
@pytest.mark.parametrize("timestep", [EARLY, LATE])
@pytest.mark.parametrize("name", GUIDERS)
def test_guiders(name, timestep, setting: Setting, record):
    patch, guider = GUIDERS[name]
    error = worst_error(setting, patch, guider, points(setting, [timestep]), ["fAG", "AGf", "GAf"])
    record(f"guiders: {name}", error)
    assert error < BOUND


def mask(columns: slice) -> torch.Tensor:
    """A mask of a 128 x 128 picture that is one in some columns."""
    made = torch.zeros(1, 128, 128)
    made[:, :, columns] = 1
    return made


def conditioned(positive: list, negative: list | None = None):
    """A maker of the ordinary guider with a positive, and a negative prompt."""
    return lambda model: cfg_guider(model, 7.5, positive, negative)


LEFT, RIGHT = cond(PROMPT, mask=mask(slice(0, 64))), cond(OTHER, mask=mask(slice(64, 128)))
RANGED = {"start_percent": 0.4, "end_percent": 0.8}
CONDITIONING = {
    "two prompts": conditioned(cond(PROMPT) + cond(OTHER, strength=0.7)),
    "two negatives": conditioned(cond(PROMPT), cond(NEGATIVE) + cond(OTHER)),
    "area on positive": conditioned(cond(OTHER) + cond(PROMPT, **CORNER)),
    "only an area on positive": conditioned(cond(PROMPT, **CORNER)),
    "only an area on negative": conditioned(cond(PROMPT), cond(NEGATIVE, **CORNER)),
    "areas on both": conditioned(cond(PROMPT, area=(8, 8, 0, 0)), cond(NEGATIVE, **CORNER)),
    "masks": conditioned(LEFT + RIGHT),
    "timestep range": conditioned(cond(PROMPT) + cond(OTHER, **RANGED)),
    "out of range": conditioned(cond(PROMPT, end_percent=0.3) + cond(OTHER)),
    "default": conditioned(LEFT + cond(OTHER, default=True)),
    "another length": conditioned(cond(torch.cat([PROMPT, OTHER], dim=1))),
    "longer negative": conditioned(cond(PROMPT), cond(torch.cat([NEGATIVE, OTHER], dim=1))),
}


@composes("Conditioning Combine, Set Area, Set Mask and Set Timestep Range")
@pytest.mark.parametrize("name", CONDITIONING)
def test_conditioning(name, setting: Setting, record):
    at = points(setting, [LATE])
    error = worst_error(setting, unchanged, CONDITIONING[name], at, ORDERS)
    record(f"conditioning: {name}", error)
    assert error < BOUND


@pytest.mark.parametrize("name", ["two prompts", "areas on both", "masks", "longer negative"])
def test_batches(name, setting: Setting, record):
    at = points(setting, [LATE], random(3, 4, 16, 12, seed=11))
    error = worst_error(setting, unchanged, CONDITIONING[name], at, ORDERS)
    record(f"batches: {name}", error)
    assert error < BOUND


@pytest.mark.parametrize("name", ["two prompts", "area on positive", "areas on both", "masks"])
def test_region_and_attention_mask(name, setting: Setting, record):
    placed = {"face_region": mask(slice(30, 90)), "attention_mask": mask(slice(0, 80))}
    at = points(setting, [LATE], random(2, 4, 16, 16, seed=15))
    error = worst_error(replace(setting, options=placed), unchanged, CONDITIONING[name], at, ORDERS)
    record(f"region and mask: {name}", error)
    assert error < BOUND


@pytest.mark.parametrize("name", ["cfg 7.5", "DualCFG", "PerpNeg"])
def test_little_memory(name, setting: Setting, record, unet_batches, monkeypatch):
    at = points(setting, [LATE], NOISE)
    patch, guider = GUIDERS[name]
    monkeypatch.setattr("comfy.model_management.get_free_memory", lambda *_, **__: 0)
    error = worst_error(setting, patch, guider, at, ORDERS)
    assert set(unet_batches) == {1}
    record(f"little memory: {name}", error)
    assert error < BOUND


@composes("LoRA hooks with keyframes")
@pytest.mark.parametrize("side", ["positive", "negative", "both"])
def test_lora_hooks(side, setting: Setting, record):
    name = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_v"
    lora = {
        f"{name}.lora_down.weight": random(4, 64, seed=30),
        f"{name}.lora_up.weight": random(128, 4, seed=31),
    }
    hooked = {"hooks": comfy.hooks.create_hook_lora(lora, 1.0, 0.0)}
    positive = cond(PROMPT, **(hooked if side != "negative" else {}))
    negative = cond(NEGATIVE, **(hooked if side != "positive" else {}))
    at = points(setting, [LATE])
    error = worst_error(setting, unchanged, conditioned(positive, negative), at, ORDERS)
    record(f"LoRA hooks: {side}", error)
    assert error < BOUND


@composes("ControlNet")
@pytest.mark.parametrize("side", ["positive", "both", "both, one network"])
def test_controlnet(side, setting: Setting, record):
    control = tiny_controlnet(setting.model)
    picture, positive, negative = torch.rand(1, 128, 128, 3), cond(PROMPT), cond(NEGATIVE)
    given = {"control_net": control, "image": picture, "strength": 0.8}
    if side == "positive":
        both = {"positive": positive, "negative": negative, "start_percent": 0, "end_percent": 1}
        positive, _ = run_node(core_node("ControlNetApplyAdvanced"), **both, **given)
    elif side == "both":
        (positive,) = run_node(core_node("ControlNetApply"), conditioning=positive, **given)
    else:
        both = {"positive": positive, "negative": negative, "start_percent": 0, "end_percent": 1}
        positive, negative = run_node(core_node("ControlNetApplyAdvanced"), **both, **given)
    at = points(setting, [LATE])
    error = worst_error(setting, unchanged, conditioned(positive, negative), at, ORDERS)
    record(f"ControlNet: {side}", error)
    assert error < BOUND
