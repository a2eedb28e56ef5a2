"""Expressions: named mixtures of the 52 units of ARKit's names, with small movements added."""

from __future__ import annotations

from functools import cache

import numpy as np

from .body import body
from .palette import one_of


def _both(**units: float) -> dict[str, float]:
    return {unit + side: weight for unit, weight in units.items() for side in ("Left", "Right")}


NAMED = {
    "neutral": {},
    "smiling": _both(mouthSmile=0.75, cheekSquint=0.4, eyeSquint=0.2),
    "laughing": {
        **_both(mouthSmile=0.85, mouthUpperUp=0.35, cheekSquint=0.6, eyeSquint=0.4),
        "jawOpen": 0.32,
    },
    "frowning": _both(browDown=0.9, mouthFrown=0.6, noseSneer=0.25),
    "surprised": {**_both(browOuterUp=0.8, eyeWide=0.7), "jawOpen": 0.45, "browInnerUp": 0.9},
    "eyes closed": _both(eyeBlink=1.0),
    "sad": {**_both(mouthFrown=0.7), "browInnerUp": 0.9},
}
CHANCES = {
    "neutral": 0.30,
    "smiling": 0.28,
    "laughing": 0.14,
    "frowning": 0.08,
    "surprised": 0.09,
    "eyes closed": 0.04,
    "sad": 0.07,
}
SMALL = (
    *("jawLeft", "jawRight", "mouthLeft", "mouthRight", "mouthPucker", "mouthFunnel", "cheekPuff"),
    *("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "eyeSquintLeft", "eyeSquintRight"),
    *("mouthPressLeft", "mouthPressRight", "mouthShrugLower", "noseSneerLeft", "noseSneerRight"),
)


@cache
def units() -> tuple[str, ...]:
    """The names of the 52 units, in the order of stored numbers."""
    names = (name.partition(":") for name in body().target_index)
    return tuple(stem for kind, _, stem in names if kind == "expression")


def draw_expression(rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """An expression's name and its 52 numbers."""
    name = one_of(rng, CHANCES)
    weights = np.zeros(len(units()))
    strength = rng.uniform(0.7, 1.15)
    for unit, weight in NAMED[name].items():
        weights[units().index(unit)] = min(1.0, weight * strength)
    for unit in rng.choice(SMALL, rng.integers(0, 4), replace=False):
        weights[units().index(str(unit))] += rng.uniform(0.05, 0.3)
    return name, np.round(np.clip(weights, 0, 1), 3)


def named(name: str) -> np.ndarray:
    """The 52 numbers of a named expression at full strength."""
    weights = np.zeros(len(units()))
    for unit, weight in NAMED[name].items():
        weights[units().index(unit)] = weight
    return weights


def target_weights(numbers: np.ndarray) -> dict[str, float]:
    """Target weights of 52 numbers."""
    return {
        "expression:" + unit: float(weight)
        for unit, weight in zip(units(), numbers, strict=True)
        if weight
    }
