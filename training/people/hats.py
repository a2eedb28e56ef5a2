"""Hats: a cap with a peak, a knitted hat with a cuff, a sun hat with a ribbon."""

from __future__ import annotations

import numpy as np

from .accessories import Head, Part
from .body import HAT, HAT_TRIM, SKIN_VERTICES, body
from .solids import Solid, ball, grid, revolved

HATS = ("none", "cap", "beanie", "sun hat")
TILT = 0.16  # hats sit higher in front
ROOM = {"cap": 0.10, "beanie": 0.12, "sun hat": 0.12}
TOP = {"cap": 0.12, "beanie": 0.20, "sun hat": 0.20}
SECTORS = 48


def hat(kind: str, head: Head) -> tuple[list[Part], np.ndarray, np.ndarray]:
    """The hat's parts, and centre (3,) and half axes (3,) of the space in it."""
    b = body()
    skull = b.head_share[:SKIN_VERTICES] > 0.98
    skull &= b.template[:SKIN_VERTICES, 1] > 7.55
    bone = head.vertices[:SKIN_VERTICES][skull]
    low, high = bone.min(0), bone.max(0)
    room = ROOM[kind] * head.size
    centre = np.array([0, head.centre[1] + 0.34 * head.size, (low[2] + high[2]) / 2])
    radii = np.array([np.abs(bone[:, 0]).max() + room, 0, (high[2] - low[2]) / 2 + room])
    radii[1] = high[1] - centre[1] + TOP[kind] * head.size
    make = {"cap": _cap, "beanie": _beanie, "sun hat": _sun_hat}[kind]
    parts = [
        ((_tilted(points, centre), faces), m) for (points, faces), m in make(centre, radii, head)
    ]
    return parts, centre, radii


def tucked(strands: np.ndarray, centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Hair (n, k, 3) with what would stick through the hat pulled inside."""
    inside = strands - centre
    inside[..., 1] -= TILT * inside[..., 2]
    reach = np.sqrt(((inside / radii) ** 2).sum(-1))
    above = inside[..., 1] > -0.02 * radii[1]
    scale = np.where(above & (reach > 0.9), 0.9 / np.maximum(reach, 1e-9), 1.0)
    return centre + (strands - centre) * scale[..., None]


def _tilted(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    points = points.copy()
    points[:, 1] += TILT * (points[:, 2] - centre[2])
    return points


def _crown(power: float, lowest: float, highest: float = np.pi / 2) -> np.ndarray:
    e = np.linspace(lowest, highest, 11)
    return np.stack([np.abs(np.cos(e)) ** power, np.sin(e)], 1)


def _cap(centre: np.ndarray, radii: np.ndarray, head: Head) -> list[Part]:
    crown = revolved(centre, radii, _crown(0.8, -0.04), SECTORS)
    top = centre + np.array([0, radii[1], 0])
    peak = _peak(centre, radii, head.size)
    return [(crown, HAT), (peak, HAT_TRIM), (ball(top, 0.07 * head.size), HAT_TRIM)]


def _peak(centre: np.ndarray, radii: np.ndarray, size: float) -> Solid:
    angle = np.linspace(-1.15, 1.15, 21)
    rows = []
    for out, lift in ((0.98, 0.05), (0.98, 0.05), (1.0, 0.0), (1.0, 0.0), (0.98, 0.0)):
        rows.append(np.stack([out * np.sin(angle), lift + 0 * angle, out * np.cos(angle)], 1))
    reach = np.cos(angle / 1.15 * np.pi / 2) ** 0.6
    drop = 0.10 + 0.30 * np.sin(angle) ** 2
    far = np.stack([0.1 * np.sin(angle), -drop * reach, 0.68 * reach], 1) * size
    thick = np.array([0, 0.03 * size, 0])
    inner_top, inner_low = centre + radii * rows[0], centre + radii * rows[4] - thick
    outer_top, outer_low = centre + radii * rows[2] + far, centre + radii * rows[2] + far - thick
    half = (inner_top + outer_top) / 2 + np.array([0, 0.05 * size, 0])
    points = np.concatenate([inner_top, half, outer_top, outer_low, inner_low])
    return points, grid(5, len(angle), wrap_columns=False)


def _beanie(centre: np.ndarray, radii: np.ndarray, head: Head) -> list[Part]:
    crown = revolved(centre, radii, _crown(0.75, 0.05), 2 * SECTORS, ribs=0.03)
    cuff = np.array(
        [(0.98, -0.16), (1.07, -0.15), (1.10, 0.0), (1.10, 0.22), (1.04, 0.30), (0.95, 0.30)]
    )
    parts = [(crown, HAT), (revolved(centre, radii, cuff, 2 * SECTORS, ribs=0.035), HAT_TRIM)]
    if int(1000 * radii[0]) % 2:
        top = centre + np.array([0, radii[1] + 0.1 * head.size, 0])
        parts.append((ball(top, 0.22 * head.size, 14), HAT_TRIM))
    return parts


def _sun_hat(centre: np.ndarray, radii: np.ndarray, head: Head) -> list[Part]:
    profile = np.array(
        [(1.0, -0.05), (1.0, 0.3), (0.96, 0.7), (0.86, 0.93), (0.6, 1.0), (0.0, 0.97)]
    )
    band = np.array([(1.02, -0.03), (1.03, 0.0), (1.03, 0.26), (1.0, 0.28)])
    wide = 1 + 0.75 * head.size / radii[0]
    brim = np.array([(1.0, 0.0), (mid := (1 + wide) / 2, -0.03), (wide, -0.14), (wide, -0.17)])
    brim = np.concatenate([brim, [(mid, -0.07), (1.0, -0.04)]])
    return [
        (revolved(centre, radii, profile, SECTORS), HAT),
        (revolved(centre, radii, band, SECTORS), HAT_TRIM),
        (revolved(centre, radii, brim, SECTORS), HAT),
    ]
