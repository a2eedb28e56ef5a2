"""Where hair and beards grow on the template: smooth masks of template positions (n, 3)."""

from __future__ import annotations

import numpy as np

from .body import HEAD_CENTRE
from .formulas import smoothstep

# The hairline: the elevation (degrees) from which on hair grows, over |azimuth|; the sideburn and
# the free place about the ear make it wavy.
AZIMUTHS = (0, 25, 48, 62, 72, 78, 88, 106, 116, 150, 180)
FRONT = (43, 42, 29)
SIDES = (6, -12, 8, 14, 8, -22, -36, -40)


def angles(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|azimuth| from the front and elevation about the head's centre, in degrees."""
    x, y, z = (points - HEAD_CENTRE).T
    azimuth = np.degrees(np.arctan2(np.abs(x), z))
    return azimuth, np.degrees(np.arctan2(y, np.hypot(x, z)))


def hair_region(points: np.ndarray, hairline: float, receding: float, crown: bool) -> np.ndarray:
    """1 where hair grows; `receding` degrees at the temples, `crown`: with a bald place."""
    azimuth, elevation = angles(points)
    moved = (
        FRONT[0] + hairline + 0.5 * receding,
        FRONT[1] + hairline + receding,
        FRONT[2] + 0.6 * hairline + 1.1 * receding,
    )
    line = np.interp(azimuth, AZIMUTHS, (*moved, *SIDES))
    x, y, z = points.T
    region = smoothstep(-1.5, 2.5, elevation - line) * (y > 6.45)
    if crown:
        region = region * smoothstep(0.30, 0.55, np.hypot(x, z + 0.05) + (y < 7.9))
    return region


def receding(baldness: float, years: float) -> float:
    """By how many degrees the hairline has gone back."""
    return float(baldness**2 * 26 * smoothstep(25, 70, years))


def jaw_region(points: np.ndarray) -> np.ndarray:
    """1 where a beard grows, without the upper lip."""
    ax, (_, y, z) = np.abs(points[:, 0]), points.T
    ends = (0, 0.12, 0.30, 0.5, 0.72, 0.8), (6.50, 6.50, 6.62, 6.78, 7.05, 7.15)
    below = smoothstep(0.03, -0.05, y - np.interp(ax, *ends))
    return (
        below
        * smoothstep(5.98, 6.12, y)
        * smoothstep(0.42, 0.62, z)
        * (1 - smoothstep(0.80, 0.86, ax))
    )


def moustache_region(points: np.ndarray) -> np.ndarray:
    """1 above the upper lip."""
    ax, (_, y, z) = np.abs(points[:, 0]), points.T
    upright = smoothstep(6.735, 6.765, y) * smoothstep(6.88, 6.83, y + 0.15 * ax)
    return smoothstep(0.30, 0.24, ax) * upright * (z > 1.25)


def chin_only(points: np.ndarray) -> np.ndarray:
    """What of the jaw a goatee keeps."""
    return smoothstep(0.36, 0.26, np.abs(points[:, 0]))


def greyness(years: float, begins: float) -> float:
    """The share of grey hair."""
    return float(1 / (1 + np.exp(-(years - begins) / 4.5)))
