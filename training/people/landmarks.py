"""Landmarks: 72 points that move with the skin, 5 points, and where marks are in a picture.

Order: jaw 0-16 from the picture's left to its right, brows 17-21 and 22-26, bridge 27-30 downwards,
nostrils 31-35, left eye 36-43 (outer corner, over the top, inner corner, back below), right eye
44-51 (inner corner first), outer lips 52-63 (left corner, over the top), inner lips 64-71. Brows
follow the painted brow of each person.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .identity import Person
from .skin import brow_height
from .surface import Spot, locate

_JAW_LEFT = (5711, 5709, 5752, 912, 5240, 892, 917, 5292)
_JAW_RIGHT = (11898, 7619, 7594, 11849, 7614, 12349, 12306, 12308)
JAW = (*_JAW_LEFT, 5296, *_JAW_RIGHT)
NOSE = (133, 131, 201, 5054, 318, 352, 317, 7113, 7080)
LEFT_EYE = (4854, 6, 4847, 4866, 67, 1071, 1069, 6777)
RIGHT_EYE = (6851, 11484, 11465, 6790, 11472, 13373, 7761, 7763)
OUTER_LIPS = (422, 5352, 457, 466, 7216, 11954, 7182, 7233, 7245, 496, 490, 478)
INNER_LIPS = (414, 470, 474, 7226, 7174, 7265, 523, 518)
COUNT, BROWS = 72, slice(17, 27)
FIVE = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
# Which point a mirrored picture shows at each place.
MIRROR = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(48, 47, 46, 45, 44, 51, 50, 49),
    *(40, 39, 38, 37, 36, 43, 42, 41),
    *(58, 57, 56, 55, 54, 53, 52, 63, 62, 61, 60, 59),
    *(68, 67, 66, 65, 64, 71, 70, 69),
)


@lru_cache(16)
def landmark_spots(p: Person) -> Spot:
    """The 72 points of a person, wherever the skin goes."""
    brow = np.linspace(p.brows.outer, p.brows.inner, 5)
    across = np.concatenate([-brow, brow[::-1]])
    brows = locate(across, brow_height(p, np.abs(across)))
    before, after = (
        _vertices(JAW),
        _vertices((*NOSE, *LEFT_EYE, *RIGHT_EYE, *OUTER_LIPS, *INNER_LIPS)),
    )
    parts = (before, brows, after)
    return Spot(
        np.concatenate([s.vertices for s in parts]), np.concatenate([s.weights for s in parts])
    )


def five_points(points: np.ndarray) -> np.ndarray:
    """Eyes' middles, tip of the nose and corners of the mouth, of 72 points (72, d)."""
    eyes = points[36:44].mean(0), points[44:52].mean(0)
    return np.stack([*eyes, points[30], points[52], points[58]])


def _vertices(numbers: tuple[int, ...]) -> Spot:
    corners = np.repeat(np.array(numbers)[:, None], 3, 1)
    return Spot(corners, np.tile([1.0, 0.0, 0.0], (len(numbers), 1)))
