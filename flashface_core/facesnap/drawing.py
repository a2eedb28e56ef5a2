"""Landmarks as coloured dots on black: the picture that FFRNet reads, in training and in nodes."""

from __future__ import annotations

import math
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
    pixel's centre lies at .5; points outside are not seen. Nothing waits for the device, so that
    this can be part of a CUDA graph.
    """
    device, count = points.device, len(points)
    radius = max(1.0, RADIUS * min(width, height))
    side = 2 * math.ceil(radius + 1) + 1  # of the window about a dot
    colours = _colours_on(device)
    # a border as wide as a window takes the dots that lie outside
    sheet = torch.zeros(count, (height + 2 * side) * (width + 2 * side), 3, device=device)
    steps, rows = torch.arange(side, device=device), torch.arange(count, device=device)[:, None]
    for index in range(COUNT):
        x, dx = _across(points[:, index, 0], steps, width)
        y, dy = _across(points[:, index, 1], steps, height)
        places = (y[:, :, None] * (width + 2 * side) + x[:, None, :]).flatten(1)
        cover = (radius + 0.5 - (dx[:, None, :] + dy[:, :, None]).sqrt()).clamp(0, 1)
        below = sheet[rows, places]
        sheet[rows, places] = below + cover.flatten(1)[..., None] * (colours[index] - below)
    sheet = sheet.unflatten(1, (height + 2 * side, width + 2 * side))
    return sheet[:, side:-side, side:-side].contiguous()


def _across(middle: Tensor, steps: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """(B, K) places on the bordered sheet of windows about (B) places, and squared distances."""
    middle, side = middle.float()[:, None], len(steps)
    first = (middle - side / 2).round().clamp(-side, length).long()
    return first + steps + side, (first + steps + 0.5 - middle).square()
