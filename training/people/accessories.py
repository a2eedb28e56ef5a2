"""Glasses and earrings, rigid with the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import DARK_GLASS, FRAME, METAL, SKIN_VERTICES, body
from .formulas import mix
from .solids import Solid, ball, tube

# Half width, half height, roundness (1 is an ellipse, less a box).
LENSES = {
    "round": (0.235, 0.215, 1.0),
    "square": (0.27, 0.175, 0.55),
    "sunglasses": (0.29, 0.22, 0.7),
}
RIM = 24

Part = tuple[Solid, int]


@dataclass(frozen=True)
class Head:
    """A shaped head as accessories meet it."""

    vertices: np.ndarray
    size: float
    centre: np.ndarray
    eyes: np.ndarray  # (2, 3) left, right


def glasses(kind: str, head: Head) -> list[Part]:
    """Rims, bridge and temples; dark lenses for sunglasses."""
    if kind == "none":
        return []
    size, height = head.size, head.eyes[:, 1].mean()
    skin = head.vertices[:SKIN_VERTICES]
    level = (np.abs(skin[:, 1] - height) < 0.25 * size) & (np.abs(skin[:, 0]) < 0.6 * size)
    front = max(skin[level, 2].max() - 0.06 * size, head.eyes[:, 2].mean() + 0.30 * size)
    apart = max(abs(head.eyes[0, 0]), 0.30 * size)
    temples = np.abs(skin[:, 1] - height) < 0.15 * size
    temples &= np.abs(skin[:, 2] - head.centre[2]) < 0.3 * size
    wide = 0.97 * np.abs(skin[temples, 0]).max()
    half_width, _, _ = LENSES[kind]
    parts: list[Part] = []
    for side in (1, -1):
        rim = _rim(kind, side * apart, height, front, size)
        parts.append((tube(rim, 0.022 * size, closed=True), FRAME))
        if kind == "sunglasses":
            fan = np.array([[0, i + 1, (i + 1) % RIM + 1] for i in range(RIM)])
            parts.append(((np.concatenate([rim.mean(0)[None], rim]), fan), DARK_GLASS))
        hinge = rim[np.argmax(rim[:, 0] * side)]
        ear = np.array([side * wide, height + 0.03 * size, head.centre[2] - 0.05 * size])
        out = np.array([side, 0, 0])
        near, far = mix(hinge, ear, 0.12) + 0.02 * out, mix(hinge, ear, 0.5) + 0.03 * out
        parts.append((tube(np.stack([hinge, near, far, ear]), 0.02 * size), FRAME))
    nose = apart - half_width * size
    ends = [[-nose, height, front - 0.02 * size], [0, height + 0.04 * size, front + 0.04 * size]]
    parts.append((tube(np.array([*ends, [nose, ends[0][1], ends[0][2]]]), 0.02 * size), FRAME))
    return parts


def _rim(kind: str, x: float, y: float, z: float, size: float) -> np.ndarray:
    half_width, half_height, power = LENSES[kind]
    t = np.linspace(0, 2 * np.pi, RIM + 1)[:-1]
    across = half_width * size * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power
    up = half_height * size * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    back = 0.14 * size * (np.abs(x + half_width * size * np.cos(t)) / size / 0.6) ** 2
    return np.stack([x + across, y - 0.035 * size + up, z - back], 1)


def earrings(head: Head) -> list[Part]:
    """A metal ball at each lobe."""
    b = body()
    x, y, _ = b.template[:SKIN_VERTICES].T
    lobes = (b.head_share[:SKIN_VERTICES] > 0.9) & (np.abs(x) > 0.77) & (y < 7.1) & (y > 6.7)
    parts = []
    for side in (1, -1):
        ear = head.vertices[:SKIN_VERTICES][lobes & (x * side > 0)]
        lowest = ear[np.argmin(ear[:, 1])]
        place = lowest + np.array([side * 0.02, -0.05, 0.02]) * head.size
        parts.append((ball(place, 0.06 * head.size), METAL))
    return parts
