"""Guidance over whole samplings, and its two scales at one evaluation."""

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
    """Return one guided evaluation after the launch, without rescale, in float64."""
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
