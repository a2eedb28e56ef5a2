"""Apply and Guidance under every sampler, scheduler and sampler node of ComfyUI."""

from __future__ import annotations

import comfy.model_management
import comfy.samplers
import pytest
import torch
from composition import (
    EMPTY,
    NEGATIVE,
    NOISE,
    PROMPT,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    random,
    unchanged,
)
from core_nodes import core_node, run_core
from host_pack import pack_module
from sampling import cond

LATENT = {"samples": torch.zeros(1, 4, 8, 8)}
STEPS = 4
GIVEN = {"positive": cond(PROMPT), "negative": cond(NEGATIVE)}
KSAMPLER = {"seed": 0, "steps": STEPS, "cfg": 7.5, **GIVEN, "latent_image": LATENT}


@pytest.fixture(scope="module")
def guided(setting: Setting):
    """A MODEL with Apply and Guidance."""
    return setting.guided(unchanged)


def ksampler(run_node, model, sampler_name="euler", scheduler="normal", **more) -> torch.Tensor:
    """The latents of core's KSampler node."""
    given = {**KSAMPLER, "sampler_name": sampler_name, "scheduler": scheduler, **more}
    return run_node(core_node("KSampler"), model=model, **given)[0]["samples"]


@pytest.mark.parametrize("name", comfy.samplers.KSampler.SAMPLERS)
def test_every_sampler(name, guided, run_node):
    assert torch.isfinite(ksampler(run_node, guided, name)).all()


@pytest.mark.parametrize("name", comfy.samplers.KSampler.SCHEDULERS)
def test_every_scheduler(name, guided, run_node):
    assert torch.isfinite(ksampler(run_node, guided, scheduler=name)).all()


@pytest.mark.parametrize("name", ["dpm_2", "dpm_fast", "dpmpp_sde", "seeds_2", "seeds_3"])
def test_samplers_between_the_scheduled_sigmas_get_their_features(name, setting: Setting, run_node):
    """What ReferenceNet did not compute ahead is computed when met, and kept."""
    latents = setting.reference.identities[0].latents
    fresh = pack_module("flashface_core.flashface.reference").make_reference(latents, EMPTY, 4)
    model = setting.guide(
        setting.run_node(
            setting.pack["FlashFaceApply"],
            model=setting.model,
            flashface=setting.flashface,
            reference=fresh,
            strength=1.2,
        )[0]
    )
    first = ksampler(run_node, model, name)
    assert torch.isfinite(first).all()
    assert torch.equal(first, ksampler(run_node, model, name))


def test_two_halves_make_the_whole(guided, run_node):
    given = {
        "model": guided,
        "noise_seed": 0,
        "steps": 6,
        "cfg": 7.5,
        "sampler_name": "euler",
        "scheduler": "normal",
        **GIVEN,
    }

    def part(latent, add_noise, start, end, leftover):
        return run_node(
            core_node("KSamplerAdvanced"),
            **given,
            latent_image=latent,
            add_noise=add_noise,
            start_at_step=start,
            end_at_step=end,
            return_with_leftover_noise=leftover,
        )[0]

    whole = part(LATENT, "enable", 0, 10000, "disable")["samples"]
    half = part(LATENT, "enable", 0, 3, "enable")
    both = part(half, "disable", 3, 10000, "disable")["samples"]
    assert (both - whole).abs().max() < 1e-4 * whole.abs().max()


def test_sampler_custom_is_ksampler(guided, run_node):
    sampler = run_core("custom_sampler.KSamplerSelect", sampler_name="euler")
    sigmas = run_core(
        "custom_sampler.BasicScheduler", model=guided, scheduler="normal", steps=STEPS, denoise=1.0
    )
    custom = run_core(
        "custom_sampler.SamplerCustom",
        model=guided,
        add_noise=True,
        noise_seed=0,
        cfg=7.5,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=LATENT,
        **GIVEN,
    )
    advanced = run_core(
        "custom_sampler.SamplerCustomAdvanced",
        noise=run_core("custom_sampler.RandomNoise", noise_seed=0),
        guider=run_core("custom_sampler.CFGGuider", model=guided, cfg=7.5, **GIVEN),
        sampler=sampler,
        sigmas=sigmas,
        latent_image=LATENT,
    )
    expected = ksampler(run_node, guided)
    assert torch.equal(custom["samples"], expected)
    assert torch.equal(advanced["samples"], expected)


@pytest.mark.parametrize("denoise", [0.5, 1.0])
def test_img2img_and_a_noise_mask(denoise, guided, run_node):
    latent = {"samples": random(2, 4, 8, 8, seed=50), "noise_mask": torch.zeros(1, 1, 64, 64)}
    latent["noise_mask"][..., 32:] = 1
    found = ksampler(run_node, guided, denoise=denoise, latent_image=latent)
    assert torch.allclose(found[..., :4], latent["samples"][..., :4], atol=1e-4)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[..., 4:], latent["samples"][..., 4:], atol=1e-2)


def run_interrupted(model) -> None:
    """Sample until the user interrupts in the second step."""

    def callback(step, denoised, x, total):
        if step == 1:
            comfy.model_management.interrupt_current_processing()
        comfy.model_management.throw_exception_if_processing_interrupted()

    sampler = comfy.samplers.sampler_object("euler")
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 6)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        cfg_guider(model).sample(
            NOISE, torch.zeros_like(NOISE), sampler, sigmas, callback=callback, seed=0
        )


def test_after_an_interrupt_a_run_is_as_before(guided, run_node):
    before = ksampler(run_node, guided)
    run_interrupted(guided)
    assert torch.equal(ksampler(run_node, guided), before)


def test_an_interrupt_before_the_first_step_stops_referencenet(setting: Setting, run_node):
    latents = setting.reference.identities[0].latents
    fresh = pack_module("flashface_core.flashface.reference").make_reference(latents, NEGATIVE, 4)
    model = Setting(**{**vars(setting), "reference": fresh}).guided(unchanged)
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        ksampler(run_node, model)
    assert torch.isfinite(ksampler(run_node, model)).all()


def test_the_original_model_is_as_before(setting: Setting, guided, run_node):
    applied = setting.apply(setting.model)
    at = points(setting, [900, 500])
    before = [noise_predictions(cfg_guider(m), at) for m in (setting.model, applied)]
    ksampler(run_node, guided, "dpmpp_2m_sde")
    run_interrupted(guided)
    after = [noise_predictions(cfg_guider(m), at) for m in (setting.model, applied)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert "flashface" not in setting.model.model_options["transformer_options"]


DIP = [(0.0, 1.0), (0.4, 0.0), (0.7, 0.0), (1.0, 1.0)]
PROMISES = {
    "launch at 0.25": {},
    "launch at once": {"launch_percent": 0.0},
    "no launch": {"launch_percent": 1.0},
    "launch beside a rounded timestep": {"launch_percent": 0.26717},
    "no guidance": {"reference_guidance": 0.0},
    "guidance curve": {"guidance_curve": DIP},
    "strength curve": {"strength_curve": DIP, "launch_percent": 0.0},
}


@pytest.mark.parametrize("name", PROMISES)
def test_a_run_takes_the_evaluations_that_the_drawing_promised(
    name, setting: Setting, run_node, unet_batches
):
    numbers = {"reference_guidance": 3.2, "launch_percent": 0.25, **PROMISES[name]}
    (schedule,) = run_node(
        setting.pack["FlashFaceSchedule"],
        preset="custom",
        strength=1.2,
        strength_before_launch=0.85,
        **numbers,
    )
    model = setting.guide(setting.apply(setting.model), schedule=schedule)
    (sigmas,) = run_node(setting.pack["FlashFaceSigmas"], model=model, steps=30)
    run_core(
        "custom_sampler.SamplerCustom",
        model=model,
        add_noise=True,
        noise_seed=0,
        cfg=7.5,
        sampler=run_core("custom_sampler.KSamplerSelect", sampler_name="euler"),
        sigmas=sigmas,
        latent_image=LATENT,
        **GIVEN,
    )
    promised = pack_module("flashface_core.flashface.schedule_drawing").evaluations(schedule)
    assert sum(unet_batches) == promised
