"""Apply FlashFace inside ComfyUI's sampling: alone, twice, batched, in any size, on any SD1.5."""

from __future__ import annotations

import copy
import logging
from typing import Any

import comfy.model_base
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import NEGATIVE, NOISE, PROMPT, Setting, cfg_guider, random
from core_nodes import stock_model
from host_pack import pack_module
from sampling import cond, evaluate

BOUND = 1e-5
ONE_PIXEL_BOUND = 3e-5
"""For latents whose deepest level is a single pixel, where GroupNorm divides four numbers by their
own deviation: the UNet without FlashFace, run with one sample or with two, differs by up to 1.2e-5
there (5e-6 at other sizes), by the number of threads and the noise."""
MIDDLE = 500


@pytest.fixture(scope="module")
def other(setting: Setting) -> Any:
    """A reference of another person."""
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    return make_reference(random(3, 4, 8, 8, seed=21), PROMPT, 4)


def predict(model: ModelPatcher, x=NOISE, timestep=MIDDLE) -> torch.Tensor:
    return evaluate(cfg_guider(model), x, timestep)


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def apply(setting: Setting, model=None, **inputs: Any) -> ModelPatcher:
    given = {"flashface": setting.flashface, "reference": setting.reference, "strength": 1.2}
    node = setting.pack["FlashFaceApply"]
    return setting.run_node(node, model=model or setting.model, **{**given, **inputs})[0]


def test_the_model_without_apply_stays_bit_identical(setting, other):
    before, options = predict(setting.model), copy.deepcopy(setting.model.model_options)
    region = torch.ones(1, 128, 128)
    first = apply(setting, face_region=region)
    both = apply(setting, first, reference=other, attention_mask=region)
    assert error(predict(first), before) > 1e-3
    assert error(predict(both), predict(first)) > 1e-3
    assert torch.equal(predict(setting.model), before)
    assert setting.model.model_options == options
    assert not setting.model.additional_models and not any(setting.model.wrappers.values())


def test_a_second_apply_leaves_the_first_ones_model_as_it_was(setting, other):
    first = apply(setting)
    before = predict(first)
    predict(apply(setting, first, reference=other))
    assert torch.equal(predict(first), before)


def test_two_applies_are_one_with_two_people(setting, other):
    reference = pack_module("flashface_core.flashface.reference").Reference
    both = reference((*setting.reference.identities, *other.identities))
    together = predict(apply(setting, reference=both))
    assert error(predict(apply(setting, apply(setting), reference=other)), together) < BOUND
    assert error(predict(apply(setting, apply(setting, reference=other))), together) < BOUND


def test_two_applies_in_one_graph_do_not_meet(setting, other):
    expected = [predict(apply(setting)), predict(apply(setting, reference=other))]
    models = [apply(setting), apply(setting, reference=other)]
    for _ in range(2):
        for model, wanted in zip(models, expected, strict=True):
            assert torch.equal(predict(model), wanted)


def test_the_same_person_with_opposite_strengths_is_nobody(setting):
    nobody = predict(apply(setting, apply(setting, strength=0.7), strength=-0.7))
    assert error(nobody, predict(apply(setting, strength=0.0))) < BOUND


def test_a_person_twice_in_a_mix_is_projected_once(setting):
    combine = setting.pack["FlashFaceCombineReferences"]
    people = {"reference_1": setting.reference, "reference_2": setting.reference}
    (mixed,) = setting.run_node(combine, **people, weight_1=0.75, weight_2=0.25)
    expected = predict(apply(setting))
    tokens: list[int] = []
    keys = setting.flashface.adapter.model.attention("middle_block.1").to_k
    hook = keys.register_forward_hook(lambda module, given, out: tokens.append(given[0].shape[1]))
    try:
        assert error(predict(apply(setting, reference=mixed)), expected) < BOUND
    finally:
        hook.remove()
    assert sorted(tokens) == [2, 4]  # two faces of one token, and the picture's own


def test_strength_0_keeps_the_base_term(setting, other):
    base = predict(apply(setting, strength=0.0))
    assert error(base, predict(setting.model)) > 1e-3
    assert torch.equal(base, predict(apply(setting, reference=other, strength=0.0)))
    assert error(base, predict(apply(setting))) > 1e-3


@pytest.mark.parametrize(
    ("start", "end", "timestep", "inside"),
    [
        (0.0, 1.0, 999, True),
        (0.0, 1.0, 0, True),
        (0.25, 1.0, 760, False),
        (0.25, 1.0, 749, True),
        (0.25, 1.0, 100, True),
        (0.0, 0.5, 510, True),
        (0.0, 0.5, 490, False),
        (0.2, 0.6, 500, True),
        (0.2, 0.6, 900, False),
        (0.2, 0.6, 300, False),
        (0.6, 0.2, 500, False),
    ],
)
def test_outside_start_and_end_percent_the_base_term_stays(setting, start, end, timestep, inside):
    model = apply(setting, start_percent=start, end_percent=end)
    expected = apply(setting, strength=1.2 if inside else 0.0)
    assert torch.equal(predict(model, timestep=timestep), predict(expected, timestep=timestep))


def test_each_sample_of_a_batch_is_as_if_alone(setting):
    x = random(3, 4, 16, 16, seed=30)
    regions = torch.zeros(3, 128, 128)
    regions[0, :64], regions[2, :, 64:] = 1, 1
    together = predict(apply(setting, face_region=regions), x)
    for index in range(3):
        one = slice(index, index + 1)
        alone = predict(apply(setting, face_region=regions[one]), x[one])
        assert error(together[one], alone) < BOUND


@pytest.mark.parametrize(
    ("width", "height"), [(104, 72), (72, 104), (64, 256), (32, 32), (200, 24)]
)
def test_any_size_that_comfyui_samples(width, height, setting):
    x = random(2, 4, height // 8, width // 8, seed=31)
    region = torch.zeros(1, height, width)
    region[:, : height // 2, : width // 2] = 1
    model = apply(setting, face_region=region, attention_mask=region)
    found = predict(model, x)
    assert found.shape == x.shape and found.isfinite().all()
    assert error(found, predict(apply(setting, strength=0.0, face_region=region), x)) > 1e-4
    alone = predict(model, x[1:])
    one_pixel = max(width, height) <= 8 * 2**3
    assert error(found[1:], alone) < (ONE_PIXEL_BOUND if one_pixel else BOUND)


def test_a_stock_sd15_model_works_with_a_warning(setting, caplog):
    with caplog.at_level(logging.WARNING):
        model = apply(setting, stock_model(setting.model))
    assert [record.getMessage() for record in caplog.records] == [
        "Apply FlashFace: this MODEL is not FlashFace's own. It works, but FlashFace's weights "
        "were trained with the MODEL of Load FlashFace Model; use that, or merge with it."
    ]
    found = predict(model)
    assert found.isfinite().all()
    assert 1e-9 < error(found, predict(apply(setting))) < 1e-2


def test_flashfaces_own_model_gives_no_warning(setting, caplog):
    apply(setting, apply(setting))
    assert caplog.records == []


@pytest.mark.parametrize("applies", [1, 2, 3])
def test_memory_is_accounted_for_once(applies, setting, other):
    model = setting.model
    for _ in range(applies):
        model = apply(setting, model, reference=other)
    plain = setting.model.model.model_config.memory_usage_factor
    for patcher in (model, model.clone(), model.clone().clone()):
        assert patcher.object_patches["memory_usage_factor"] == 1.25 * plain
        assert patcher.get_additional_models() == [setting.flashface.adapter] or [
            extra.model for extra in patcher.get_additional_models()
        ] == [setting.flashface.adapter.model]
        assert not patcher.model_options["transformer_options"].get("patches")


@pytest.mark.parametrize("applies", [1, 3])
def test_patches_are_in_a_call_of_the_unet_once(applies, setting, other):
    model = setting.model
    for _ in range(applies):
        model = apply(setting, model, reference=other)
    seen: list[dict[str, int]] = []

    def look(h: torch.Tensor, options: dict) -> torch.Tensor:
        seen.append({name: len(found) for name, found in options["patches"].items()})
        return h

    model = model.clone()
    model.set_model_output_block_patch(lambda h, skip, options: (look(h, options), skip))
    evaluate(cfg_guider(model), NOISE, 500)
    once = {"attn1_patch": 1, "input_block_patch": 1, "middle_patch": 1}
    assert seen and all(found == {**once, "output_block_patch": 1} for found in seen)


def test_referencenet_runs_once_for_a_reference_and_its_steps(setting):
    reference = copy.deepcopy(setting.reference)
    rows: list[int] = []
    network = setting.flashface.referencenet.model.diffusion_model
    hook = network.register_forward_hook(lambda module, given, out: rows.append(len(given[0])))
    try:
        for strength in (1.2, 0.9, 1.2):
            guider = cfg_guider(apply(setting, reference=reference, strength=strength))
            sigmas = guider.model_patcher.get_model_object("model_sampling").sigmas.cpu()
            steps = torch.stack([sigmas[999], sigmas[500], sigmas[1], torch.zeros(())])
            sampler = comfy.samplers.sampler_object("euler")
            guider.sample(NOISE, torch.zeros_like(NOISE), sampler, steps, seed=0)
    finally:
        hook.remove()
    assert rows == [3 * 2]
    assert len(reference.identities[0].features) == 3


def test_no_negative_at_cfg_1(setting):
    from sampling import guider

    model = apply(setting)
    found = evaluate(guider(model, cond(PROMPT), None, cfg=1.0), NOISE, MIDDLE)
    with_negative = evaluate(guider(model, cond(PROMPT), cond(NEGATIVE), cfg=1.0), NOISE, MIDDLE)
    assert torch.equal(found, with_negative)
