"""A person is a seed: the same for the same seed, unlike others, within what is human."""

from __future__ import annotations

from collections import Counter

import numpy as np

from training.people.body import body
from training.people.expressions import units
from training.people.formulas import colour
from training.people.identity import person
from training.people.morph import local_axes, macro_weights
from training.people.palette import CLOTHES, cloth_unlike
from training.people.plan import SPLITS, sittings
from training.people.vector import identity_vector, vector_names

MANY = range(600)


def test_the_same_seed_is_the_same_person():
    again = person.__wrapped__(7)
    assert np.array_equal(identity_vector(person(7)), identity_vector(again))
    assert person(7).marks == again.marks


def test_no_two_seeds_are_the_same_person():
    vectors = np.stack([identity_vector(person(seed)) for seed in range(100)])
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    assert apart[~np.eye(100, dtype=bool)].min() > 1


def test_every_number_of_the_identity_has_a_name():
    assert len(vector_names()) == len(set(vector_names())) == identity_vector(person(1)).size
    assert (len(local_axes()), len(units())) == (123, 52)


def test_blond_and_red_hair_are_not_rare():
    hair = Counter(person(seed).hair_name for seed in MANY)
    assert hair["blond"] > 0.08 * len(MANY)
    assert hair["red"] > 0.06 * len(MANY)


def test_shapes_stay_away_from_caricature_and_differ_all_the_same():
    axes = np.stack([person(seed).axes for seed in MANY])
    assert np.abs(axes).max() < 1.01
    nose = [i for i, axis in enumerate(local_axes()) if axis.group == "nose"]
    assert axes[:, nose].std() < 0.40
    assert (np.abs(axes) > 0.49).sum(1).min() >= 4


def test_macro_weights_of_race_and_weight_add_up():
    for years in (3, 8, 17, 40, 88):
        weights = macro_weights(years, 0.3, np.array([0.2, 0.3, 0.5]), -0.4)
        by_race = sum(w for name, w in weights.items() if "universal" not in name)
        by_fat = sum(w for name, w in weights.items() if "universal" in name)
        assert abs(by_race - 1) < 1e-6
        assert abs(by_fat - 1) < 1e-6
        assert set(weights) <= set(body().target_index)


def test_nobody_wears_the_colour_of_the_own_skin():
    rng = np.random.default_rng(0)
    for seed in range(60):
        skin = person(seed).skin ** (1 / 2.2)
        worn = colour(CLOTHES[cloth_unlike(rng, person(seed).skin)]) ** (1 / 2.2)
        assert np.linalg.norm(worn - skin) > 0.32


def test_moles_are_small_and_not_on_eyes_or_lips():
    marks = [mark for seed in MANY for mark in person(seed).marks]
    assert {mark.kind for mark in marks} == {"mole", "scar", "freckle", "birthmark"}
    moles = [mark for mark in marks if mark.kind == "mole"]
    assert max(mark.radius for mark in moles) <= 0.02
    assert not [m for m in moles if 0.1 < abs(m.x) < 0.5 and 7.15 < m.y < 7.45]


def test_splits_have_room_and_a_third_of_people_several_ages():
    starts = sorted(SPLITS.values())
    assert min(np.diff(starts)) >= 1_000_000
    ages = [len({s.years for s in sittings(seed, 8, "portraits")}) for seed in range(300)]
    assert 0.25 < np.mean(np.array(ages) > 1) < 0.42


def test_portraits_look_ahead_and_poses_turn():
    for kind, low, high in (("portraits", 0.97, 1.0), ("poses", 0.5, 0.8)):
        shots = [s.shot for seed in range(60) for s in sittings(seed, 8, kind)]
        yaw = np.abs([shot.yaw for shot in shots])
        assert low <= np.mean(yaw <= 25) <= high
        assert yaw.max() <= 60
