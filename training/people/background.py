"""What is behind somebody: plain, studio, park, street, beach, room; in linear RGB, any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

from .formulas import colour, mix, smoothstep
from .palette import CLOTHES

Canvas = tuple[np.ndarray, np.ndarray]  # x, y in 0..1, (size, size)


def draw_background(kind: str, seed: int, size: int, blur: float) -> np.ndarray:
    """The scene `kind` of `SCENES`, (size, size, 3); `blur` in parts of the picture."""
    rng = np.random.default_rng([4, seed])
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    image = SCENES[kind](rng, (x, y))
    return gaussian_filter(image, (blur * size, blur * size, 0), mode="nearest")


def _plain(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    tone = mix(colour(list(CLOTHES.values())[rng.integers(len(CLOTHES))]), 0.5, 0.3)
    shade = 1 + rng.uniform(-0.25, 0.25) * (canvas[0] - 0.5) - rng.uniform(0, 0.3) * canvas[1]
    return tone * shade[..., None]


def _studio(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    x, y = canvas
    bright = rng.uniform(0.12, 0.55) * (1.35 - 1.2 * np.hypot(x - 0.5, y - 0.45))
    return bright[..., None] * np.clip(1 + 0.1 * rng.normal(0, 1, 3), 0.7, 1.3)


def _park(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    x, y = canvas
    sky = mix(colour("5b93d6"), colour("cfe2f2"), smoothstep(0, 0.6, y)[..., None])
    horizon = rng.uniform(0.45, 0.65)
    waves = 0.05 * np.sin(x * rng.uniform(3, 9) + rng.uniform(0, 6)) + 0.02 * np.sin(17 * x)
    grass = colour("4d7a35") * (0.6 + 0.6 * y[..., None])
    image = np.where((y > horizon + waves)[..., None], grass, sky)
    for _ in range(rng.integers(2, 7)):
        tx, radius = rng.uniform(0, 1), rng.uniform(0.05, 0.14)
        trunk = (np.abs(x - tx) < 0.012) & (y > horizon - radius) & (y < horizon + 0.05)
        image[trunk] = colour("4a3422")
        ragged = 0.012 * np.sin(70 * x) * np.sin(60 * y)
        away = np.hypot(x - tx, (y - horizon + 0.9 * radius) * 0.85) + ragged
        leaves = smoothstep(radius, 0.8 * radius, away)[..., None]
        image = mix(image, colour("2f5a28") * rng.uniform(0.7, 1.3), leaves)
    return image


def _street(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    x, y = canvas
    image = mix(colour("8fb4dc"), colour("e3e8ea"), y[..., None])
    left = 0.0
    while left < 1:
        width, top = rng.uniform(0.12, 0.3), rng.uniform(0.02, 0.4)
        wall = (x >= left) & (x < left + width) & (y > top)
        image[wall] = colour(("9a6a55", "b7a58c", "7d7f86", "a88c6a", "5f6a78")[rng.integers(5)])
        panes = wall & (np.mod((x - left) * 22, 1) > 0.45) & (np.mod(14 * y, 1) > 0.4)
        image[panes] = colour("38434f" if rng.random() < 0.7 else "e3c879")
        left += width
    image[y > 0.82] = colour("5b5b5e")
    return image


def _beach(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    _, y = canvas
    sea, sand = rng.uniform(0.42, 0.55), rng.uniform(0.66, 0.8)
    row = y[..., None]
    sky = mix(colour("6aa6e0"), colour("d8e8f0"), np.clip(2 * row, 0, 1))
    water = mix(colour("2c7aa0"), colour("5fb3bd"), np.clip((row - sea) * 4, 0, 1))
    return np.where(row > sand, colour("d9bf8c"), np.where(row > sea, water, sky))


def _room(rng: np.random.Generator, canvas: Canvas) -> np.ndarray:
    x, y = canvas
    wall = colour(("d8cdbb", "b9c4c2", "cdb9a6", "a8b6a2", "c9c2d0")[rng.integers(5)])
    image = wall * (1.05 - 0.3 * y[..., None])
    image[y > 0.86] = colour("6e4c33")
    if rng.random() < 0.6:
        left = rng.uniform(0, 0.65)
        pane = (x > left) & (x < left + 0.3) & (y > 0.1) & (y < 0.55)
        image[pane] = colour("cfe3f2")
        bars = np.abs(x - left - 0.15) < 0.012
        bars |= (np.abs(y - 0.32) < 0.012) | (np.abs(x - left) < 0.015)
        image[pane & (bars | (np.abs(x - left - 0.3) < 0.015))] = colour("f2efe8")
    if rng.random() < 0.7:
        shelf, left = rng.uniform(0.2, 0.6), 0.0
        image[(y > shelf) & (y < shelf + 0.02)] = colour("6e4c33")
        while left < 1:
            width, height = rng.uniform(0.02, 0.05), rng.uniform(0.07, 0.15)
            book = (x > left) & (x < left + 0.9 * width) & (y < shelf) & (y > shelf - height)
            image[book] = rng.uniform(0.15, 0.9, 3) ** 2.2
            left += width * (1 if rng.random() < 0.8 else 3)
    return image


SCENES: dict[str, Callable[[np.random.Generator, Canvas], np.ndarray]] = {
    "plain": _plain,
    "studio": _studio,
    "park": _park,
    "street": _street,
    "beach": _beach,
    "room": _room,
}
