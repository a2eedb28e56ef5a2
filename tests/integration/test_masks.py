"""Face regions and attention masks: any size, any latent, and nothing leaks past their edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import PROMPT, Setting, cfg_guider, random
from core_nodes import run_core
from host_pack import pack_module
from sampling import evaluate
from torch import Tensor

BOUND = 1e-5
X = random(1, 4, 16, 16, seed=40)
MIDDLE = 500


@pytest.fixture(scope="module")
def other(setting: Setting) -> Any:
    """A reference of another person."""
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    return make_reference(random(3, 4, 8, 8, seed=21), PROMPT, 4)


@pytest.fixture(scope="module")
def apply(setting: Setting) -> Callable[..., ModelPatcher]:
    """`apply(model=None, **inputs)`: a model through Apply FlashFace."""

    def run(model=None, **inputs: Any) -> ModelPatcher:
        given = {"flashface": setting.flashface, "reference": setting.reference, "strength": 1.2}
        node = setting.pack["FlashFaceApply"]
        return setting.run_node(node, model=model or setting.model, **{**given, **inputs})[0]

    return run


@pytest.fixture
def middle_block(setting: Setting):
    """`middle_block(model, x)`: what the first block with a reference makes, (B, h, w, C)."""

    def run(model: ModelPatcher, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        transformer = setting.model.model.diffusion_model.middle_block[1]
        hook = transformer.register_forward_hook(lambda module, given, out: kept.append(out))
        try:
            predict(model, x)
        finally:
            hook.remove()
        return kept[0].movedim(1, -1)

    return run


def predict(model: ModelPatcher, x: Tensor = X) -> Tensor:
    return evaluate(cfg_guider(model), x, MIDDLE)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


SIZES = [(128, 128), (512, 512), (64, 32), (1, 1), (37, 211), (768, 1024), (16, 16)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("latent", [(16, 16), (9, 13), (24, 8)])
def test_a_mask_of_any_size_covers_any_picture(size, latent, apply):
    x = random(1, 4, *latent, seed=41)
    everywhere, nowhere = torch.ones(1, *size), torch.zeros(1, *size)
    assert error(predict(apply(attention_mask=everywhere), x), predict(apply(), x)) < BOUND
    base = predict(apply(strength=0.0), x)
    assert error(predict(apply(attention_mask=nowhere), x), base) < BOUND


@pytest.mark.parametrize("shape", [(128, 128), (1, 128, 128)])
def test_a_single_mask_may_lack_its_batch_dimension(shape, apply):
    half = torch.zeros(shape)
    half[..., :64] = 1
    expected = apply(face_region=half.view(1, 128, 128), attention_mask=half.view(1, 128, 128))
    assert torch.equal(predict(apply(face_region=half, attention_mask=half)), predict(expected))


@pytest.mark.parametrize("shape", [(2, 1, 128, 96), (2, 128, 96, 1), (1, 1, 64, 64)])
def test_masks_in_the_shapes_of_other_packs(shape, apply):
    mask = random(*shape, seed=47).gt(0).float()
    plain = mask.squeeze(3 if shape[1] > 1 else 1)
    x = random(2, 4, 16, 12, seed=48)
    expected = apply(face_region=plain, attention_mask=plain)
    assert torch.equal(
        predict(apply(face_region=mask, attention_mask=mask), x), predict(expected, x)
    )


def test_other_shapes_are_refused(apply):
    for shape in ((1, 3, 64, 64), (64,), (1, 1, 1, 64, 64), (0, 64, 64)):
        with pytest.raises(ValueError, match="attention_mask must be a MASK"):
            apply(attention_mask=torch.ones(shape))


def test_values_outside_of_0_to_1_are_clamped(apply, caplog):
    mask = torch.zeros(1, 128, 128)
    mask[:, :64] = 1
    for given in (mask * 255, mask * 2 - 1, (mask * 255).byte()):
        caplog.clear()
        model = apply(attention_mask=given, face_region=given)
        assert caplog.text.count("a MASK has 0 to 1") == 2
        assert torch.equal(predict(model), predict(apply(attention_mask=mask, face_region=mask)))
    caplog.clear()
    apply(attention_mask=mask.bool(), face_region=mask)
    assert not caplog.text


def test_an_empty_attention_mask_is_spoken_of(apply, caplog):
    apply(attention_mask=torch.zeros(1, 64, 64))
    assert caplog.text.count("attention_mask is 0 everywhere") == 1
    caplog.clear()
    apply(face_region=torch.zeros(1, 64, 64))
    assert not caplog.text


def test_a_grey_mask_scales_the_strength(apply):
    grey = torch.full((1, 64, 64), 0.5)
    assert error(predict(apply(attention_mask=grey)), predict(apply(strength=0.6))) < BOUND


def test_outside_its_mask_a_reference_changes_nothing(apply, middle_block):
    x = random(2, 4, 32, 32, seed=42)  # 4 x 4 positions in the middle block
    left = torch.zeros(1, 256, 256)
    left[..., :128] = 1
    masked = middle_block(apply(attention_mask=left), x)
    base, full = middle_block(apply(strength=0.0), x), middle_block(apply(), x)
    assert masked.shape[1:3] == (4, 4)
    assert torch.equal(masked[:, :, 2:], base[:, :, 2:])
    assert error(masked[:, :, :2], full[:, :, :2]) < BOUND
    assert error(masked[:, :, :2], base[:, :, :2]) > 1e-3


def test_two_people_each_in_a_half(apply, middle_block, other):
    x = random(1, 4, 32, 32, seed=43)
    left = torch.zeros(1, 256, 256)
    left[..., :128] = 1
    both = apply(apply(attention_mask=left), reference=other, attention_mask=1 - left)
    found = middle_block(both, x)
    one, two = middle_block(apply(), x), middle_block(apply(reference=other), x)
    assert error(found[:, :, :2], one[:, :, :2]) < BOUND
    assert error(found[:, :, 2:], two[:, :, 2:]) < BOUND


def test_each_sample_has_a_mask_of_its_own(apply):
    x, masks = random(2, 4, 16, 16, seed=44), torch.zeros(2, 128, 128)
    masks[0, :64], masks[1, :, 64:] = 1, 1
    together = predict(apply(attention_mask=masks, face_region=masks), x)
    for index in range(2):
        one = slice(index, index + 1)
        alone = predict(apply(attention_mask=masks[one], face_region=masks[one]), x[one])
        assert error(together[one], alone) < BOUND


def test_keyframes_are_the_strength_of_each_frame(apply, setting: Setting):
    x = random(3, 4, 16, 16, seed=46)
    node = setting.pack["FlashFaceFrameStrengths"]
    text = {"keyframes": "0: 1.0, 2: 0.5", "between": "linear"}
    (masks,) = setting.run_node(node, **text, frames=3, width=128, height=64)
    assert masks.shape == (3, 64, 128)
    film = predict(apply(attention_mask=masks), x)
    for frame, strength in enumerate((1.2, 0.9, 0.6)):
        one = slice(frame, frame + 1)
        assert error(film[one], predict(apply(strength=strength), x[one])) < BOUND


def test_masks_in_a_batch_larger_or_smaller_than_the_pictures(apply):
    x, masks = random(3, 4, 16, 16, seed=45), torch.zeros(2, 128, 128)
    masks[0, :64], masks[1, :, 64:] = 1, 1
    few = predict(apply(attention_mask=masks), x)
    assert error(few[:2], predict(apply(attention_mask=masks), x[:2])) < BOUND
    many = predict(apply(attention_mask=masks.repeat(3, 1, 1)), x[:1])
    assert error(many, predict(apply(attention_mask=masks[:1]), x[:1])) < BOUND


def test_a_region_of_zeros_is_no_region(apply):
    nowhere = torch.zeros(1, 128, 128)
    assert torch.equal(predict(apply(face_region=nowhere)), predict(apply()))
    everywhere = predict(apply(face_region=torch.ones(1, 128, 128)))
    assert error(everywhere, predict(apply())) > 1e-4


def test_a_region_of_another_size_is_scaled_to_the_picture(apply):
    large, small = torch.zeros(1, 512, 512), torch.zeros(1, 128, 128)
    large[:, 128:384, 64:256], small[:, 32:96, 16:64] = 1, 1
    assert torch.equal(predict(apply(face_region=large)), predict(apply(face_region=small)))


def test_a_region_counts_at_strength_0_and_outside_the_percents_too(apply):
    region = torch.zeros(1, 128, 128)
    region[:, :64] = 1
    base = predict(apply(strength=0.0, face_region=region))
    assert error(base, predict(apply(strength=0.0))) > 1e-4
    assert torch.equal(predict(apply(start_percent=0.9, face_region=region)), base)


def test_two_regions_are_one_with_both_places(apply, other):
    top, left = torch.zeros(1, 128, 128), torch.zeros(1, 128, 128)
    top[:, :32], left[..., :32] = 1, 1
    both = apply(apply(face_region=top), reference=other, face_region=left)
    at_once = apply(apply(face_region=torch.maximum(top, left)), reference=other)
    assert error(predict(both), predict(at_once)) < BOUND


@pytest.mark.parametrize("factor", [2.0, 1.5, 3.0])
@pytest.mark.parametrize("after_skip", [True, False])
def test_masks_follow_deep_shrinks_resolutions(factor, after_skip, apply):
    x = random(1, 4, 18, 26, seed=46)

    def shrunk(model):
        return run_core(
            "model_downscale.PatchModelAddDownscale",
            model=model,
            block_number=3,
            downscale_factor=factor,
            start_percent=0.0,
            end_percent=1.0,
            downscale_after_skip=after_skip,
            downscale_method="bicubic",
            upscale_method="bicubic",
        )

    everywhere = torch.ones(1, 144, 208)
    half = everywhere.clone()
    half[..., 104:] = 0
    plain, base = predict(shrunk(apply()), x), predict(shrunk(apply(strength=0.0)), x)
    assert error(predict(shrunk(apply(attention_mask=everywhere)), x), plain) < BOUND
    found = predict(shrunk(apply(attention_mask=half)), x)
    assert found.isfinite().all()
    assert min(error(found, plain), error(found, base)) > 1e-4
    assert error(predict(apply(), x), plain) > 1e-3, "Deep Shrink did nothing"


def test_one_mask_may_be_region_and_attention_mask():
    masks = pack_module("flashface_core.flashface.patch.masks").Masks(None)
    mask = torch.zeros(1, 24, 24)
    mask[:, :12, :12] = 1
    nearest, area = (masks.scaled(mask, (3, 3), mode, mask) for mode in ("nearest", "area"))
    assert set(nearest.unique().tolist()) == {0.0, 1.0}
    assert set(area.unique().tolist()) == {0.0, 0.25, 0.5, 1.0}
