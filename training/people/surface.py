"""The template's surface: texels of its texture, and points seen from the front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .body import SKIN, body
from .raster import draw_triangles

TEXTURE = 512
MASK = 512  # texels of the masks over the same UV
HEAD_FROM = 5.6  # texels above this y are painted; below is plain skin or cloth


@dataclass(frozen=True)
class Texels:
    """The head's texels: row, column, template position (n, 3), masks (4, n) in 0..1."""

    row: np.ndarray
    column: np.ndarray
    position: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class Spot:
    """A point that moves with the skin: three vertices and their weights."""

    vertices: np.ndarray  # (k, 3)
    weights: np.ndarray  # (k, 3)

    def on(self, points: np.ndarray) -> np.ndarray:
        """Where the points are on a body of these vertices, (k, 3)."""
        return (points[self.vertices] * self.weights[:, :, None]).sum(1)


@cache
def texels() -> Texels:
    """Texels of the head, each with the template position that it paints."""
    b = body()
    drawn = b.material == SKIN
    corner_uv = b.triangle_uv[drawn]
    u, v = b.uv[:, 0] * TEXTURE, (1 - b.uv[:, 1]) * TEXTURE
    depth = np.full((TEXTURE, TEXTURE), -1e9)
    seen = np.full((TEXTURE, TEXTURE), -1, np.int64)
    flat = np.zeros(len(u))
    for du, dv in ((0.6, 0.6), (-0.6, -0.6), (0.6, -0.6), (-0.6, 0.6)):  # over the seams
        draw_triangles(u + du, v + dv, flat, corner_uv, depth, seen)
    depth[:] = -1e9
    draw_triangles(u, v, flat, corner_uv, depth, seen)
    row, column = np.where(seen >= 0)
    found = seen[row, column]
    weights = _weights(np.stack([u, v], 1), corner_uv[found], column + 0.5, row + 0.5)
    corners = b.template[b.skin[found]]
    position = (corners * np.clip(weights, 0, 1)[:, :, None]).sum(1)
    head = position[:, 1] > HEAD_FROM
    row, column = row[head], column[head]
    masks = b.masks[:, row * MASK // TEXTURE, column * MASK // TEXTURE] / 255.0
    return Texels(row, column, position[head], masks)


def _weights(points: np.ndarray, corners: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    (ax, ay), (bx, by), (cx, cy) = (points[corners[:, i]].T for i in range(3))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    area = np.where(area == 0, 1e-12, area)
    v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
    w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
    return np.stack([1 - v - w, v, w], -1)


@cache
def _front_of_head() -> np.ndarray:
    b = body()
    middle = b.template[b.skin].mean(1)
    a, c, d = (b.template[b.skin[:, i]] for i in range(3))
    towards = np.cross(c - a, d - a)[:, 2] > 0
    head = (middle[:, 1] > 6.0) & (middle[:, 2] > 0.3) & (np.abs(middle[:, 0]) < 0.9)
    return b.skin[head & towards]


def locate(x: np.ndarray, y: np.ndarray) -> Spot:
    """The points of the face that one sees at (x, y) from the front of the template, as a Spot."""
    b, corners = body(), _front_of_head()
    vertices, weights = [], []
    for px, py in zip(x, y, strict=True):
        w = _weights(b.template[:, :2], corners, px, py)
        inside = w.min(1) > -1e-6
        if not inside.any():  # beside the face: the nearest triangle
            inside = w.min(1) >= np.sort(w.min(1))[-3]
        depth = np.where(inside, (b.template[corners, 2] * w).sum(1), -np.inf)
        best = int(np.argmax(depth))
        vertices.append(corners[best])
        clipped = np.clip(w[best], 0, 1)
        weights.append(clipped / clipped.sum())
    return Spot(np.array(vertices).reshape(-1, 3), np.array(weights).reshape(-1, 3))
