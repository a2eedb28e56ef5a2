"""Where a face of landmarks lies: the hull of its points and of their mirror about the eye line.

Landmarks end at the brows; the chin, mirrored about the eye line, says where the forehead is.
"""

from __future__ import annotations

import numpy as np
import torch

from ..faces.boxes import Box
from .landmarks import LEFT_EYE, RIGHT_EYE

GROWN, SOFT = 0.15, 0.05  # of the hull's height
FOREHEAD = 0.8  # of the way from the eyes to the chin: where the hairline is


def outline(points: np.ndarray, share: float = 1.0) -> np.ndarray:
    """Corners (K, 2) in order of the hull of points (72, 2 or more) and of their mirror.

    share: how far the mirror reaches, 1 for as far above the eyes as the chin lies below.
    """
    flat = np.asarray(points, np.float64)[:, :2]
    middle, down = _axes(np.asarray(points, np.float64))
    above = flat - (1 + share) * ((flat - middle) @ down)[:, None] * down
    return _hull(np.concatenate([flat, above]))


def face_mask(points: np.ndarray, width: int, height: int) -> torch.Tensor:
    """Mask (height, width), 0..1: the outline grown by 15 % of its height, soft over 5 %."""
    corners = outline(points)
    _, down = _axes(np.asarray(points, np.float64))
    tall = float(np.ptp(corners @ down))
    grown, soft = GROWN * tall, max(SOFT * tall, 1e-3)
    reach = grown + soft
    low = np.floor(corners.min(0) - reach).clip(0, (width, height)).astype(int)
    high = np.ceil(corners.max(0) + reach).clip(0, (width, height)).astype(int)
    mask = torch.zeros(height, width)
    (x1, y1), (x2, y2) = low.tolist(), high.tolist()
    if x1 < x2 and y1 < y2:
        x, y = np.arange(x1, x2) + 0.5, np.arange(y1, y2) + 0.5
        away = _distance(corners, x.astype(np.float32), y.astype(np.float32), reach)
        mask[y1:y2, x1:x2] = torch.from_numpy(((grown - away) / soft + 0.5).clip(0, 1))
    return mask


def face_box(points: np.ndarray, width: int, height: int) -> Box | None:
    """The face from chin to forehead, as detectors see it; None outside of the picture."""
    corners = outline(points, FOREHEAD).clip(0, (width, height))
    (x1, y1), (x2, y2) = corners.min(0).round().tolist(), corners.max(0).round().tolist()
    return Box(x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A place on the eye line and the direction (2,) across it, down the face, of length 1."""
    left, right = points[LEFT_EYE, :2].mean(0), points[RIGHT_EYE, :2].mean(0)
    middle = (left + right) / 2
    towards_chin = points[8, :2] - middle
    across = right - left
    down = np.array([-across[1], across[0]])
    # seen from the side the eyes lie together, and then the chin says what is down
    length, size = np.linalg.norm(down), np.linalg.norm(towards_chin)
    if length < 0.2 * size or down @ towards_chin < 0.5 * length * size:
        down, length = towards_chin, size
    return middle, down / length if length else np.array([0.0, 1.0])


def _hull(points: np.ndarray) -> np.ndarray:
    """The convex hull (K, 2) of points, by Andrew's monotone chain, in order of the angle."""
    ordered = sorted({(float(x), float(y)) for x, y in points})

    def chain(places: list[tuple[float, float]]) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        for x, y in places:
            while len(found) > 1:
                (ax, ay), (bx, by) = found[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                found.pop()
            found.append((x, y))
        return found

    if len(ordered) < 3:
        return np.array(ordered)
    return np.array(chain(ordered)[:-1] + chain(ordered[::-1])[:-1])


def _distance(corners: np.ndarray, x: np.ndarray, y: np.ndarray, reach: float) -> np.ndarray:
    """How far places are outside of a convex outline, (h, w) float32; exact up to `reach`.

    x: (w,), y: (h,).
    """
    starts, ends = corners.astype(np.float32), np.roll(corners, -1, 0).astype(np.float32)
    sides = ends - starts
    lengths = np.maximum(np.linalg.norm(sides, axis=1), 1e-6)
    beyond = np.full((len(y), len(x)), -np.inf, np.float32)
    for (ax, ay), (ux, uy), size in zip(starts, sides, lengths, strict=True):
        np.maximum(beyond, (y[:, None] - ay) * (-ux / size) + (x - ax) * (uy / size), out=beyond)
    if len(corners) < 3:  # a line or a place has no inside
        beyond[:] = reach
    # beyond a side is no farther than beyond the nearest corner: only a ring is looked at closely
    rows, columns = ((beyond > 0) & (beyond <= reach)).nonzero()
    px, py = x[columns], y[rows]
    nearest = np.full(len(rows), np.inf, np.float32)
    for (ax, ay), (ux, uy), size in zip(starts, sides, lengths, strict=True):
        along = (((px - ax) * ux + (py - ay) * uy) / size**2).clip(0, 1)
        apart = (px - ax - along * ux) ** 2 + (py - ay - along * uy) ** 2
        np.minimum(nearest, apart, out=nearest)
    beyond[rows, columns] = np.sqrt(nearest)
    return beyond.clip(min=0)
