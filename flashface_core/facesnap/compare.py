"""How far points lie from where they were wanted, and a picture that shows it."""

from __future__ import annotations

import numpy as np

from .landmark_model import eye_distance


def error(wanted: np.ndarray, found: np.ndarray) -> float:
    """The mean distance of points (72, 2 or 3) in x and y, in % of the wanted eyes' distance.

    The eyes' distance is the one in space where z is known: seen from the side they lie together.
    """
    apart = np.linalg.norm(wanted[:, :2] - found[:, :2], axis=1).mean()
    return 100 * float(apart) / max(eye_distance(wanted), 1e-6)
