"""What people wear before a face: dark glasses, masks, scarves, hands, hats; and badges below it.

Everything is drawn with PIL into a picture, by the 72 landmarks of `people.landmarks`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .clutter import Colour, colour, things

CHANCES = {"glasses": 0.24, "mask": 0.3, "hat": 0.08, "hand": 0.06, "badge": 0.3}
LEFT_EYE, RIGHT_EYE = slice(36, 44), slice(44, 52)


def disguise(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> None:
    """Draw none, one or more of them into a picture, in place; points: (72, 2)."""
    drawn = {"glasses": _glasses, "mask": _mask, "hat": _hat, "hand": _hand, "badge": _badge}
    for name, chance in CHANCES.items():
        if rng.random() < chance:
            drawn[name](rng, image, points)


def _glasses(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> None:
    """Two lenses, mostly dark, a bridge and temples."""
    eyes = points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    if apart < 10:  # a profile
        return
    wide, high = apart * rng.uniform(0.28, 0.46), apart * rng.uniform(0.18, 0.4)
    lens: Colour = tuple(int(v) for v in rng.integers(0, 60, 3))
    if rng.random() < 0.25:
        lens = colour(rng)
    frame = lens if rng.random() < 0.6 else colour(rng)
    thick = max(1, round(apart * rng.uniform(0.02, 0.12)))
    over = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(over)
    lower, corner = high * rng.uniform(0.8, 1.5), rng.uniform(0, 0.8) * min(wide, high)
    shape = rng.random()
    for x, y in eyes:
        edge = (x - wide, y - high, x + wide, y + lower)
        opaque = 255 if rng.random() < 0.75 else int(rng.integers(150, 255))
        if shape < 0.45:
            pen.ellipse(edge, fill=(*lens, opaque), outline=frame, width=thick)
        else:
            pen.rounded_rectangle(edge, corner, (*lens, opaque), outline=frame, width=thick)
        if rng.random() < 0.3:  # the sky in it
            shine = (x - wide * 0.5, y - high * 0.6, x + wide * 0.2, y - high * 0.1)
            pen.ellipse(shine, fill=(*(int(v) for v in rng.integers(120, 255, 3)), 150))
    ears = (*points[0],), (*eyes[0],), (*eyes[1],), (*points[16],)
    for a, b in (ears[:2], ears[1:3], ears[2:]):
        pen.line((*map(float, a), *map(float, b)), fill=(*frame, 255), width=thick)
    for x, y in eyes:  # the lens lies before the line to the middle
        inner = (x - wide + thick, y - high + thick, x + wide - thick, y + lower - thick)
        pen.ellipse(inner, fill=(*lens, 235))
    image.paste(over, (0, 0), over)


def _mask(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> None:
    """Mask or scarf: an edge over or under the nose, down to the chin or below; cloth on it."""
    first = int(rng.integers(1, 5))
    jaw = points[first : 17 - first].copy()
    middle = points[:17].mean(0)
    jaw += (jaw - middle) * rng.uniform(-0.06, 0.14)
    top = points[27 + int(rng.integers(0, 4))] if rng.random() < 0.85 else points[33]
    if rng.random() < 0.2:  # a scarf hangs down
        size = float(np.hypot(*(points[16] - points[0])))
        jaw[:, 1] += np.sin(np.linspace(0, np.pi, len(jaw))) * size * rng.uniform(0.1, 0.6)
    beside = [jaw[-1] * (1 - t) + top * t + (0, rng.normal() * 0.8) for t in (0.5, 0.75)]
    before = [top * (1 - t) + jaw[0] * t + (0, rng.normal() * 0.8) for t in (0.25, 0.5)]
    edge = [tuple(map(float, p)) for p in [*jaw, *beside, top, *before]]
    shape = Image.new("L", image.size)
    ImageDraw.Draw(shape).polygon(edge, fill=255)
    image.paste(_cloth(rng, image, points), (0, 0), shape)
    pen = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        rim = colour(rng)
        pen.line([*edge, edge[0]], fill=rim, width=1)
    if rng.random() < 0.5:  # loops
        ink = colour(rng)
        for ear, near in ((points[0], jaw[0]), (points[16], jaw[-1])):
            pen.line((*map(float, ear), *map(float, near)), fill=ink, width=1)


def _cloth(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> Image.Image:
    """A plain, folded, shaded or printed surface as large as the picture."""
    base = np.array(colour(rng), np.float32)
    y, x = np.mgrid[: image.height, : image.width].astype(np.float32)
    turn, kind = rng.uniform(-0.3, 0.3), rng.random()
    wave = np.zeros_like(x)
    if kind < 0.4:
        period = np.hypot(*(points[16] - points[0])) * rng.uniform(0.08, 0.3)
        wave = np.sin((y + turn * x) * 2 * np.pi / period) * rng.uniform(5, 40)
    middle = points[:17].mean(0)
    shade = rng.normal() * 0.4 * (x - middle[0]) + rng.normal() * 0.4 * (y - middle[1])
    pixels = np.clip(base + (wave + shade)[..., None], 0, 255)
    cloth = Image.fromarray(pixels.astype(np.uint8))
    if kind > 0.8:
        things(rng, cloth, int(rng.integers(2, 12)))
    return cloth


def _hat(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> None:
    """A cap, hood or band down to the brows."""
    left, right = points[17], points[26]
    across = right - left
    up = np.array([across[1], -across[0]])
    low = rng.uniform(0.02, 0.3)
    a, b = left - across * 0.35 + up * low, right + across * 0.35 + up * low
    tall = rng.uniform(0.3, 1.2)
    edge = [a, b, b + up * tall - across * 0.15, a + up * tall + across * 0.15]
    ImageDraw.Draw(image).polygon([tuple(map(float, p)) for p in edge], fill=colour(rng))


def _hand(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> None:
    """Something round or straight before a part of the face: a hand, a cup, a microphone."""
    size = float(np.hypot(*(points[16] - points[0])))
    x, y = points[int(rng.integers(72))]
    a, b = size * rng.uniform(0.1, 0.35, 2)
    over = Image.new("L", image.size)
    ImageDraw.Draw(over).ellipse((x - a, y - b, x + a, y + b), fill=255)
    if rng.random() < 0.5:
        over = over.filter(ImageFilter.GaussianBlur(1.5))
    image.paste(colour(rng), (0, 0), over)


def _badge(rng: np.random.Generator, image: Image.Image, points: np.ndarray) -> None:
    """Badges, logos and prints on the clothes."""
    low = int(points[:17, 1].max() + 3)
    if low < image.height:
        dressed = image.copy()
        things(rng, dressed, int(rng.integers(2, 9)))
        image.paste(dressed.crop((0, low, image.width, image.height)), (0, low))
