"""Guidance over whole samplings, and its two scales at one evaluation."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import (
    LATE,
    NOISE,
    Points,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    promised,
    unchanged,
)
from goldens import relative_error
from written_down import ksampler

BOUND = 1e-5

CFG_PP = [name for name in comfy.samplers.KSampler.SAMPLERS if "cfg_pp" in name]
CFG = 1.5
STEPS = 4


class Promised:
    """A model for samplers that is the formula: each evaluation runs on its own, unguided."""

    def __init__(self, setting: Setting):
        self.setting, self.inner_model = setting, cfg_guider(setting.model, CFG)
        self.inner_model.inner_model = setting.model.model

    def __call__(self, x, sigma, model_options={}, seed=None, **kwargs):  # noqa: B006
        def with_functions(model: ModelPatcher) -> ModelPatcher:
            clone = model.clone()
            for function in model_options.get("sampler_post_cfg_function", ()):
                clone.set_model_sampler_post_cfg_function(function, disable_cfg1_optimization=True)
            return clone

        at = Points([sigma[0]], [x])
        noise = promised(self.setting, with_functions, lambda m: cfg_guider(m, CFG), at)[0]
        return x - sigma[0] * noise.float()


@pytest.mark.parametrize("name", ["euler", "dpmpp_2m", *CFG_PP])
def test_whole_sampling(name, setting: Setting, run_node, record):
    (sigmas,) = run_node(setting.pack["FlashFaceSigmas"], model=setting.model, steps=STEPS)
    sampler: Any = comfy.samplers.sampler_object(name)
    guided = cfg_guider(setting.guided(unchanged), CFG)
    found = guided.sample(NOISE, torch.zeros_like(NOISE), sampler, sigmas, seed=0)
    sampling: Any = setting.model.get_model_object("model_sampling")
    x = sampling.noise_scaling(sigmas[0], NOISE, torch.zeros_like(NOISE), True)
    options = {"extra_args": {"model_options": {}, "seed": 0}, "callback": None, "disable": True}
    expected = sampler.sampler_function(Promised(setting), x, sigmas, **options)
    error = relative_error(found, setting.model.model.process_latent_out(expected))
    record(f"{STEPS} steps: {name}", error)
    assert error < BOUND


def plain(setting: Setting, cfg: float, c: float) -> torch.Tensor:
    """One guided evaluation after the launch, without rescale, in float64."""
    model = setting.guide(setting.apply(setting.model), reference_guidance=c, rescale=0.0)
    return noise_predictions(cfg_guider(model, cfg), points(setting, [LATE])).double()


def test_text_and_identity_are_guided_by_scales_of_their_own(setting: Setting, record):
    """With c varied the output moves along r - y alone, with g varied along y - u alone."""
    at = points(setting, [LATE])
    off, on = (setting.apply(setting.model, strength) for strength in (0.0, 1.2))
    y, r = (noise_predictions(cfg_guider(model, 1.0), at).double() for model in (off, on))
    u = noise_predictions(cfg_guider(off, 0.0), at).double()
    for g in (1.5, 7.5):
        for c in (1.0, 3.2):
            moved_by_c = (plain(setting, g, c) - plain(setting, g, 0.5)) / (c - 0.5)
            record("by c alone", relative_error(moved_by_c, r - y))
            assert relative_error(moved_by_c, r - y) < BOUND
            moved_by_g = (plain(setting, g, c) - plain(setting, 2.5, c)) / (g - 2.5)
            record("by g alone", relative_error(moved_by_g, y - u))
            assert relative_error(moved_by_g, y - u) < BOUND


def test_guidance_that_never_acts_is_spoken_of(setting: Setting, caplog):
    """Once in a sampling, with the number of steps that it needs."""

    def warnings(steps: int, **options: float) -> list[str]:
        caplog.clear()
        ksampler(setting.guide(setting.apply(setting.model), **options), steps=steps)
        return [text for text in caplog.messages if "does not act" in text]

    assert warnings(1) == [
        "FlashFace Guidance does not act in this sampling of 1 step: it starts at 0.25 of the "
        "sampling (launch_percent), and the last step is at 0. Use at least 2 steps, or a "
        "launch_percent of at most 0."
    ]
    assert not warnings(2)
    assert not warnings(1, launch_percent=0.0)
    (text,) = warnings(3, launch_percent=0.8)
    assert "Use at least 5 steps, or a launch_percent of at most 0.666." in text
    assert not warnings(5, launch_percent=0.8) and not warnings(3, launch_percent=0.666)
    for off in ({"launch_percent": 1.0}, {"reference_guidance": 0.0}):
        assert not warnings(1, **off)


def test_the_first_part_of_a_sampling_need_not_act(setting: Setting, caplog):
    """KSampler (Advanced) may leave the rest of the steps to another."""
    model = setting.guide(setting.apply(setting.model))
    sampling: Any = model.get_model_object("model_sampling")
    sigmas = sampling.sigma(torch.tensor([999.0, 900.0]))
    euler = comfy.samplers.sampler_object("euler")
    cfg_guider(model).sample(NOISE, torch.zeros_like(NOISE), euler, sigmas, seed=0)
    assert not caplog.text
