"""Small formulas that every part of the drawing uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def smoothstep(low: ArrayLike, high: ArrayLike, x: ArrayLike) -> np.ndarray:
    """0 at `low`, 1 at `high` (which may be the smaller), with level ends."""
    t = np.clip((np.asarray(x) - low) / (np.asarray(high) - np.asarray(low)), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: ArrayLike, b: ArrayLike, t: ArrayLike) -> np.ndarray:
    """a + (b - a) t."""
    a = np.asarray(a)
    return a + (np.asarray(b) - a) * t


def unit(v: np.ndarray) -> np.ndarray:
    """`v` (..., 3) at length 1."""
    return v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9)


def colour(code: str) -> np.ndarray:
    """Linear RGB of a colour like "b3262b", with a gamma of 2.2."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]) ** 2.2


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation about y, then x, then z (radians), (3, 3), for column vectors."""
    cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cz, sz = np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def turned(points: np.ndarray, matrix: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """`points` (n, 3) rotated about `pivot`.

    Written out: a matrix product's last bits may depend on the number of threads.
    """
    x, y, z = (points - pivot).T
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in matrix], 1) + pivot
