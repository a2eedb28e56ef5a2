"""What is no face and looks a little like one: patterns, rings, grids, letters, blobs, (S, S, 3).

All of it is drawn from a random generator; no photo of anybody's goes into it.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..people.background import draw_background

SCENES = ("park", "street", "beach", "room", "studio", "plain")
Colour = tuple[int, ...]


def colour(rng: np.random.Generator) -> Colour:
    """Any colour; every fourth one like skin, every eighth one black, white or grey."""
    kind = rng.random()
    if kind < 0.25:
        tone = rng.uniform(60, 250)
        return tuple(int(v) for v in (tone, tone * rng.uniform(0.6, 0.85), tone * 0.6))
    if kind < 0.37:
        return ((10, 245, int(rng.integers(256)))[int(rng.integers(3))],) * 3
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def clutter(rng: np.random.Generator, size: int) -> np.ndarray:
    """One picture without faces, (size, size, 3) uint8."""
    kind = rng.random()
    if kind < 0.3:
        image = Image.fromarray(_scene(rng, size))
    elif kind < 0.55:
        image = Image.fromarray(_pattern(rng, size))
    elif kind < 0.75:
        image = Image.fromarray(_noise(rng, size))
    else:
        image = Image.new("RGB", (size, size), colour(rng))
    if rng.random() < 0.7:
        things(rng, image, int(rng.integers(1, 14)))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 4)))
    return np.asarray(image)


def things(rng: np.random.Generator, image: Image.Image, count: int) -> None:
    """Draw that many objects anywhere."""
    for _ in range(count):
        side = image.width * float(np.exp(rng.uniform(np.log(0.06), np.log(0.7))))
        x, y = rng.uniform(-0.3 * side, image.width - 0.5 * side, 2)
        DRAWN[int(rng.integers(len(DRAWN)))](rng, ImageDraw.Draw(image), float(x), float(y), side)


def _scene(rng: np.random.Generator, size: int) -> np.ndarray:
    name = SCENES[int(rng.integers(len(SCENES)))]
    light = draw_background(name, int(rng.integers(1 << 30)), size, float(rng.uniform(0.001, 0.02)))
    return (np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def _pattern(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wave of two directions, round or square, between two colours, bent a little."""
    y, x = np.mgrid[:size, :size] / size
    x = x + 0.03 * rng.normal() * np.sin(rng.uniform(2, 20) * y)
    turn, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(0.03), np.log(0.3), 2))
    u = np.cos(turn) * x + np.sin(turn) * y
    v = np.cos(turn) * y - np.sin(turn) * x
    a, b = np.sin(2 * np.pi * u / period[0]), np.sin(2 * np.pi * v / period[int(rng.integers(2))])
    wave = (a, a * b, a + b, np.maximum(a, b), np.minimum(a, b))[int(rng.integers(5))]
    soft = np.clip(wave * np.exp(rng.uniform(0, 4)) / 2 + 0.5, 0, 1)[..., None]
    return (soft * colour(rng) + (1 - soft) * np.array(colour(rng))).astype(np.uint8)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Clouds, stone, leaves: noise of several scales, with or without edges."""
    total, weight = np.zeros((size, size)), 1.0
    for cells in (3, 6, 12, 24, 48):
        small = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        total += weight * np.asarray(small.resize((size, size), Image.Resampling.BICUBIC))
        weight *= rng.uniform(0.4, 1.2)
    hard = np.exp(rng.uniform(-0.5, 3))
    soft = np.clip(total * hard / total.std() / 2 + 0.5, 0, 1)[..., None]
    return (soft * colour(rng) + (1 - soft) * np.array(colour(rng))).astype(np.uint8)


def _rings(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, s: float):
    """Badges, wheels, clocks, plates, lamps."""
    flat = s * rng.uniform(0.7, 1.3)
    pen.ellipse((x, y, x + s, y + flat), fill=colour(rng), outline=colour(rng))
    for inset in np.sort(rng.uniform(0.05, 0.45, int(rng.integers(0, 4)))):
        frame = (x + s * inset, y + flat * inset, x + s * (1 - inset), y + flat * (1 - inset))
        pen.ellipse(frame, outline=colour(rng), width=max(1, int(s * rng.uniform(0.02, 0.1))))
    for _ in range(int(rng.integers(0, 5))):
        a, b = rng.uniform(0.15, 0.85, 2), rng.uniform(0.15, 0.85, 2)
        line = (x + s * a[0], y + flat * a[1], x + s * b[0], y + flat * b[1])
        pen.line(line, fill=colour(rng), width=max(1, int(s * rng.uniform(0.02, 0.15))))


def _grid(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, s: float):
    """Windows, shelves, bricks, keyboards."""
    rows, columns = rng.integers(1, 7, 2)
    gap, back, front = rng.uniform(0.05, 0.4), colour(rng), colour(rng)
    high = s * rng.uniform(0.5, 1.6)
    pen.rectangle((x, y, x + s, y + high), fill=back)
    for i in range(int(rows)):
        for j in range(int(columns)):
            left, top = x + s * (j + gap) / columns, y + high * (i + gap) / rows
            right, low = x + s * (j + 1) / columns, y + high * (i + 1) / rows
            if right > left + 1 and low > top + 1:
                pen.rectangle((left, top, right, low), fill=front)


def _polygon(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, s: float):
    corners = rng.uniform(0, s, (int(rng.integers(3, 9)), 2)) + np.array([x, y])
    pen.polygon([tuple(map(float, corner)) for corner in corners], fill=colour(rng))


def _letters(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, s: float):
    high = s * rng.uniform(0.15, 0.6)
    ink, width = colour(rng), max(1, int(high * rng.uniform(0.1, 0.3)))
    for i in range(int(rng.integers(2, 9))):
        corners = rng.uniform(0, 1, (int(rng.integers(2, 5)), 2)) * (0.7 * high, high)
        line = [(float(x + i * high * 0.8 + a), float(y + b)) for a, b in corners]
        pen.line(line, fill=ink, width=width)


def _spots(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, s: float):
    """Two or more dark spots on one ground, in rows: sockets, buttons, fruit, headlamps."""
    ground, ink = colour(rng), colour(rng)
    (pen.ellipse if rng.random() < 0.5 else pen.rectangle)((x, y, x + s, y + s), fill=ground)
    count, r = int(rng.integers(2, 6)), s * rng.uniform(0.05, 0.16)
    across = rng.random() < 0.6
    for i in range(count):
        along, aside = s * (i + 0.7) / (count + 0.4), s * rng.uniform(0.3, 0.7)
        px, py = (x + along, y + aside) if across else (x + aside, y + along)
        pen.ellipse((px - r, py - r, px + r, py + r), fill=ink)


def _stripes(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, s: float):
    for i in range(int(rng.integers(2, 7))):
        top = y + s * i * rng.uniform(0.12, 0.2)
        pen.rectangle((x, top, x + s, top + s * rng.uniform(0.03, 0.1)), fill=colour(rng))


DRAWN = (_rings, _rings, _grid, _polygon, _polygon, _letters, _spots, _stripes)
