"""Clothes: painted by the template's position in every pixel, so that their edges stay sharp.

The skin's vertices below the neckline are pushed out and smoothed; the neckline is one formula for
both. Template positions: chin y 6.17, shoulders about 5.4, the front z > .7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .body import SKIN_VERTICES, body
from .compiled import inlined
from .formulas import colour, smoothstep
from .palette import CLOTHES, cloth_unlike
from .raster import smoothed

NECKLINES = ("crew", "v", "high", "scoop")
# Garments that captions name, with their pattern's number.
GARMENTS = {"shirt": 0, "striped shirt": 1, "checked shirt": 2, "jacket": 3, "buttoned shirt": 4}
THICKNESS = 0.05


class Cloth(NamedTuple):
    """A garment for the renderer."""

    neckline: int
    pattern: int
    colours: np.ndarray  # (2, 3)
    period: float


@dataclass(frozen=True)
class Garment:
    """What somebody wears: a kind of `GARMENTS`, colours by name, a neckline."""

    kind: str
    colour: str
    second: str
    neckline: str
    period: float

    def cloth(self) -> Cloth:
        """The numbers that the renderer takes."""
        colours = np.stack([colour(CLOTHES[self.colour]), colour(CLOTHES[self.second])])
        neckline = NECKLINES.index(self.neckline)
        return Cloth(neckline, GARMENTS[self.kind], colours, self.period)


def draw_garment(rng: np.random.Generator, skin: np.ndarray) -> Garment:
    """Random clothes in colours unlike the skin's."""
    kind = str(rng.choice(list(GARMENTS), p=[0.56, 0.12, 0.08, 0.14, 0.10]))
    first = cloth_unlike(rng, skin)
    second = cloth_unlike(rng, skin)
    while second == first:
        second = cloth_unlike(rng, skin)
    neckline = str(rng.choice(NECKLINES, p=[0.45, 0.25, 0.18, 0.12]))
    if kind == "buttoned shirt":
        neckline = "v"
    return Garment(kind, first, second, neckline, float(rng.uniform(11, 20)))


@inlined
def neckline_height(kind, x, z):
    """Up to which y of the template there is cloth."""
    side = abs(x)
    front = min(max(z / 0.7, 0.0), 1.0)
    front = front * front * (3.0 - 2.0 * front)
    if kind == 1:
        return 6.06 - 0.92 * max(0.0, 1.0 - side / 0.6) * front
    if kind == 2:
        return 6.04 + 0.10 * (1.0 - front)
    if kind == 3:
        return 5.98 - 0.72 * np.exp(-((side / 0.75) ** 2)) * front
    return 6.06 - 0.42 * np.exp(-((side / 0.6) ** 2)) * front


@inlined
def cloth_at(cloth, x, y, z):
    """Whether the template's place is covered, and the cloth's colour there."""
    red, green, blue = cloth.colours[0, 0], cloth.colours[0, 1], cloth.colours[0, 2]
    edge = neckline_height(cloth.neckline, x, z)
    if y > edge or abs(x) > 4.0:
        return False, red, green, blue
    second, shade = False, 1.0
    turn = cloth.period
    if cloth.pattern == 1:
        second = np.sin(turn * y) > 0.25
    elif cloth.pattern == 2:
        second = (np.sin(turn * y) > 0.0) != (np.sin(turn * x) > 0.0)
    elif cloth.pattern == 3:  # open in front: the second colour is a shirt below
        opening = 0.16 + 0.34 * max(0.0, y - 4.2)
        second = z > 0.2 and abs(x) < opening
        if z > 0.2 and 0.0 <= abs(x) - opening < 0.30 and y > 4.6:
            shade = 0.82  # the lapel
    elif cloth.pattern == 4:
        if z > 0.2 and abs(x) < 0.022:
            shade = 0.7
        if z > 0.2 and x * x + (np.mod(y, 0.42) - 0.21) ** 2 < 0.0016:
            second = True
        if y > edge - 0.26 and y > 5.0:
            shade = 1.12  # the collar, lighter, with a line below
            if y < edge - 0.22:
                shade = 0.6
    if y > edge - 0.07 and cloth.pattern != 4:
        shade *= 0.72
    if second:
        red, green, blue = cloth.colours[1, 0], cloth.colours[1, 1], cloth.colours[1, 2]
    return True, red * shade, green * shade, blue * shade


def cover(neckline: int, points: np.ndarray) -> np.ndarray:
    """How deep below the neckline template points (n, 3) are: 0 above, 1 well below."""
    edges = np.array([neckline_height(neckline, x, z) for x, _, z in points])
    return smoothstep(0.0, 0.12, edges - points[:, 1])


_covers: dict[int, np.ndarray] = {}


def dressed(vertices: np.ndarray, normals: np.ndarray, neckline: int) -> np.ndarray:
    """A shaped body (n, 3) with its clothed part pushed out and smoothed: no anatomy below."""
    if neckline not in _covers:
        share = cover(neckline, body().template)
        share[SKIN_VERTICES:] = 0
        _covers[neckline] = share
    share = _covers[neckline]
    pushed = vertices + normals * (THICKNESS * share)[:, None]
    skin = body().skin
    columns = (np.ascontiguousarray(column) for column in pushed.T)
    flat = np.stack([smoothed(column, skin, 10) for column in columns], 1)
    return pushed + (flat - pushed) * share[:, None]
