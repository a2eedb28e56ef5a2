"""The identity as numbers: what a regressor learns to read from pictures."""

from __future__ import annotations

import numpy as np

from .identity import BEARDS, GLASSES, STYLES, Person
from .morph import HEAD_SHAPES, local_axes


def identity_vector(p: Person) -> np.ndarray:
    """A person's numbers, float32, named by `vector_names`."""
    b = p.brows
    hot = [
        *(p.head_shape_weight * (p.head_shape == s) for s in HEAD_SHAPES),
        *(float(p.style == s) for s in STYLES),
        *(float(p.beard == s) for s in BEARDS),
        *(float(p.glasses == s) for s in GLASSES),
    ]
    who = [p.male, p.gender, *p.race, p.fat]
    paint = [*p.skin, *p.hair, *p.iris, p.lips, p.lip_colour, p.blush]
    brows = [b.thickness, b.height, b.arch, b.slope, b.inner, b.outer, b.density]
    hair = [p.parting, p.fringe, p.wave, p.hairline, p.length]
    later = [p.baldness, p.greying, p.earrings]
    parts = (who, p.axes, hot, paint, brows, hair, later)
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def vector_names() -> list[str]:
    """The names of the numbers in `identity_vector`."""
    return [
        *("male", "gender", "african", "asian", "caucasian", "fat"),
        *(f"{axis.group}/{axis.name}" for axis in local_axes()),
        *(f"head shape {s}" for s in HEAD_SHAPES),
        *(f"style {s}" for s in STYLES),
        *(f"beard {s}" for s in BEARDS),
        *(f"glasses {s}" for s in GLASSES),
        *(f"{part} {c}" for part in ("skin", "hair", "iris") for c in ("red", "green", "blue")),
        *("lips", "lip colour", "blush"),
        *("brow thickness", "brow height", "brow arch", "brow slope", "brow inner"),
        *("brow outer", "brow density", "parting", "fringe", "wave", "hairline", "length"),
        *("baldness", "greying", "earrings"),
    ]
