"""FlashFace beside kinds of packs, by stand-ins; see pack_kinds.py and written_down.py."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from comfy.controlnet import ControlBase
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import (
    LATE,
    NEGATIVE,
    NOISE,
    PROMPT,
    Points,
    Replay,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    random,
    unchanged,
)
from core_nodes import SKIPPING, core_node, run_core
from pack_kinds import (
    TILES,
    couple,
    couple_hooks,
    kinds_in_runs,
    replaced_class,
    replaced_forward,
    slices_conditioning,
    walk,
    windows_by_function,
    windows_by_wrapper,
)
from sampling import cond
from torch import Tensor
from written_down import GUIDED_ORDERS, difference, ksampler, with_flashface

BOUND = 1e-5
ORDERS = ("fA", "Af", *GUIDED_ORDERS)
SQUARE = torch.zeros(1, 128, 128)
SQUARE[:, 32:96, 24:88] = 1


def nag(model: ModelPatcher) -> ModelPatcher:
    return run_core("nag.NAGuidance", model=model, nag_scale=5.0, nag_alpha=0.5, nag_tau=1.5)


@composes("NAG (Normalized Attention Guidance)")
@pytest.mark.skipif(core_node("nag.NAGuidance") is None, reason="this ComfyUI has no NAG")
def test_nag(setting: Setting, plain, record, unet_batches, caplog):
    """It looks from the positive prompt to the negative one: the twin runs beside a copy of it."""
    with caplog.at_level(logging.WARNING):
        error = with_flashface(setting, nag, orders=ORDERS, unlike=plain, company=True)
    record("packs: NAG of core", error)
    assert error < BOUND
    assert not caplog.records
    unet_batches.clear()
    noise_predictions(cfg_guider(setting.guided(nag)), points(setting, [LATE]))
    assert unet_batches == [2, 2]


@composes("sd-perturbed-attention-style NAG (attn2 replace that counts on kinds in runs)")
def test_kinds_in_runs(setting: Setting, plain, record):
    error = with_flashface(setting, kinds_in_runs, orders=ORDERS, unlike=plain)
    record("packs: kinds in runs", error)
    assert error < BOUND


@composes("Attention couple (prompts of regions in attn2 patches, or in hooks)")
def test_couple(setting: Setting, plain, record):
    error = with_flashface(setting, couple, orders=ORDERS, unlike=plain)
    record("packs: couple", error)
    assert error < BOUND


@composes("Attention couple (prompts of regions in attn2 patches, or in hooks)")
def test_couple_by_hooks(setting: Setting, plain, record):
    def sample(model: ModelPatcher) -> Tensor:
        return ksampler(model, positive=cond(PROMPT, hooks=couple_hooks()))

    error = with_flashface(setting, unchanged, sample, ("A", "AG", "GA"), plain)
    record("packs: couple by hooks", error)
    assert error < BOUND


def test_a_twin_of_its_own_costs_no_more_samples(setting: Setting, unet_batches):
    noise_predictions(cfg_guider(setting.guided(couple)), points(setting, [LATE]))
    assert unet_batches == [2, 1]


def test_all_kinds_stand_in_runs(setting: Setting):
    """The positive prompt and its twin side by side, whoever looks, wherever."""
    seen: list[list[int]] = []

    def patch(model: ModelPatcher) -> ModelPatcher:
        def wrapper(apply_model, given):
            seen.append(given["cond_or_uncond"])
            return apply_model(given["input"], given["timestep"], **given["c"])

        def residual(h, options):
            seen.append(options["cond_or_uncond"])
            return h

        clone = model.clone()
        clone.set_model_unet_function_wrapper(wrapper)
        clone.set_model_input_block_patch(residual)
        return clone

    two = cond(PROMPT) + cond(PROMPT.flip(1), strength=0.5)
    for positive, kinds in ((cond(PROMPT), [1, 0, 0]), (two, [1, 0, 0, 0, 0])):
        seen.clear()
        guider = cfg_guider(setting.guided(patch), positive=positive)
        noise_predictions(guider, points(setting, [LATE]))
        assert seen and all(shown == kinds for shown in seen)


def test_controlnets_know_the_twin_as_the_positive(setting: Setting):
    """Core asks them before the UNet is called; some weigh what they give by the prompt's kind."""
    seen: list[list[int]] = []

    class Recording(ControlBase):
        def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
            seen.append(list(transformer_options["cond_or_uncond"]))

    control = Recording()
    prompts = [
        [[tokens, {**more, "control": control}] for tokens, more in cond(text)]
        for text in (PROMPT, NEGATIVE)
    ]
    guider = cfg_guider(setting.guided(unchanged), positive=prompts[0], negative=prompts[1])
    noise_predictions(guider, points(setting, [LATE]))
    assert seen == [[1, 0, 0]]


STRIPES = (torch.arange(128) // 21 == torch.arange(6)[:, None]).float()[:, None].expand(6, 128, 128)
MAKERS = {
    "wrapper": windows_by_wrapper(told=False),
    "wrapper, told": windows_by_wrapper(told=True),
    "function": windows_by_function,
}


FRAMES = random(6, 4, 8, 8, seed=16)
CASES = [
    ("wrapper", None),
    ("wrapper", STRIPES),
    ("wrapper, told", STRIPES),
    ("function", STRIPES),
    ("function", SQUARE),
]


@composes("Windows of frames of other packs (AnimateDiff-Evolved's), masks of single frames too")
@pytest.mark.parametrize(("maker", "masks"), CASES)
def test_windows_equal_the_plain_batch(maker: str, masks, setting: Setting, record):
    options = {} if masks is None else {"face_region": masks, "attention_mask": masks}
    people = replace(setting, options=options)
    at = points(setting, [LATE], FRAMES)
    for order in ("A", "AG"):
        whole = noise_predictions(cfg_guider(people.guided(unchanged, order)), at)
        for windowed in (f"f{order}", f"{order}f"):
            found = noise_predictions(cfg_guider(people.guided(MAKERS[maker], windowed)), at)
            error = difference(found, whole)
            record(f"packs: windows by {maker}", error)
            assert error < BOUND


@pytest.mark.parametrize("frames", ["aaaaaa", "abaaca", "aabbba"])
def test_windows_over_equal_frames(frames: str, setting: Setting, caplog):
    """Frames that hold the same numbers, as where the noise of a film is one frame's."""
    made = torch.stack([FRAMES["abc".index(frame)] for frame in frames])
    at = points(setting, [LATE], made)
    whole = noise_predictions(cfg_guider(setting.guided(unchanged)), at)
    masked = replace(setting, options={"attention_mask": STRIPES})
    with caplog.at_level(logging.WARNING):
        for people, warnings in ((setting, 0), (masked, 1)):
            model = people.guided(MAKERS["function"])
            assert difference(noise_predictions(cfg_guider(model), at), whole) < BOUND
            assert len(caplog.records) == warnings
    assert "works on 4 of 6 frames at a time" in caplog.text


def test_windows_without_reference_guidance(setting: Setting):
    at = points(setting, [LATE], FRAMES)
    plain = setting.guide(setting.apply(setting.model), reference_guidance=0.0)
    whole = noise_predictions(cfg_guider(plain), at)
    windowed = MAKERS["wrapper"]
    for model in (setting.apply(windowed(setting.model)), windowed(setting.apply(setting.model))):
        guided = setting.guide(model, reference_guidance=0.0)
        assert difference(noise_predictions(cfg_guider(guided), at), whole) < BOUND


def test_frames_that_a_sampler_picks(setting: Setting, caplog):
    """Nobody knows which frames they are: masks of single frames are left out, with a warning."""
    people = replace(setting, options={"face_region": STRIPES, "attention_mask": STRIPES})
    at = points(setting, [LATE], FRAMES)
    few = Points(at.sigmas * 2, [at.latents[0], at.latents[0][2:]])
    with caplog.at_level(logging.WARNING):
        found = predictions_of(people.guided(unchanged), few)[1]
    assert "works on 4 of 6 frames at a time" in caplog.text
    assert difference(found, predictions_of(setting.guided(unchanged), few)[1]) < BOUND


def test_windows_share_the_encoder(setting: Setting, encoder_batches):
    at = points(setting, [LATE], FRAMES)
    noise_predictions(cfg_guider(setting.guided(MAKERS["wrapper"])), at)
    assert encoder_batches == [8, 8]


@composes("Functions that replace the UNet's own (WaveSpeed's First Block Cache)")
def test_replaced_forward(setting: Setting, plain, record, encoder_batches):
    error = with_flashface(setting, replaced_forward, orders=ORDERS, unlike=plain)
    record("packs: replaced forward", error)
    assert error < BOUND
    encoder_batches.clear()
    for patch in (replaced_forward, unchanged):
        noise_predictions(cfg_guider(setting.guided(patch)), points(setting, [LATE]))
    assert encoder_batches == [3, 2]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(ResBlock, "_forward"), (BasicTransformerBlock, "forward"), (torch.nn.GroupNorm, "forward")],
)
def test_replaced_methods_of_classes(kind: type, name: str, setting: Setting, encoder_batches):
    with replaced_class(kind, name):
        noise_predictions(cfg_guider(setting.guided(unchanged)), points(setting, [LATE]))
    assert encoder_batches == [3]


def test_foreign_layers_in_the_encoder(setting: Setting, encoder_batches):
    """Motion modules stand among the layers of a block, for as long as a sampling lasts."""

    class Motion(torch.nn.Identity):
        pass

    blocks: Any = setting.model.model.diffusion_model.input_blocks
    blocks[4].append(Motion())
    try:
        noise_predictions(cfg_guider(setting.guided(unchanged)), points(setting, [LATE]))
    finally:
        del blocks[4][len(blocks[4]) - 1]
    assert encoder_batches == [3]


@composes("Packs that walk over a MODEL's patches (Ultimate SD Upscale)")
@pytest.mark.parametrize("order", ["A", "AG", "GA"])
def test_nothing_to_walk_over(order: str, setting: Setting):
    assert not walk(setting.guided(unchanged, order))


@composes(
    "Tiled Diffusion-style wrappers",
    note="regions and masks are cut along, where a tile can be found in the latent",
)
@pytest.mark.parametrize(("order", "batch"), [("fA", 2), ("Af", 1), ("fAG", 1), ("AGf", 2)])
def test_tiles_of_a_wrapper(order: str, batch: int, setting: Setting, record, caplog):
    """Each tile is a picture of its own, with its part of the masks."""
    noise = torch.cat([NOISE, NOISE.flip(-1)])[:batch]

    def predict(mask: Tensor, patch, noise: Tensor) -> Tensor:
        people = replace(setting, options={"face_region": mask, "attention_mask": mask})
        model = people.model
        for step in order:
            model = {
                "f": patch,
                "A": people.apply,
                "G": lambda model: people.guide(model, rescale=0.0),
            }[step](model)
        return noise_predictions(cfg_guider(model), points(setting, [LATE], noise))[0]

    total, count = torch.zeros_like(noise), torch.zeros_like(noise)
    pixels = SQUARE.unflatten(1, (16, 8)).unflatten(3, (16, 8)).movedim(3, 2)  # (1, h, w, 8, 8)
    for tile in TILES:
        mask = tile.of(pixels.movedim((3, 4), (0, 1))).movedim((0, 1), (3, 4))
        mask = mask.movedim(2, 3).flatten(3).flatten(1, 2)
        tile.of(total).add_(predict(mask, unchanged, tile.of(noise).contiguous()))
        tile.of(count).add_(1)
    with caplog.at_level(logging.WARNING):
        found = predict(SQUARE, slices_conditioning(), noise)
    error = difference(found, total / count)
    record("packs: tiles of a wrapper", error)
    assert error < BOUND
    assert not caplog.records


def test_tiles_that_cannot_be_found(setting: Setting, caplog):
    """A wrapper that changes the latent: masks are left out, and said to be."""

    def scaled(model: ModelPatcher) -> ModelPatcher:
        def wrapper(apply_model, given):
            halves = torch.cat((given["input"] * 0.5).chunk(2, dim=-1))
            c = {**given["c"], "c_crossattn": given["c"]["c_crossattn"].repeat(2, 1, 1)}
            out = apply_model(halves, given["timestep"].repeat(2), **c)
            return torch.cat(out.chunk(2), dim=-1)

        clone = model.clone()
        clone.set_model_unet_function_wrapper(wrapper)
        return clone

    masked = replace(setting, options={"face_region": SQUARE, "attention_mask": SQUARE})
    found = []
    with caplog.at_level(logging.WARNING):
        for people in (setting, masked):
            guider = cfg_guider(people.guided(scaled))
            found.append(noise_predictions(guider, points(setting, [LATE])))
    assert difference(*found) < BOUND
    assert "face region and attention masks are left out" in caplog.text


def test_tiles_of_a_flat_latent_have_no_place(setting: Setting, caplog):
    masked = replace(setting, options={"attention_mask": SQUARE})
    at = points(setting, [LATE])
    # As where a sampler adds no noise to an empty picture.
    flat = Points(at.sigmas, [torch.zeros_like(latent) for latent in at.latents])
    with caplog.at_level(logging.WARNING):
        noise_predictions(cfg_guider(masked.guided(slices_conditioning(), "fA")), flat)
    assert "face region and attention masks are left out" in caplog.text


def test_pictures_with_timesteps_of_their_own(setting: Setting):
    def patch(model: ModelPatcher, watched: bool) -> ModelPatcher:
        def wrapper(apply_model, given):
            own = given["timestep"] * torch.tensor([1.0, 0.5]).repeat(len(given["timestep"]) // 2)
            return apply_model(given["input"], own, **given["c"])

        clone = model.clone()
        clone.set_model_unet_function_wrapper(wrapper)
        if watched:  # somebody looks into the encoder, so that no picture shares it
            clone.set_model_input_block_patch(lambda h, options: h)
        return clone

    at = points(setting, [LATE], torch.cat([NOISE, NOISE.flip(-1)]))
    found, alone = (
        noise_predictions(cfg_guider(setting.guided(lambda m, w=w: patch(m, w))), at)[0]
        for w in (False, True)
    )
    assert difference(found, alone) < BOUND


@composes("Samplers that enlarge the latent between steps (SamplerLCMUpscale)")
@pytest.mark.parametrize("order", ["A", "AG"])
def test_a_larger_latent_is_the_picture_still(order: str, setting: Setting, caplog):
    people = replace(setting, options={"face_region": SQUARE, "attention_mask": SQUARE})
    sizes = [(16, 16), (24, 20), (32, 32)]
    alone = [points(setting, [LATE], random(1, 4, *size, seed=30)) for size in sizes]
    whole = Points([at.sigmas[0] for at in alone], [at.latents[0] for at in alone])
    model = people.guided(unchanged, order)
    with caplog.at_level(logging.WARNING):
        found = predictions_of(model, whole)
    assert not caplog.records
    for prediction, at in zip(found, alone, strict=True):
        assert difference(prediction, predictions_of(model, at)[0]) < BOUND


def predictions_of(model: ModelPatcher, at: Points) -> list[Tensor]:
    """Noise predictions of latents of any sizes."""
    sampler = Replay(at.latents)
    sigmas = torch.stack([*at.sigmas, torch.zeros(())])
    noise = at.latents[0]
    cfg_guider(model).sample(noise, torch.zeros_like(noise), sampler, sigmas, seed=0)
    return sampler.found


@pytest.mark.parametrize("patch", [couple, nag], ids=["couple", "NAG"])
def test_caches_skip_all_or_nothing(patch, setting: Setting, unet_batches):
    """EasyCache decides for the twin too, when it has a batch of its own."""
    if patch is nag and core_node("nag.NAGuidance") is None:
        pytest.skip("this ComfyUI has no NAG")

    def both(model: ModelPatcher) -> ModelPatcher:
        return run_core("easycache.EasyCacheNode", model=patch(model), **SKIPPING)

    at = points(setting, [700, 680, 660, 640])
    for order in ("fAG", "AGf"):
        unet_batches.clear()
        noise_predictions(cfg_guider(setting.guided(both, order)), at)
        assert len(unet_batches) == 2 * 2
