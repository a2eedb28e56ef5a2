"""Marks on the skin: moles, freckles, scars, birthmarks, in the template's x, y from the front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SCAR_FROM = 20  # years


@dataclass(frozen=True)
class Mark:
    """A mark about (x, y) of this radius (dm); a scar reaches to (x2, y2)."""

    kind: str
    x: float
    y: float
    radius: float
    x2: float
    y2: float


def draw_marks(rng: np.random.Generator, freckled: float) -> tuple[Mark, ...]:
    """A person's marks; `freckled`: the chance of freckles."""
    marks = [_spot("mole", *_place(rng), rng.uniform(0.011, 0.02)) for _ in range(rng.integers(4))]
    if rng.random() < 0.06:
        marks.append(_spot("birthmark", *_place(rng), rng.uniform(0.06, 0.12)))
    if rng.random() < 0.12:
        x, y = _place(rng)
        dx, dy = rng.normal(0, 0.14, 2)
        marks.append(Mark("scar", x, y, 0.02, float(x + dx), float(y + dy)))
    if rng.random() < freckled:
        for _ in range(rng.integers(50, 130)):
            wide = 0.38 if rng.random() < 0.7 else 0.5
            x, y = rng.normal(0, wide), rng.normal(7.02, 0.13)
            marks.append(_spot("freckle", float(x), float(y), rng.uniform(0.009, 0.017)))
    return tuple(marks)


def shown(marks: tuple[Mark, ...], years: float) -> list[Mark]:
    """The marks that are there at an age."""
    return [mark for mark in marks if mark.kind != "scar" or years > SCAR_FROM]


def _place(rng: np.random.Generator) -> tuple[float, float]:
    # On cheeks, forehead, chin: not in an eye, not on the lips.
    while True:
        x, y = rng.uniform(-0.58, 0.58), rng.uniform(6.3, 7.85)
        eye = 0.1 < abs(x) < 0.5 and 7.15 < y < 7.45
        mouth = abs(x) < 0.3 and 6.48 < y < 6.74
        outside = abs(x) > 0.25 + 0.45 * (y - 6.2)
        if not (eye or mouth or outside):
            return float(x), float(y)


def _spot(kind: str, x: float, y: float, radius: float) -> Mark:
    return Mark(kind, x, y, float(radius), x, y)
