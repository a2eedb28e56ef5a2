"""Colours and looks by ancestry, as chances; hair has a name that captions use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .formulas import colour

HAIR = {
    "black": ("0d0b0a", "120d0b", "15100d"),
    "brown": ("2a1a10", "3b2615", "4a2f1b"),
    "light brown": ("6b4728", "7a5230"),
    "blond": ("c79a5b", "d8b26e", "e0bf82"),
    "red": ("9c3f1a", "b04a1c", "86301a"),
}
CLOTHES = {
    "red": "b3262b",
    "blue": "2b4c8c",
    "green": "2f6b42",
    "white": "d8d6d2",
    "black": "232326",
    "grey": "77797d",
    "yellow": "d8b52d",
    "purple": "6a3d86",
    "navy": "1c2740",
    "orange": "e0641a",
    "pink": "e08ab4",
    "teal": "23757a",
}
GREY_HAIR, GREY_BROW = "c4c1bd", "a8a5a0"
FRAMES = ("111111", "3a2010", "8b1f1f", "88888c", "9b7b2f", "1f3f8b")


@dataclass(frozen=True)
class Ancestry:
    """What somebody of an ancestry may have; `race` leans to african, asian, caucasian."""

    chance: float
    race: tuple[float, float, float]
    skin: tuple[str, ...]
    iris: tuple[str, ...]
    hair: dict[str, float]


ANCESTRIES = {
    "african": Ancestry(
        0.18,
        (1, 0, 0),
        ("5a3825", "7a4e34", "8d5f3f", "432818"),
        ("2b1608", "3a2010"),
        {"black": 0.84, "brown": 0.10, "blond": 0.03, "red": 0.03},
    ),
    "asian": Ancestry(
        0.18,
        (0, 1, 0),
        ("e2b78f", "d3a27a", "e9c4a0", "c4925f"),
        ("2a1609", "3d2412"),
        {"black": 0.74, "brown": 0.14, "light brown": 0.06, "blond": 0.03, "red": 0.03},
    ),
    "caucasian": Ancestry(
        0.34,
        (0, 0, 1),
        ("e8bc9c", "e0ae8f", "edc8ae", "cf9b77"),
        ("4f7ea8", "6d8f6a", "7b5a34", "3d2412", "7d97a5"),
        {"black": 0.10, "brown": 0.24, "light brown": 0.16, "blond": 0.30, "red": 0.20},
    ),
    "latin": Ancestry(
        0.15,
        (0.25, 0.2, 0.55),
        ("c68f66", "b57d55", "d7a580"),
        ("3d2412", "2b1608", "6b5a2f"),
        {"black": 0.42, "brown": 0.34, "light brown": 0.10, "blond": 0.09, "red": 0.05},
    ),
    "indian": Ancestry(
        0.15,
        (0.25, 0.25, 0.5),
        ("a9744b", "8f5e3b", "bd8a60"),
        ("2b1608", "3a2010"),
        {"black": 0.86, "brown": 0.12, "red": 0.02},
    ),
}


def one_of(rng: np.random.Generator, chances: dict[str, float]) -> str:
    """A key, by its chance (chances need not add up to 1)."""
    p = np.array(list(chances.values()))
    return str(rng.choice(list(chances), p=p / p.sum()))


def cloth_unlike(rng: np.random.Generator, skin: np.ndarray) -> str:
    """The name of a cloth colour that nobody takes for this skin (linear RGB)."""
    seen = skin ** (1 / 2.2)
    far = [
        name
        for name, code in CLOTHES.items()
        if np.linalg.norm(colour(code) ** (1 / 2.2) - seen) > 0.32
    ]
    return far[rng.integers(len(far))]
