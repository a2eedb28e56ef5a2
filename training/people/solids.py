"""Solids for glasses, hats and earrings: points (n, 3) and triangles (m, 3)."""

from __future__ import annotations

import numpy as np

from .formulas import unit

Solid = tuple[np.ndarray, np.ndarray]


def tube(path: np.ndarray, radius: float, sides: int = 6, closed: bool = False) -> Solid:
    """A round wire along `path` (k, 3)."""
    path = np.asarray(path, np.float64)
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead = unit(ahead)
    a = unit(np.cross(ahead, np.array([0.3, 1, 0.2])))
    b = np.cross(ahead, a)
    angle = np.arange(sides) / sides * 2 * np.pi
    ring = a[:, None] * np.cos(angle)[:, None] + b[:, None] * np.sin(angle)[:, None]
    points = (path[:, None] + radius * ring).reshape(-1, 3)
    return points, grid(len(path), sides, wrap_rows=closed)


def grid(rows: int, columns: int, wrap_rows: bool = False, wrap_columns: bool = True) -> np.ndarray:
    """Triangles between rows of points; columns (and rows) may close to a ring."""
    i = np.arange(rows if wrap_rows else rows - 1)[:, None]
    j = np.arange(columns if wrap_columns else columns - 1)[None]
    here, right = i * columns + j, i * columns + (j + 1) % columns
    below = (i + 1) % rows * columns
    down, across = below + j, below + (j + 1) % columns
    triangles = [np.stack([here, right, down], -1), np.stack([right, across, down], -1)]
    return np.concatenate([t.reshape(-1, 3) for t in triangles])


def revolved(
    centre: np.ndarray, radii: np.ndarray, profile: np.ndarray, sectors: int, ribs: float = 0.0
) -> Solid:
    """A profile (k, 2) of (radius, height), beside `radii` (3,), turned about the vertical.

    `ribs`: how deep every second sector is folded in.
    """
    angle = np.arange(sectors) / sectors * 2 * np.pi
    fold = 1 - ribs * (np.arange(sectors) % 2)
    r, h = profile[:, 0][:, None] * fold, profile[:, 1][:, None] + 0 * angle
    points = np.stack([r * np.sin(angle), h, r * np.cos(angle)], -1)
    return centre + radii * points.reshape(-1, 3), grid(len(profile), sectors)


def ball(centre: np.ndarray, radius: float, sectors: int = 10) -> Solid:
    """A sphere."""
    e = np.linspace(-np.pi / 2, np.pi / 2, sectors // 2 + 2)
    profile = np.stack([np.cos(e), np.sin(e)], 1)
    return revolved(centre, np.full(3, radius), profile, sectors)
