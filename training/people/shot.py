"""A shot: pose, expression, light, scene and camera of a photo, drawn for a kind of set.

Angles in degrees: yaw > 0 turns the face to the picture's right, pitch > 0 lifts it, roll > 0 tilts
its top to the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .expressions import draw_expression
from .light import Setting, draw_light
from .palette import one_of


@dataclass(frozen=True)
class Kind:
    """What a set's shots are like; widths of the face are parts of the frame."""

    yaw: float
    yaw_limit: float
    pitch: float
    narrowest: float
    widest: float
    scenes: dict[str, float]
    blur: tuple[float, float]
    spread: float  # of the face's place


KINDS = {
    "portraits": Kind(
        yaw=11,
        yaw_limit=32,
        pitch=6,
        narrowest=1 / 3.2,
        widest=1 / 2,
        scenes={
            "plain": 0.34,
            "studio": 0.14,
            "park": 0.16,
            "street": 0.1,
            "beach": 0.14,
            "room": 0.12,
        },
        blur=(0.008, 0.022),
        spread=0.05,
    ),
    "poses": Kind(
        yaw=27,
        yaw_limit=60,
        pitch=10,
        narrowest=1 / 4,
        widest=1 / 2.2,
        scenes={
            "plain": 0.24,
            "studio": 0.12,
            "park": 0.18,
            "street": 0.16,
            "beach": 0.15,
            "room": 0.15,
        },
        blur=(0.003, 0.017),
        spread=0.08,
    ),
}


@dataclass(frozen=True)
class Shot:
    """Everything of a photo that is not the look."""

    expression: str
    units: np.ndarray  # (52,)
    yaw: float
    pitch: float
    roll: float
    body_turn: float  # the trunk's part of the yaw
    gaze: tuple[float, float]  # radians, of the eyes in the head: aside, down
    light: Setting
    scene: str
    scene_seed: int
    blur: float
    distance: float  # dm
    face_width: float  # part of the frame
    place: tuple[float, float]  # of the face's middle, before it is moved to fit
    noise_seed: int


def draw_shot(rng: np.random.Generator, kind: Kind) -> Shot:
    """A random shot; always the same number of draws, so that nothing shifts what follows."""
    yaw = float(np.clip(rng.normal(0, kind.yaw), -kind.yaw_limit, kind.yaw_limit))
    pitch = float(np.clip(rng.normal(0, kind.pitch), -2.5 * kind.pitch, 2.5 * kind.pitch))
    expression, units = draw_expression(rng)
    follow = rng.uniform(0, 1)
    aside = -0.5 * np.radians(yaw) * follow + rng.normal(0, 0.05)
    down = 0.4 * np.radians(pitch) + rng.normal(0, 0.04)
    return Shot(
        expression=expression,
        units=units,
        yaw=yaw,
        pitch=pitch,
        roll=float(rng.normal(0, 4)),
        body_turn=float(rng.uniform(0.1, 0.6)),
        gaze=(float(aside), float(down)),
        light=draw_light(rng),
        scene=one_of(rng, kind.scenes),
        scene_seed=int(rng.integers(1 << 30)),
        blur=float(rng.uniform(*kind.blur)),
        distance=float(rng.uniform(9, 20)),
        face_width=float(rng.uniform(kind.narrowest, kind.widest)),
        place=(float(rng.normal(0.5, kind.spread)), float(rng.normal(0.48, kind.spread))),
        noise_seed=int(rng.integers(1 << 30)),
    )
