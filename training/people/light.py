"""Lights by name, and the tone curve that keeps hues and never burns pale skin out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .palette import one_of


@dataclass(frozen=True)
class Light:
    """A key light's colour and how strong the light from everywhere is."""

    key: tuple[float, float, float]
    ambient: float
    chance: float


LIGHTS = {
    "daylight": Light((1.0, 0.98, 0.94), 0.56, 0.34),
    "warm light": Light((1.10, 0.94, 0.76), 0.42, 0.16),
    "cool light": Light((0.86, 0.97, 1.10), 0.46, 0.13),
    "side light": Light((1.30, 1.24, 1.16), 0.24, 0.12),
    "soft light": Light((0.50, 0.50, 0.49), 0.82, 0.19),
    "dark": Light((0.52, 0.49, 0.47), 0.15, 0.06),
}
SKY, WARM_SKY, GROUND = (0.84, 0.90, 1.0), (1.0, 0.86, 0.72), (0.55, 0.48, 0.42)


@dataclass(frozen=True)
class Setting:
    """The light of one photo: direction (3,), colours (3,)."""

    name: str
    direction: np.ndarray
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray

    def on_background(self, image: np.ndarray) -> np.ndarray:
        """A background's colours in this light."""
        tint = 0.5 + 0.5 * self.key / self.key.max()
        return image * tint * (0.45 if self.name == "dark" else 0.95)


def draw_light(rng: np.random.Generator, name: str | None = None) -> Setting:
    """A light by chance, or one of `LIGHTS` from a random side."""
    chosen = one_of(rng, {key: light.chance for key, light in LIGHTS.items()})
    light = LIGHTS[name or chosen]
    aside = rng.uniform(1.05, 1.45) * rng.choice([-1, 1])
    azimuth, elevation = rng.uniform(-1.0, 1.0), rng.uniform(0.35, 0.95)
    if (name or chosen) == "side light":
        azimuth = aside
    flat = np.cos(elevation)
    sky = np.array(WARM_SKY if (name or chosen) == "warm light" else SKY)
    return Setting(
        name=name or chosen,
        direction=np.array([np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat]),
        key=np.array(light.key) * rng.uniform(0.9, 1.1),
        sky=light.ambient * sky,
        ground=light.ambient * np.array(GROUND),
    )


def developed(image: np.ndarray) -> np.ndarray:
    """Linear light (H, W, 3) -> display values in 0..1."""
    luminance = image @ np.array([0.30, 0.60, 0.10])
    curve = (1 - np.exp(-1.3 * luminance)) / np.maximum(luminance, 1e-6)
    toned = image * curve[..., None]
    # What is brighter than the display fades to white instead of changing its hue.
    over = np.clip(toned.max(-1, keepdims=True) - 1, 0, 1)
    grey = (toned @ np.array([0.30, 0.60, 0.10]))[..., None]
    return np.clip(toned + over * (grey - toned), 0, 1) ** (1 / 2.2)
