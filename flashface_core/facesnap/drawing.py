"""Landmarks as coloured dots on black: the picture that FFRNet reads, in training and in nodes."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from .landmarks import BRIDGE, COUNT, JAW, LEFT_BROW, LEFT_EYE, NOSTRILS, RIGHT_BROW, RIGHT_EYE

VERSION = 1
RADIUS = 0.006  # of the picture's shorter side; 1 pixel at least


def _colours() -> Tensor:
    found = torch.zeros(COUNT, 3)
    found[:] = torch.tensor([1.0, 0.0, 0.0])  # lips
    found[JAW] = torch.tensor([1.0, 1.0, 1.0])
    found[LEFT_BROW], found[RIGHT_BROW] = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([0.0, 0, 1])
    found[LEFT_EYE], found[RIGHT_EYE] = torch.tensor([[1.0, 0, 1.0]]), torch.tensor([1.0, 1.0, 0.0])
    found[BRIDGE] = found[NOSTRILS] = torch.tensor([0.0, 1.0, 0.0])
    return found


COLOURS = _colours()
"""Of the 72 points, RGB: jaw white, brows cyan and blue, nose green, eyes magenta and yellow, lips
red; left is the picture's."""


@lru_cache(4)
def _colours_on(device: torch.device) -> Tensor:
    return COLOURS.to(device)


def draw_landmarks(points: Tensor, width: int, height: int) -> Tensor:
    """Pictures (B, height, width, 3), 0..1, of points (B, 72, 2 or more) in pixels.

    Antialiased discs in the order of their numbers, later over earlier, on the points' device. A
    pixel's centre lies at .5; points outside are not seen.
    """
    device = points.device
    radius = max(1.0, RADIUS * min(width, height))
    x = torch.arange(width, device=device, dtype=torch.float32) + 0.5
    y = torch.arange(height, device=device, dtype=torch.float32) + 0.5
    colours = _colours_on(device)
    picture = torch.zeros(len(points), height, width, 3, device=device)
    for index in range(COUNT):
        dx = (x - points[:, index, 0:1].float()).square()[:, None, :]
        dy = (y - points[:, index, 1:2].float()).square()[:, :, None]
        cover = (radius + 0.5 - (dx + dy).sqrt()).clamp(0, 1).unsqueeze(-1)
        picture = picture + cover * (colours[index] - picture)
    return picture
