"""The 72 landmarks: their order, their mirror, and where MediaPipe's points are among them.

Order: jaw 0-16 from the picture's left to its right, brows 17-21 and 22-26, bridge 27-30 downwards,
nostrils 31-35, left eye 36-43 (outer corner, over the top, inner corner, back below), right eye
44-51 (inner corner first), outer lips 52-63 (left corner, over the top), inner lips 64-71. Left and
right are the picture's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import for_users, shown

VERSION = "72.1"
COUNT = 72
JAW = slice(0, 17)
LEFT_BROW, RIGHT_BROW = slice(17, 22), slice(22, 27)
BRIDGE, NOSTRILS = slice(27, 31), slice(31, 36)
LEFT_EYE, RIGHT_EYE = slice(36, 44), slice(44, 52)
OUTER_LIPS, INNER_LIPS = slice(52, 64), slice(64, 72)
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
"""Which point a mirrored picture shows at each place."""

MEDIAPIPE = (
    *(127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356),
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
    *(168, 197, 5, 1, 98, 97, 2, 326, 327),
    *(33, 161, 159, 157, 133, 154, 145, 163, 362, 384, 386, 388, 263, 390, 374, 381),
    *(61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178),
)
"""Which of MediaPipe's 478 points each of ours is; its z grows away from the viewer too."""


@for_users
class LandmarkError(ValueError):
    """Landmarks that no face has; the text says what is wrong and what to do."""


def five_points(points: np.ndarray) -> np.ndarray:
    """Eyes' middles, tip of the nose, corners of the mouth: (..., 5, d) of (..., 72, d)."""
    eyes = points[..., LEFT_EYE, :].mean(-2), points[..., RIGHT_EYE, :].mean(-2)
    return np.stack([*eyes, points[..., 30, :], points[..., 52, :], points[..., 58, :]], -2)


def eye_distance(points: np.ndarray) -> float:
    """The distance of the eyes' middles of points (72, 2 or 3)."""
    return float(np.linalg.norm(points[LEFT_EYE].mean(0) - points[RIGHT_EYE].mean(0)))


def mirrored(points: np.ndarray, width: float) -> np.ndarray:
    """The landmarks (..., 72, d) of the mirrored picture, which is `width` pixels wide."""
    found = points[..., list(MIRROR), :].copy()
    found[..., 0] = width - found[..., 0]
    return found


def from_mediapipe(face: Any) -> np.ndarray:
    """Our points (72, 3) in pixels of one face of core's FACE_LANDMARKS.

    x and y are `landmarks_xy`; z is that of `landmarks_3d` times the scale of the similarity that
    carries its x, y onto `landmarks_xy`. Raises LandmarkError for what is no such face.
    """
    try:
        flat = np.asarray(face["landmarks_xy"], np.float64)
        solid = np.asarray(face["landmarks_3d"], np.float64)
        flat, solid = flat[list(MEDIAPIPE), :2], solid[list(MEDIAPIPE), :3]
        flat, solid = flat.reshape(COUNT, 2), solid.reshape(COUNT, 3)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise LandmarkError(
            f"'face_landmarks' has a face without MediaPipe's 478 points ({shown(str(error))}). "
            "Connect Detect Face Landmarks (MediaPipe)."
        ) from error
    s, d = (p[:, 0] + 1j * p[:, 1] for p in (solid, flat))
    s, d = s - s.mean(), d - d.mean()
    spread = float((np.abs(s) ** 2).sum())
    if not np.isfinite(spread) or spread == 0 or not np.isfinite(d).all():
        raise LandmarkError(
            "'face_landmarks' has a face whose points lie in one place or are no numbers. Use "
            "another picture."
        )
    scale = abs((s.conj() * d).sum() / spread)
    return np.concatenate([flat, scale * solid[:, 2:]], 1)
