"""Skin: a texture of the head, painted by smooth steps in the template's x, y, z.

So every feature stays in place on every face and moves with expressions.
"""

from __future__ import annotations

import numpy as np

from .formulas import colour, mix, smoothstep
from .identity import Person
from .marks import Mark, shown
from .morph import childhood
from .palette import GREY_BROW
from .regions import chin_only, greyness, hair_region, jaw_region, moustache_region, receding
from .surface import TEXTURE, Texels, texels

PLAIN_GLOSS, LIP_GLOSS = 0.07, 0.14
MARK_TONE = {
    "mole": (0.20, 0.16, 0.14),
    "birthmark": (0.62, 0.42, 0.40),
    "freckle": (0.62, 0.45, 0.35),
}
MARK_STRENGTH = {"mole": 0.9, "birthmark": 0.75, "freckle": 0.75}
LIPSTICK = ("b0343c", "c4616b", "8e2338")
SHADOW_OF_BEARD = {"stubble": 0.55, "beard": 0.75, "goatee": 0.22, "moustache": 0.18, "none": 0.10}


class Paint:
    """Colours of texels, (n, 3), and the features laid over them."""

    def __init__(self, where: Texels, skin: np.ndarray) -> None:
        self.x, self.y, self.z = where.position.T
        self.side = np.abs(self.x)
        self.face = (self.z > 0.55) & (self.y > 5.9)
        self.colours = np.repeat(skin[None], len(self.x), 0)

    def over(self, tone: np.ndarray, amount: np.ndarray) -> None:
        """Mix in `tone` by `amount` (n,)."""
        touched = np.where(amount > 0.004)[0]
        part = np.clip(amount[touched], 0, 1)[:, None]
        self.colours[touched] += (tone - self.colours[touched]) * part

    def blot(self, x: float, y: float, radius: float) -> np.ndarray:
        """A soft blot on both sides of the face."""
        distance = (self.side - x) ** 2 + (self.y - y) ** 2
        return np.exp(-distance / radius**2) * self.face


def paint_head(p: Person, years: float, style: str, beard: str) -> tuple[np.ndarray, np.ndarray]:
    """Texture (TEXTURE, TEXTURE, 3), linear RGB, and gloss (TEXTURE, TEXTURE)."""
    where = texels()
    paint = Paint(where, p.skin)
    _complexion(paint, p, years)
    for mark in shown(p.marks, years):
        _mark(paint, p.skin, mark)
    _age_lines(paint, p, years)
    _lips_and_lids(paint, where, p, years)
    brow_hair = mix(p.hair, colour(GREY_BROW), greyness(years, p.greying + 4))
    _brows(paint, p, brow_hair)
    if p.male and years >= 16:
        _beard_shadow(paint, where, p, brow_hair, beard)
    _scalp(paint, where, p, years, style, brow_hair)
    texture = np.zeros((TEXTURE, TEXTURE, 3)) + p.skin
    gloss = np.full((TEXTURE, TEXTURE), PLAIN_GLOSS)
    texture[where.row, where.column] = paint.colours
    gloss[where.row, where.column] = np.where(where.masks[0] > 0.4, LIP_GLOSS, PLAIN_GLOSS)
    return texture, gloss


def _complexion(paint: Paint, p: Person, years: float) -> None:
    x, y, z = paint.x, paint.y, paint.z
    patches = 0.035 * np.sin(9 * x + p.paint_seed % 7) * np.sin(11 * y)
    grain = 0.03 * np.sin(31 * x + 3) * np.sin(27 * y + 17 * z)
    paint.colours *= (1 + patches + grain)[:, None]
    rosy = p.skin * np.array([1.04, 0.66, 0.62])
    child, old = childhood(years), float(smoothstep(38, 80, years))
    paint.over(rosy, (p.blush + 0.2 * child) * paint.blot(0.46, 6.92, 0.2))
    paint.over(rosy, (0.12 + 0.4 * p.blush) * paint.blot(0, 6.93, 0.12))
    rings = (0.22 + 0.35 * old) * paint.blot(0.30, 7.10, 0.11) * (paint.y < 7.2)
    paint.over(p.skin * 0.62, rings)


def _mark(paint: Paint, skin: np.ndarray, mark: Mark) -> None:
    near = (np.abs(paint.x - mark.x) < 0.6) & (np.abs(paint.y - mark.y) < 0.6) & paint.face
    at = np.where(near)[0]
    dx, dy = mark.x2 - mark.x, mark.y2 - mark.y
    along = (paint.x[at] - mark.x) * dx + (paint.y[at] - mark.y) * dy
    along = np.clip(along / max(dx * dx + dy * dy, 1e-9), 0, 1)
    distance = np.hypot(paint.x[at] - mark.x - along * dx, paint.y[at] - mark.y - along * dy)
    if mark.kind == "scar":
        tone, strength = mix(skin * 1.3, colour("d98a80"), 0.4), 0.85
    else:
        tone, strength = skin * np.array(MARK_TONE[mark.kind]), MARK_STRENGTH[mark.kind]
    amount = np.zeros(len(paint.x))
    amount[at] = strength * smoothstep(mark.radius * 1.4, mark.radius * 0.7, distance)
    paint.over(tone, amount)


def _age_lines(paint: Paint, p: Person, years: float) -> None:
    old = float(smoothstep(38, 80, years))
    if old <= 0:
        return
    rng = np.random.default_rng([2, p.paint_seed])
    x, y, side = paint.x, paint.y, paint.side
    lines = np.zeros(len(x))

    def line(distance: np.ndarray, width: float, where: np.ndarray, strength: float) -> None:
        drawn = smoothstep(width, width * 0.25, np.abs(distance)) * where * strength
        np.maximum(lines, drawn, out=lines)

    for i in range(4):
        wave = 7.72 + 0.085 * i + 0.015 * np.sin(6 * x + rng.uniform(0, 6))
        line(y - wave, 0.018, side < 0.45, 0.8)
    fold = np.hypot(side - 0.04, y - 6.72) - (0.33 + 0.03 * np.sin(5 * y))
    line(fold, 0.022, (side > 0.18) & (y > 6.55) & (y < 6.98), 1.0)
    for i in (-1, 0, 1):
        foot = y - 7.27 - i * (side - 0.48) * 0.45 - 0.02 * (i + 1)
        line(foot, 0.012, (side > 0.52) & (side < 0.72), 0.8)
    line(side - 0.06, 0.016, (y > 7.42) & (y < 7.62), 0.5)
    line(y - 7.02 + 0.3 * (side - 0.3) ** 2, 0.014, (side > 0.15) & (side < 0.46), 0.7)
    paint.over(p.skin * np.array([0.55, 0.42, 0.38]), lines * old * 0.55 * paint.face)
    for _ in range(14):
        cx, cy = rng.uniform(-0.7, 0.7), rng.uniform(6.6, 8.2)
        spot = smoothstep(0.035, 0.01, np.hypot(x - cx, y - cy)) * paint.face
        paint.over(p.skin * np.array([0.62, 0.5, 0.42]), spot * old * 0.35)


def _lips_and_lids(paint: Paint, where: Texels, p: Person, years: float) -> None:
    lips, _, _, lids = where.masks
    grown = 1 - childhood(years)
    natural = p.skin * np.array([0.88, 0.52, 0.50])
    paint.over(mix(natural, colour(LIPSTICK[p.lip_colour]), 0.8 * p.lips * grown), 1.2 * lips)
    if not p.male:
        paint.over(p.skin * 0.45, 0.8 * lids * p.lips * grown)


def brow_height(p: Person, side: np.ndarray) -> np.ndarray:
    """The template's y of the brow's middle at |x|."""
    b = p.brows
    f = np.clip((side - b.inner) / (b.outer - b.inner), 0, 1)
    return b.height + 1.2 * b.arch * np.sin(0.72 * np.pi * f) + b.slope * (f - 0.3) - 0.03 * f


def _brows(paint: Paint, p: Person, hair: np.ndarray) -> None:
    b, side = p.brows, paint.side
    f = np.clip((side - b.inner) / (b.outer - b.inner), 0, 1)
    off = np.abs(paint.y - brow_height(p, side)) * (1 + 0.9 * f)
    amount = smoothstep(b.thickness * 1.15, b.thickness * 0.55, off)
    amount *= smoothstep(b.inner - 0.05, b.inner + 0.03, side)
    amount *= smoothstep(b.outer + 0.04, b.outer - 0.08, side) * (paint.z > 0.8)
    paint.over(np.minimum(hair * 0.6, p.skin * 0.42), amount * b.density)


def _beard_shadow(paint: Paint, where: Texels, p: Person, hair: np.ndarray, beard: str) -> None:
    jaw, lip = jaw_region(where.position), moustache_region(where.position)
    bare = np.maximum(jaw, lip) * (1 - np.clip(where.masks[0] * 2, 0, 1))
    paint.over(mix(hair, p.skin, 0.35), bare * SHADOW_OF_BEARD[beard])
    if beard in ("moustache", "goatee"):
        only = lip if beard == "moustache" else jaw * chin_only(where.position)
        paint.over(hair, 0.6 * only)


def _scalp(
    paint: Paint, where: Texels, p: Person, years: float, style: str, hair: np.ndarray
) -> None:
    crown = p.baldness > 0.75 and years > 40
    region = hair_region(where.position, p.hairline, receding(p.baldness, years), crown)
    if style == "bald":
        paint.over(hair, 0.12 * region)
    else:
        paint.over(hair * 0.8, 0.85 * region)
