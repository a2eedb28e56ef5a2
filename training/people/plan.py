"""Who is in a set and how often: seeds of people by split, ages, looks and shots of a person.

A plan is a function of the person's seed alone: any process may draw any person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .identity import person
from .look import Look, changed_wear, make_look, usual_wear
from .shot import KINDS, Shot, draw_shot

# First seed of each split; a split has at most the seeds up to the next.
SPLITS = {"train": 0, "held-out": 1_000_000, "judges": 2_000_000, "judges-held-out": 3_000_000}
AGES = (8, 18, 24, 32, 42, 52, 62, 72)
AGE_CHANCES = (0.10, 0.10, 0.20, 0.18, 0.15, 0.11, 0.09, 0.07)
FURTHER = (8, 26, 46, 70)
SEVERAL_AGES = 1 / 3  # of all people


@dataclass(frozen=True)
class Sitting:
    """One photo's place in a plan: the age, the look (its number is its seed) and the shot."""

    years: float
    look: int
    shot: Shot


def sittings(seed: int, count: int, kind: str) -> list[Sitting]:
    """The photos of a person: two looks an age, photos of a look one after another."""
    rng = np.random.default_rng([10, seed])
    first = float(rng.choice(AGES, p=AGE_CHANCES)) + float(rng.integers(-2, 3))
    ages = [first]
    if rng.random() < SEVERAL_AGES and count >= 4:
        far = [age for age in FURTHER if abs(age - first) > 13]
        more = rng.choice(far, 2 if count >= 8 and rng.random() < 0.5 else 1, replace=False)
        ages += [float(age) for age in more]
    looks = [(years, 2 * i + j) for i, years in enumerate(ages) for j in (0, 1)]
    share = np.sort(np.arange(count) % len(looks))
    return [
        Sitting(*looks[place], shot=draw_shot(np.random.default_rng([11, seed, i]), KINDS[kind]))
        for i, place in enumerate(share)
    ]


def look_of(seed: int, sitting: Sitting) -> Look:
    """The look of a sitting: even numbers are the person's usual one, odd ones differ from it."""
    p = person(seed)
    rng = np.random.default_rng([12, seed, sitting.look])
    wear = changed_wear if sitting.look % 2 else usual_wear
    return make_look(p, sitting.years, wear(rng, p, sitting.years), sitting.look)
