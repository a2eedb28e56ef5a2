"""What FaceSnap's networks look at: crops on the device, and pictures made worse in training.

Everything has a fixed shape and waits for nothing, so that a step can be a CUDA graph.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from flashface_core.faces.align import PLACES, SIZE


def planes(pictures: Tensor) -> Tensor:
    """Pictures (B, S, S, 3) uint8 -> (B, 3, S, S), 0..1."""
    return pictures.permute(0, 3, 1, 2).float() / 255


def sampled(pictures: Tensor, matrix: Tensor, size: int) -> Tensor:
    """Crops (B, 3, size, size) of pictures (B, 3, S, S): bilinear, black outside.

    matrix: (B, 2, 3), from pixels of the crop to pixels of the picture, pixel centres at whole
    numbers as in `faces.align`.
    """
    side = pictures.shape[-1]
    steps = torch.arange(size, device=pictures.device, dtype=torch.float32)
    ones = torch.ones(size, size, device=pictures.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.einsum("bij,jhw->bhwi", matrix.float(), torch.stack([x, y, ones]))
    grid = (2 * places + 1) / side - 1
    return F.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False)


def aligned(pictures: Tensor, five: Tensor) -> Tensor:
    """Level crops (B, 3, 112, 112) by five points (B, 5, 2): `faces.align` on the device.

    Points count from the picture's corner, pixel centres at .5, as the renderer's do.
    """
    wanted = _places(five.device).expand(len(five), 5, 2)
    return sampled(pictures, inverted(similarity(five - 0.5, wanted)), SIZE)


@lru_cache(4)
def _places(device: torch.device) -> Tensor:
    """Of the five points in a crop, brought to a device once: a CUDA graph cannot."""
    return torch.tensor(PLACES, device=device)


def misplaced(five: Tensor, numbers: Tensor) -> Tensor:
    """Five points (B, 5, 2) as bad detectors give them: moved, scaled, each a little off.

    numbers: (B, 13), normal.
    """
    side = (five.amax(1) - five.amin(1)).amax(1)[:, None, None]
    middle = five.mean(1, keepdim=True)
    found = middle + (five - middle) * (1 + 0.07 * numbers[:, :1, None])
    found = found + 0.05 * side * numbers[:, None, 1:3]
    return found + 0.025 * side * numbers[:, 3:].unflatten(1, (5, 2))


def similarity(source: Tensor, target: Tensor) -> Tensor:
    """The least-squares similarities (B, 2, 3) of points (B, K, 2) onto others; no reflection."""
    a, b = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    x, y = source - a, target - b
    size = x.square().sum((1, 2))
    real = (x * y).sum((1, 2)) / size
    imaginary = (x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]).sum(1) / size
    rows = torch.stack([real, -imaginary, imaginary, real], 1).view(-1, 2, 2)
    shift = b[:, 0] - torch.einsum("bij,bj->bi", rows, a[:, 0])
    return torch.cat([rows, shift.unsqueeze(2)], 2)


def inverted(moves: Tensor) -> Tensor:
    """The similarities (B, 2, 3) that undo others."""
    rows = moves[:, :, :2].transpose(1, 2) / moves[:, :, 0].square().sum(1)[:, None, None]
    return torch.cat([rows, -rows @ moves[:, :, 2:]], 2)


def square(middle: Tensor, side: Tensor, size: int, flipped: Tensor, width: int) -> Tensor:
    """Matrices (B, 2, 3) for `sampled` of upright squares.

    middle: (B, 2), side: (B,), in pixels of a picture that is mirrored where `flipped` (B,) is 1.
    """
    zoom = side / size
    turn = 1 - 2 * flipped
    matrix = torch.zeros(len(side), 2, 3, device=side.device)
    matrix[:, 0, 0], matrix[:, 1, 1] = zoom * turn, zoom
    left = middle[:, 0] + (0.5 - size / 2) * zoom
    matrix[:, 0, 2] = torch.where(flipped > 0, width - left, left) - 0.5
    matrix[:, 1, 2] = middle[:, 1] + (0.5 - size / 2) * zoom - 0.5
    return matrix


def worse(pictures: Tensor, numbers: Tensor) -> Tensor:
    """Pictures (B, 3, S, S), softened, noisy, of other light and with a box before them, 0..1.

    numbers: (B, 12), uniform in 0..1, which say how much of each.
    """
    n = [numbers[:, i].view(-1, 1, 1, 1) for i in range(12)]
    soft = F.avg_pool2d(F.pad(pictures, (2, 2, 2, 2), mode="replicate"), 5, 1)
    found = torch.lerp(pictures, soft, 0.9 * n[0] * (n[1] < 0.5))
    found = found + 0.05 * n[2] * torch.randn_like(found) * (n[3] < 0.5)
    grey = found.mean(1, keepdim=True)
    found = torch.lerp(found, grey, n[4] * (n[5] < 0.3)) * (0.75 + 0.5 * n[6])
    return _covered(found, n).clamp(0, 1)


def _covered(pictures: Tensor, n: list[Any]) -> Tensor:
    """A grey box over a part of some pictures."""
    side = pictures.shape[-1]
    places = torch.linspace(0, 1, side, device=pictures.device)
    x, y = places.view(1, 1, 1, -1), places.view(1, 1, -1, 1)
    inside = ((x - n[7]).abs() < 0.05 + 0.12 * n[8]) & ((y - n[9]).abs() < 0.05 + 0.12 * n[10])
    return torch.where(inside & (n[11] < 0.2), n[8], pictures)
