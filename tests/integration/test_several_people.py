"""Several people in one picture: each in a mask of their own, or mixed, block by block.

The picture is 256 pixels wide, so that the smallest block has 4 x 4 positions. Every statement is
about all ten blocks, and, where people are guided, about all three predictions of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from block_states import Blocks, States
from comfy.model_patcher import ModelPatcher
from composition import PROMPT, Setting, cfg_guider, random
from host_pack import pack_module
from sampling import evaluate
from torch import Tensor

BOUND = 1e-5
LATE = 500
SIDE = 256
STRENGTHS = (1.2, 0.9, 1.0)
PAIR = random(2, 4, SIDE // 8, SIDE // 8, seed=80)
X = PAIR[:1]

Place = tuple[int, int, int, int]
APART: list[Place] = [(0, 0, 256, 120), (64, 128, 200, 256), (210, 140, 256, 250)]
OVERLAPPING: list[Place] = [(0, 0, 256, 170), (40, 64, 220, 256), (128, 100, 256, 230)]
"""Top, left, bottom, right in pixels; not all of them on the edges of blocks' positions."""


@pytest.fixture(scope="module")
def people(setting: Setting) -> list[Any]:
    """References of three people: 2, 3 and 1 faces, of which the 3 are weighted too."""
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    others = [make_reference(random(n, 4, 8, 8, seed=81 + n), PROMPT, 4) for n in (3, 1)]
    return [setting.reference, *others]


@pytest.fixture(params=["plain", "guided"])
def applied(request, setting: Setting, people) -> Callable[..., ModelPatcher]:
    """`applied({person: mask or None})`: a model through one Apply for each, in this order."""

    def run(masks: dict[int, Tensor | None]) -> ModelPatcher:
        model = setting.model
        for index, mask in masks.items():
            given = {"model": model, "flashface": setting.flashface, "reference": people[index]}
            given |= {"strength": STRENGTHS[index]} | (
                {"attention_mask": mask} if mask is not None else {}
            )
            (model,) = setting.run_node(setting.pack["FlashFaceApply"], **given)
        return setting.guide(model) if request.param == "guided" else model

    return run


@pytest.fixture
def blocks(setting: Setting) -> Blocks:
    """The blocks that people are added to."""
    return Blocks(setting.model, predict)


def predict(model: ModelPatcher, x: Tensor = X) -> Tensor:
    return evaluate(cfg_guider(model), x, LATE)


def masks_of(places: list[Place], count: int) -> dict[int, Tensor | None]:
    """Masks (1, SIDE, SIDE) of the first people."""
    masks: dict[int, Tensor | None] = {}
    for index, (top, left, bottom, right) in enumerate(places[:count]):
        mask = torch.zeros(1, SIDE, SIDE)
        mask[:, top:bottom, left:right] = 1
        masks[index] = mask
    return masks


def share(mask: Tensor | None, positions: int) -> Tensor:
    """How much of each of a block's positions a mask covers, (L,)."""
    assert mask is not None
    side = round(positions**0.5)
    return torch.nn.functional.adaptive_avg_pool2d(mask, side).flatten()


def scale(states: States, name: str) -> float:
    return float(states[name].abs().max())


def without(masks: dict[int, Tensor | None], person: int) -> dict[int, Tensor | None]:
    return {index: mask for index, mask in masks.items() if index != person}


@pytest.mark.parametrize(("places", "count"), [(APART, 2), (OVERLAPPING, 3)])
def test_outside_a_mask_its_person_changes_nothing(places, count, applied, blocks):
    masks = masks_of(places, count)
    everybody = applied(masks)
    inputs = blocks.inputs(everybody, PAIR)
    together = blocks.added(everybody, PAIR, inputs)
    for person in masks:
        others = blocks.added(applied(without(masks, person)), PAIR, inputs)
        for name, states in together.items():
            covered = share(masks[person], states.shape[1])
            change = (states - others[name]).abs()
            assert (covered == 0).any() and (covered > 0).any()
            assert float(change[:, covered == 0].max()) < 1e-6 * scale(together, name)
            assert float(change[:, covered > 0].amax()) > 1e-3 * scale(together, name)


def test_inside_each_mask_is_its_own_person(applied, blocks):
    """At every position the sum over people of share x (what they add unmasked)."""
    masks = masks_of(OVERLAPPING, 3)
    everybody = applied(masks)
    inputs = blocks.inputs(everybody, X)
    nobody = blocks.added(applied({0: torch.zeros(1, SIDE, SIDE)}), X, inputs)
    alone = {person: blocks.added(applied({person: None}), X, inputs) for person in masks}
    for name, found in blocks.added(everybody, X, inputs).items():
        expected = nobody[name].clone()
        for person, mask in masks.items():
            shares = share(mask, found.shape[1])[:, None]
            expected += shares * (alone[person][name] - nobody[name])
        assert float((found - expected).abs().max()) < BOUND * scale(nobody, name)


def test_one_persons_mask_leaves_the_others_place_bit_for_bit(applied, blocks, people):
    """With the same number of people: another one in the right half, the left half unchanged."""
    left = torch.zeros(1, SIDE, SIDE)
    left[..., : SIDE // 2] = 1
    one, other = applied({0: left, 1: 1 - left}), applied({0: left, 2: 1 - left})
    inputs = blocks.inputs(one, X)
    found, expected = (blocks.added(model, X, inputs) for model in (one, other))
    for name in inputs:
        inside = share(left, inputs[name].shape[1]) == 1
        assert torch.equal(found[name][:, inside], expected[name][:, inside])
        assert not torch.equal(found[name][:, ~inside], expected[name][:, ~inside])


def test_the_order_of_the_applies_does_not_matter(applied):
    masks = masks_of(OVERLAPPING, 3)
    expected = predict(applied(masks))
    for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0)):
        found = predict(applied({person: masks[person] for person in order}))
        assert float((found - expected).abs().max() / expected.abs().max()) < BOUND


@pytest.mark.parametrize("weights", [(0.7, 0.3), (1.5, -0.4)])
def test_mixing_is_the_weighted_sum_of_its_people(weights, setting, people, blocks):
    """Without masks: base + sum of s w_i (person i - base), in every block."""
    strength = 1.2

    def apply(reference: Any, strength: float) -> ModelPatcher:
        given = {"model": setting.model, "flashface": setting.flashface, "reference": reference}
        return setting.run_node(setting.pack["FlashFaceApply"], strength=strength, **given)[0]

    combine = setting.pack["FlashFaceCombineReferences"]
    given = {"reference_1": people[0], "reference_2": people[1]}
    (mixed,) = setting.run_node(combine, weight_1=weights[0], weight_2=weights[1], **given)
    model = apply(mixed, strength)
    inputs = blocks.inputs(model, X)
    nobody = blocks.added(apply(people[0], 0.0), X, inputs)
    alone = [blocks.added(apply(person, 1.0), X, inputs) for person in people[:2]]
    for name, found in blocks.added(model, X, inputs).items():
        expected = nobody[name] + sum(
            strength * weight * (states[name] - nobody[name])
            for weight, states in zip(weights, alone, strict=True)
        )
        assert float((found - expected).abs().max()) < BOUND * scale(nobody, name)
        assert float((found - nobody[name]).abs().max()) > 1e-2 * scale(nobody, name)


def test_a_mix_may_have_a_mask_beside_another_person(setting, people, blocks):
    """A combined reference in the left half is that mix there, and the other's place is hers."""
    left = torch.zeros(1, SIDE, SIDE)
    left[..., : SIDE // 2] = 1
    combine = setting.pack["FlashFaceCombineReferences"]
    given = {"reference_1": people[0], "reference_2": people[1]}
    (mixed,) = setting.run_node(combine, weight_1=0.6, weight_2=0.4, **given)

    def apply(model: ModelPatcher, reference: Any, **masks: Tensor) -> ModelPatcher:
        given = {"model": model, "flashface": setting.flashface, "reference": reference}
        return setting.run_node(setting.pack["FlashFaceApply"], strength=1.2, **given, **masks)[0]

    both = apply(
        apply(setting.model, mixed, attention_mask=left), people[2], attention_mask=1 - left
    )
    inputs = blocks.inputs(both, X)
    mix, other = (
        blocks.added(apply(setting.model, reference), X, inputs) for reference in (mixed, people[2])
    )
    for name, found in blocks.added(both, X, inputs).items():
        inside = share(left, found.shape[1]) == 1
        for places, expected in ((inside, mix), (~inside, other)):
            worst = (found - expected[name])[:, places].abs().max()
            assert float(worst) < BOUND * scale(expected, name)


def test_every_picture_of_a_batch_may_place_the_people_elsewhere(applied, blocks):
    """Masks of two pictures: what a block adds to each is what it adds to that picture alone."""
    first, second = masks_of(APART, 2), masks_of(OVERLAPPING, 2)
    pairs = {person: torch.cat([first[person], second[person]]) for person in first}  # type: ignore[list-item]
    together = applied(pairs)
    inputs = blocks.inputs(together, PAIR)
    found = blocks.added(together, PAIR, inputs)
    for index, masks in enumerate((first, second)):
        rows = slice(index, None, 2)
        own = {name: states[rows] for name, states in inputs.items()}
        alone = blocks.added(applied(masks), PAIR[index : index + 1], own)
        for name, states in alone.items():
            worst = (found[name][rows] - states).abs().max()
            assert float(worst) < BOUND * scale(alone, name)
