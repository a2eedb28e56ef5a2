"""Guidance composes with caches, context windows, other UNets, and further nodes of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from composes import composes
from composition import (
    EARLY,
    EMPTY,
    LATE,
    NEGATIVE,
    PROMPT,
    STRENGTH,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    random,
    rescaled,
    unchanged,
    worst_error,
)
from core_nodes import SKIPPING, inpaint_model, run_core, takes, windows
from sampling import cond

BOUND = 1e-5


@composes("EasyCache")
def test_easycache_with_skipped_steps(setting: Setting, record, unet_batches):
    """Everything after the second step is skipped, so that r, y and u are all taken from caches."""

    def patch(model):
        return run_core("easycache.EasyCacheNode", model=model, **SKIPPING)

    at = points(setting, [700, 680, 660, 640])
    error = worst_error(setting, patch, cfg_guider, at)
    assert len(unet_batches) == 2 * (3 + 6)
    record("patches: EasyCache, skipped steps", error)
    assert error < BOUND


@composes("Context windows")
@pytest.mark.parametrize("fuse", ["pyramid", "relative"])
@pytest.mark.parametrize(("dim", "length"), [(0, 3), (3, 12)], ids=["frames", "columns"])
def test_context_windows(dim, length, fuse, setting: Setting, record):
    at = points(setting, [LATE], random(4 if dim == 0 else 1, 4, 16, 16, seed=13))
    positive = cond(PROMPT) + cond(EMPTY, strength=0.5)

    def guider(model):
        return cfg_guider(model, 7.5, positive)

    error = worst_error(setting, windows(dim, length, fuse), guider, at, ["fAG", "AGf"])
    record("patches: context windows", error)
    assert error < BOUND


def test_in_context_windows_every_frame_keeps_its_mask(setting: Setting):
    stripes = (torch.arange(128) // 21 == torch.arange(6)[:, None]).float()
    placed = stripes[:, None].expand(6, 128, 128)
    people = replace(setting, options={"face_region": placed, "attention_mask": placed})
    at = points(setting, [EARLY, LATE], random(6, 4, 16, 16, seed=16))
    whole = noise_predictions(cfg_guider(people.guided(unchanged)), at)
    found = noise_predictions(cfg_guider(people.guided(windows(0, 3, "pyramid"))), at)
    assert (found - whole).abs().max() < BOUND * whole.abs().max()


@pytest.mark.skipif(
    not takes("context_windows.ContextWindowsManualNode", "latent_retain_index_list"),
    reason="this ComfyUI retains no latents",
)
def test_a_retained_frame_keeps_its_mask_in_every_window(setting: Setting):
    """The second window shows frames 0, 4 and 5: its prediction is theirs, masks included."""
    stripes = (torch.arange(128) // 21 == torch.arange(6)[:, None]).float()
    placed = stripes[:, None].expand(6, 128, 128)
    noise = random(6, 4, 16, 16, seed=16)

    def predict(patch, frames: list[int]) -> torch.Tensor:
        options = {"face_region": placed[frames], "attention_mask": placed[frames]}
        people = replace(setting, options=options)
        at = points(setting, [EARLY, LATE], noise[frames])
        model = people.guide(people.apply(patch(people.model)), rescale=0.0)
        noises = noise_predictions(cfg_guider(model), at)
        return torch.stack(
            [x - n * s for x, n, s in zip(at.latents, noises, at.sigmas, strict=True)]
        )

    retaining = windows(0, 3, "flat", 0, latent_retain_index_list="0")
    found = predict(retaining, list(range(6)))[:, 3:]
    expected = predict(unchanged, [0, 4, 5])
    assert (found - expected).abs().max() < BOUND * expected.abs().max()


def test_windows_of_columns_show_their_part_of_the_masks(setting: Setting):
    """The right half in a window of its own is a picture of that half with that half's masks."""
    placed = (torch.arange(128) < 80).float().expand(1, 128, 128)
    noise = random(1, 4, 16, 16, seed=17)

    def predict(mask: torch.Tensor, patch, latents: torch.Tensor) -> torch.Tensor:
        people = replace(setting, options={"face_region": mask, "attention_mask": mask})
        model = people.guide(people.apply(patch(people.model)), rescale=0.0)
        return noise_predictions(cfg_guider(model), points(setting, [LATE], latents))

    found = predict(placed, windows(3, 8, "flat", 0), noise)[..., 8:]
    expected = predict(placed[..., 64:], unchanged, noise[..., 8:])
    assert (found - expected).abs().max() < BOUND * expected.abs().max()


@composes("Inpainting UNet (9 channels)")
def test_inpainting_unet(setting: Setting, record):
    inpaint = replace(setting, model=inpaint_model(setting.model))
    more = {
        "concat_latent_image": random(1, 4, 16, 16, seed=14),
        "concat_mask": torch.ones(1, 1, 128, 128),
    }
    positive, negative = cond(PROMPT, **more), cond(NEGATIVE, **more)

    def guider(model):
        return cfg_guider(model, 7.5, positive, negative)

    for timestep in (EARLY, LATE):
        at = points(inpaint, [timestep])
        error = worst_error(inpaint, unchanged, guider, at, ["AG", "GA"])
        record("inpainting UNet, 9 channels", error)
        assert error < BOUND


def test_second_guidance_replaces_first(setting: Setting):
    at = points(setting, [LATE])
    once = noise_predictions(cfg_guider(setting.guided(unchanged, "AG")), at)
    first = setting.guide(setting.apply(setting.model), reference_guidance=9.0, rescale=0.0)
    assert torch.equal(once, noise_predictions(cfg_guider(setting.guide(first)), at))


def test_guidance_without_apply_is_cfg_with_rescale(setting: Setting, unet_batches):
    at = points(setting, [EARLY, LATE])
    found = noise_predictions(cfg_guider(setting.guide(setting.model)), at)
    assert unet_batches == [2, 2]
    plain = noise_predictions(cfg_guider(setting.model), at)
    y = noise_predictions(cfg_guider(setting.model, 1.0), at)
    assert (found - rescaled(plain, y)).abs().max() < BOUND * found.abs().max()


@dataclass
class TwoPeople(Setting):
    """A setting that applies its reference twice, to the halves of a picture 128 pixels wide."""

    def apply(self, model, strength=STRENGTH):
        """The model through two Apply FlashFace."""
        left = (torch.arange(128) < 64).float().expand(1, 128, 128)
        for mask in (left, 1 - left):
            self.options = {"attention_mask": mask, "face_region": mask}
            model = super().apply(model, strength)
        return model


def test_two_applies_share_one_guidance(setting: Setting, record):
    both = TwoPeople(**vars(setting))
    for timestep in (EARLY, LATE):
        error = worst_error(both, unchanged, cfg_guider, points(setting, [timestep]), ["AG", "GA"])
        record("two Applies, masks", error)
        assert error < BOUND
