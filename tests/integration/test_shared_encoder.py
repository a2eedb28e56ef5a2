"""The positive prompt and its twin share the UNet's encoder wherever nothing else looks into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from composition import (
    EARLY,
    LATE,
    OTHER,
    PROMPT,
    Patch,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    random,
    unchanged,
)
from core_nodes import run_core, tiny_controlnet
from host_pack import pack_module
from sampling import cond
from torch import Tensor

BOUND = 1e-5
LEFT = (torch.arange(128) < 64).float().expand(1, 128, 128)
PICTURE = random(1, 128, 128, 3, seed=50).abs().clamp(0, 1)


@pytest.fixture
def unshared(monkeypatch) -> Callable[[], None]:
    """Call it, and every sample has an encoder of its own from then on."""
    encoder = pack_module("flashface_core.flashface.patch.encoder")
    return lambda: monkeypatch.setattr(encoder, "_sources", lambda call, options: None)


def predict(setting: Setting, patch: Patch = unchanged, *, side: int = 16, **prompts) -> Tensor:
    noise = random(prompts.pop("batch", 1), 4, side, side, seed=60)
    guider = cfg_guider(setting.guided(patch), **prompts)
    return noise_predictions(guider, points(setting, [LATE], noise))


def controlled(setting: Setting) -> list:
    network = tiny_controlnet(setting.model)
    given = {"control_net": network, "image": PICTURE, "strength": 0.8}
    return run_core("ControlNetApply", conditioning=cond(PROMPT), **given)


def freeu(model):
    return run_core("freelunch.FreeU", model=model, b1=1.1, b2=1.2, s1=0.9, s2=0.2)


def hypertile(model):
    given = {"tile_size": 64, "swap_size": 2, "max_depth": 0, "scale_depth": False}
    return run_core("hypertile.HyperTile", model=model, **given)


CASES = {
    "plain": {},
    "batch of 2": {"batch": 2},
    "two prompts": {"positive": cond(PROMPT) + cond(OTHER, strength=0.5)},
    "area": {"positive": cond(PROMPT) + cond(OTHER, area=(16, 8, 0, 0), strength=1.0)},
    "ControlNet": {"positive": controlled},
    "FreeU": {"patch": freeu},
}


@pytest.mark.parametrize("placed", [False, True], ids=["", "region and mask"])
@pytest.mark.parametrize("name", CASES)
def test_the_prediction_is_the_same(
    name: str, placed: bool, setting: Setting, encoder_batches, unet_batches, unshared
):
    options = {"face_region": LEFT, "attention_mask": LEFT} if placed else {}
    people = replace(setting, options=options)
    case = dict(CASES[name])
    if case.get("positive") is controlled:
        case["positive"] = controlled(setting)
    found = predict(people, **case)
    assert sum(encoder_batches) < sum(unet_batches)
    shared = sum(encoder_batches)
    unshared()
    expected = predict(people, **case)
    assert sum(encoder_batches) - shared > shared
    assert (found - expected).abs().max() < BOUND * expected.abs().max()


def test_the_encoder_runs_on_two_samples_of_three(setting: Setting, encoder_batches, unet_batches):
    predict(setting)
    assert (encoder_batches, unet_batches) == ([2], [3])


def test_without_a_twin_nothing_is_left_out(setting: Setting, encoder_batches, unet_batches):
    guider = cfg_guider(setting.guided(unchanged))
    noise_predictions(guider, points(setting, [EARLY]))
    assert (encoder_batches, unet_batches) == ([2], [2])


def test_what_looks_into_the_encoder_sees_every_sample(
    setting: Setting, encoder_batches, unet_batches
):
    predict(setting, hypertile)
    assert (encoder_batches, unet_batches) == ([3], [3])


def test_a_patch_that_was_taken_off_again_leaves_sharing_on(setting: Setting, encoder_batches):
    block = "diffusion_model.input_blocks.1.0"

    def wrapped(model):
        forward = model.get_model_object(block).forward
        model = model.clone()
        model.add_object_patch(f"{block}.forward", lambda *given: forward(*given))
        return model

    predict(setting, wrapped)
    predict(setting)
    assert encoder_batches == [3, 2]


def test_residuals_for_the_encoder_reach_every_sample(setting: Setting, encoder_batches):
    """T2I adapters add to input blocks."""
    seen = []

    def with_residual(apply_model, given):
        residual = random(1, 32, 16, 16, seed=61).to(given["input"].device)
        residual = residual.expand(given["input"].shape[0], -1, -1, -1)
        control = {"input": [residual, None], "middle": [], "output": []}
        seen.append(given["input"].shape[0])
        return apply_model(given["input"], given["timestep"], **{**given["c"], "control": control})

    def patch(model):
        model = model.clone()
        model.set_model_unet_function_wrapper(with_residual)
        return model

    assert (predict(setting, patch) - predict(setting)).abs().max() > 1e-3
    assert (seen, encoder_batches) == ([3], [3, 2])
