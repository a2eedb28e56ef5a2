"""Hair styles and beards as strands: where they grow, in which direction, how long."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .body import HEAD_CENTRE
from .formulas import colour, mix, unit
from .identity import Person
from .palette import GREY_HAIR
from .regions import (
    angles,
    chin_only,
    greyness,
    hair_region,
    jaw_region,
    moustache_region,
    receding,
)
from .strands import POINTS, Growth, Roots, Scalp

FRINGED = ("long", "wavy", "bob", "short", "side", "ponytail", "bun")
TAIL = np.array([0.0, 0.72, -0.86])  # where ponytails and buns are tied, beside the head's centre
BEARD_FROM = 17


@dataclass(frozen=True)
class Style:
    """A style: strands, half width (dm), lift from the skin, growth."""

    count: int
    width: float
    lift: float
    growth: Growth


LONG = Growth(gravity=0.42, stick=0.16, sideways=0.72, off_face=True)
STYLES = {
    "long": Style(5200, 0.026, 0.22, LONG),
    "wavy": Style(5200, 0.026, 0.22, replace(LONG, stick=0.2, wave=0.05)),
    "bob": Style(5000, 0.024, 0.22, replace(LONG, stick=0.2)),
    "short": Style(3800, 0.017, 0.38, Growth(gravity=0.05, stick=0.12)),
    "side": Style(3800, 0.017, 0.35, Growth(gravity=0.10, stick=0.14, off_face=True)),
    "slick": Style(3800, 0.017, 0.15, Growth(gravity=0.06, stick=0.06)),
    "buzz": Style(5200, 0.012, 1.0, Growth(gravity=0.0)),
    "curly": Style(4200, 0.017, 0.9, Growth(gravity=0.02, curl=0.055)),
    "ponytail": Style(3800, 0.017, 0.04, Growth(gravity=0.0, stick=0.02)),
    "bun": Style(3800, 0.017, 0.04, Growth(gravity=0.0, stick=0.02)),
}
BEARD_STRANDS = {"beard": 2200, "goatee": 900, "moustache": 420}


@dataclass(frozen=True)
class Hair:
    """Strands (n, POINTS, 3), linear RGB (n, 3), half widths at the root (n,) in dm."""

    points: np.ndarray
    colours: np.ndarray
    half_widths: np.ndarray


def draw_hair(
    rng: np.random.Generator, scalp: Scalp, p: Person, years: float, style: str, beard: str
) -> Hair:
    """A person's hair and beard in the neutral pose."""
    parts = [] if style == "bald" else _head_hair(rng, scalp, p, years, style)
    if beard in BEARD_STRANDS and years >= BEARD_FROM:
        parts += _beard(rng, scalp, p, beard)
    if not parts:
        return Hair(np.zeros((0, POINTS, 3)), np.zeros((0, 3)), np.zeros(0))
    points = np.concatenate([strands for strands, _ in parts])
    widths = np.concatenate([np.full(len(strands), width) for strands, width in parts])
    return Hair(points, _colours(rng, p, years, len(points)), widths * scalp.size)


def _colours(rng: np.random.Generator, p: Person, years: float, count: int) -> np.ndarray:
    grey = greyness(years, p.greying)
    share = np.clip(grey + rng.normal(0, 0.64, count) * grey * (1 - grey), 0, 1)
    colours = mix(p.hair, colour(GREY_HAIR), share[:, None]) * rng.uniform(0.75, 1.25, (count, 1))
    return colours * (1.12 if years < 14 else 1.0)


def _head_hair(
    rng: np.random.Generator, scalp: Scalp, p: Person, years: float, style: str
) -> list[tuple[np.ndarray, float]]:
    spec = STYLES[style]
    crown = p.baldness > 0.75 and years > 40
    region = hair_region(scalp.middles, p.hairline, receding(p.baldness, years), crown)
    roots = scalp.roots(rng, region, spec.count)
    if roots is None:
        return []
    flow, lengths = _flow(rng, p, style, roots)
    tangent = flow - roots.normal * (flow * roots.normal).sum(1, keepdims=True)
    direction = unit(tangent) * (1 - spec.lift) + roots.normal * spec.lift
    direction += rng.normal(0, 0.06, direction.shape)
    lengths = lengths * rng.uniform(0.82, 1.05, len(lengths)) * scalp.size
    growth = spec.growth
    if not growth.wave and style in ("long", "bob", "short", "side"):
        growth = replace(growth, wave=0.25 * p.wave)
    fringe = _fringe(p, style, roots)
    strands = np.empty((len(lengths), POINTS, 3))
    if fringe.any():
        strands[fringe] = _grow_fringe(rng, scalp, p, roots, fringe, growth.wave)
    back = ~fringe
    strands[back] = scalp.grow(
        rng, roots.position[back], roots.normal[back], direction[back], lengths[back], growth
    )
    return [(strands, spec.width), *_tied(rng, scalp, p, style)]


def _flow(
    rng: np.random.Generator, p: Person, style: str, roots: Roots
) -> tuple[np.ndarray, np.ndarray]:
    """Direction (n, 3) and length (n,) beside the head's size of every strand."""
    _, elevation = angles(roots.template)
    x, y, z = (roots.template - HEAD_CENTRE).T
    none, ones = np.zeros(len(x)), np.ones(len(x))
    side = np.where(x - p.parting * (z > -0.4) > 0, 1.0, -1.0)
    top = elevation > 35
    if style in ("long", "wavy", "bob"):
        length = {"long": 3.1, "wavy": 2.8, "bob": 1.55}[style] * p.length
        lower = np.clip(1.1 - np.clip(-y, 0, 1.1), 0.55, 1.1)
        back = np.where(z > 0.2, -0.15, -0.5)
        return np.stack([side * (y > 0.2), none - 0.5, back], 1), length * lower
    if style == "short":
        ahead = np.where(elevation > 40, 0.55, -0.1)
        return np.stack([0.35 * side, none - 0.3, ahead], 1), ones * 0.38 * p.length
    if style == "side":
        over = -np.sign(p.parting + 0.01)
        flow = [np.where(top, over, 0.0), none - 0.2, np.where(top, 0.25, -0.25)]
        return np.stack(flow, 1), np.where(top, 0.85, 0.38) * p.length
    if style == "slick":
        length = np.where(elevation > 20, 0.9, 0.5) * p.length
        return np.stack([none, none - 0.1, none - 1], 1), length
    if style == "buzz":
        return roots.normal, ones * 0.10
    if style == "curly":
        return roots.normal + rng.normal(0, 0.35, roots.normal.shape), ones * 0.75 * p.length
    towards = TAIL - np.stack([x, y, z], 1)
    return towards, np.linalg.norm(towards, axis=1) * 1.12


def _fringe(p: Person, style: str, roots: Roots) -> np.ndarray:
    azimuth, elevation = angles(roots.template)
    front = (elevation > 34) & (azimuth < 62) & (roots.template[:, 2] - HEAD_CENTRE[2] > 0.1)
    return front & (p.fringe and style in FRINGED)


def _grow_fringe(
    rng: np.random.Generator, scalp: Scalp, p: Person, roots: Roots, which: np.ndarray, wave: float
) -> np.ndarray:
    _, elevation = angles(roots.template[which])
    x = roots.template[which, 0]
    lean = 0.35 * x + 0.12 * np.sign(p.parting + 0.01)
    ahead = unit(np.stack([lean, np.full(len(x), -0.15), np.ones(len(x))], 1))
    direction = 0.8 * ahead + 0.15 * roots.normal[which]
    length = np.clip(np.radians(elevation - 22) * 1.55, 0.25, 1.1) * scalp.size
    length *= rng.uniform(0.9, 1.05, len(x))
    growth = Growth(gravity=0.28, wave=0.5 * wave, wave_turns=9.0, stick=0.08)
    return scalp.grow(rng, roots.position[which], roots.normal[which], direction, length, growth)


def _tied(
    rng: np.random.Generator, scalp: Scalp, p: Person, style: str
) -> list[tuple[np.ndarray, float]]:
    """What hangs from, or is wound at, the place where hair is tied."""
    tie = scalp.centre + TAIL * scalp.size
    if style == "ponytail":
        count = 700
        # High, and over a shoulder: it shows from the front.
        side = 1.0 if p.paint_seed % 2 else -1.0
        heading = unit(rng.normal(0, 0.22, (count, 3)) + np.array([0.75 * side, 0.75, -0.55]))
        start = tie + rng.normal(0, 0.06, (count, 3)) * scalp.size
        length = 2.3 * p.length * scalp.size * rng.uniform(0.8, 1, count)
        growth = Growth(gravity=0.33, wave=0.02, wave_turns=9.0)
        return [(scalp.grow(rng, start, heading, heading, length, growth), 0.022)]
    if style == "bun":
        count = 800
        u = unit(rng.normal(0, 1, (count, 3)))
        v = unit(np.cross(u, rng.normal(0, 1, (count, 3))))
        angle = np.linspace(0, 1.6, POINTS)[None, :, None]
        middle = tie + np.array([0, 0.24, -0.04]) * scalp.size
        ball = u[:, None] * np.cos(angle) + v[:, None] * np.sin(angle)
        return [(middle + 0.38 * scalp.size * p.length * ball, 0.02)]
    return []


def _beard(
    rng: np.random.Generator, scalp: Scalp, p: Person, beard: str
) -> list[tuple[np.ndarray, float]]:
    jaw, region = jaw_region(scalp.middles), moustache_region(scalp.middles)
    if beard == "beard":
        region = region + jaw
    elif beard == "goatee":
        region = region + jaw * chin_only(scalp.middles)
    count = BEARD_STRANDS[beard]
    roots = scalp.roots(rng, region, count)
    if roots is None:
        return []
    x, y, _ = roots.template.T
    lip = (y > 6.72) & (np.abs(x) < 0.33)
    sideways = np.sign(x) * np.where(lip, 0.8, 0.1)
    direction = 0.35 * roots.normal
    direction = direction + np.stack([sideways, np.where(lip, -0.45, -0.8), np.zeros(count)], 1)
    length = np.where(lip, 0.13, 0.20 * p.length) * scalp.size * rng.uniform(0.7, 1.1, count)
    growth = Growth(gravity=0.1, gap=0.015)
    return [(scalp.grow(rng, roots.position, roots.normal, direction, length, growth), 0.013)]
