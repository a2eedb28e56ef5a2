"""A small network that says how much a square of a picture looks like a face, covered or not.

Fourteen convolutions (42,500 numbers) look at a picture at several scales. At every eighth pixel
they give a score and a box, for faces of 24 to 48 px (root of the area); at the next scale, for
faces that are larger by sqrt(2). It was trained on drawn people alone (training/detector), many
behind dark glasses, masks and scarves; where the cascade says no to a face without a mouth, it does
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..boxes import Box

WEIGHTS = Path(__file__).with_name("face_net.npz")
STRIDES = (2, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1)  # of the convolutions
STRIDE = 8  # of them all together
LONGEST, SHORTEST = 448, 128  # working size of a picture
STEP = 2**0.5  # from a scale to the next
LEAST = 32  # shorter side of the smallest scale, which sees the largest faces
WEAKEST = 0.1
TOGETHER = 0.4  # shared area over that of both: boxes of one face
REACH, WIDE, HIGH = 16.0, 28.0, 36.0  # units of the box: offset, width and height of 1


@dataclass(frozen=True)
class Seen:
    """What the network found: the whole face, and how sure it is, 0..1."""

    box: Box
    score: float


@cache
def layers() -> list[tuple]:
    """(weight, bias) of each convolution, as float32 tensors."""
    import torch

    with np.load(WEIGHTS) as file:
        values = [torch.from_numpy(file[name].astype(np.float32)) for name in file.files]
    return list(zip(values[::2], values[1::2], strict=True))


def look(picture: Image.Image) -> list[Seen]:
    """Faces of an RGB picture, in its pixels, best first, each once."""
    longest = max(picture.size)
    scale = min(max(longest, SHORTEST), LONGEST) / longest
    found: list[np.ndarray] = []
    while True:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        small = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        rows = _forward(np.asarray(small))
        rows[:, 1:] *= np.array([picture.width / width, picture.height / height] * 2)
        found.append(rows)
        scale /= STEP
        if min(picture.size) * scale < LEAST:
            return _each_once(np.concatenate(found))


def _forward(pixels: np.ndarray) -> np.ndarray:
    """Rows of score, x1, y1, x2, y2 for the cells of one scale with a score of WEAKEST."""
    import torch
    import torch.nn.functional as F

    x = torch.from_numpy(pixels.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)
    weights = layers()
    with torch.no_grad():
        for (weight, bias), stride in zip(weights, STRIDES, strict=True):
            groups = weight.shape[0] if weight.shape[1] == 1 else 1
            x = F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)
            x = x if weight is weights[-1][0] else F.relu(x)
    raw = x[0].numpy().astype(np.float64)
    score = 1 / (1 + np.exp(-raw[0].clip(-60, 60)))
    y, x = np.nonzero(score >= WEAKEST)
    dx, dy, wide, high = raw[1:, y, x].clip(-3, 3)
    middle_x, middle_y = (x + 0.5) * STRIDE + dx * REACH, (y + 0.5) * STRIDE + dy * REACH
    half_x, half_y = np.exp(wide) * WIDE / 2, np.exp(high) * HIGH / 2
    edges = (middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y)
    return np.stack([score[y, x], *edges], 1)


def _each_once(rows: np.ndarray) -> list[Seen]:
    """The best row of each face; rows: (n, 5)."""
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    seen: list[Seen] = []
    while len(rows):
        best, rows = rows[0], rows[1:]
        seen.append(Seen(Box(*best[1:].tolist()), float(best[0])))
        corner = np.minimum(rows[:, 3:], best[3:]) - np.maximum(rows[:, 1:3], best[1:3])
        shared = np.prod(corner.clip(0), axis=1)
        areas = np.prod(rows[:, 3:] - rows[:, 1:3], axis=1)
        smaller = np.minimum(areas, seen[-1].box.area)
        both = areas + seen[-1].box.area - shared
        rows = rows[(shared < TOGETHER * both) & (shared < 0.7 * smaller)]
    return seen
