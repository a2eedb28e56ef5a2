"""What the networks look at: crops about faces, and pictures made worse as painting makes them.

A small autoencoder blurs, misses colours by a little and adds soft noise; a judge that has only
seen clean renders would take that for another person.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

AROUND = 1.4  # a crop's side, in longer sides of the face's box


def as_pictures(pictures: Tensor, side: int) -> Tensor:
    """Pictures (B, S, S, 3), uint8 or 0..1 -> (B, 3, side, side), 0..1."""
    planes = pictures.permute(0, 3, 1, 2)
    planes = planes.float() / 255 if pictures.dtype == torch.uint8 else planes.float().clamp(0, 1)
    if planes.shape[-1] == side:
        return planes
    scaled = F.interpolate(planes, (side, side), mode="bicubic", antialias=True)
    return scaled.clamp(0, 1)


def face_crops(pictures: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Squares about the boxes (B, 4) of pictures (B, 3, S, S): (B, 3, size, size)."""
    corners, ends = boxes[:, :2], boxes[:, 2:]
    side = AROUND * (ends - corners).amax(1)
    # grid_sample counts from -1 to 1 over the whole picture.
    middle = (corners + ends) / pictures.shape[-1] - 1
    zoom = side / pictures.shape[-1]
    moves = torch.zeros(len(boxes), 2, 3, device=pictures.device, dtype=pictures.dtype)
    moves[:, 0, 0] = moves[:, 1, 1] = zoom.to(pictures.dtype)
    moves[:, :, 2] = middle.to(pictures.dtype)
    grid = F.affine_grid(moves, [len(boxes), 3, size, size], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def jittered(boxes: Tensor) -> Tensor:
    """Boxes moved by up to 6 % of their longer side, and up to 10 % larger or smaller."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    rows = len(boxes)
    longest = half.amax(1, keepdim=True)
    middle = middle + 0.12 * longest * (2 * torch.rand(rows, 2, device=boxes.device) - 1)
    half = half * (1 + 0.1 * (2 * torch.rand(rows, 1, device=boxes.device) - 1))
    return torch.cat([middle - half, middle + half], 1)


def softened(pictures: Tensor, factor: float) -> Tensor:
    """Pictures (B, 3, S, S) made smaller by a factor and larger again."""
    small = max(4, round(pictures.shape[-1] / factor))
    less = F.interpolate(pictures, (small, small), mode="bilinear", antialias=True)
    return F.interpolate(less, pictures.shape[-2:], mode="bicubic")


def worsened(pictures: Tensor, random: np.random.Generator) -> Tensor:
    """Pictures (B, 3, S, S), softened, with noise of some grain, and of other light, 0..1.

    How coarse blur and grain are is one number a batch, from `random`; how strong, one a picture.
    """
    rows, side = len(pictures), pictures.shape[-1]

    def draw(low: float, high: float, chance: float = 1.0, depth: int = 1) -> Tensor:
        numbers, chosen = torch.rand(2, rows, depth, 1, 1, device=pictures.device)
        return (low + (high - low) * numbers) * (chosen < chance)

    soft = softened(pictures, random.uniform(1.3, 3.2))
    pictures = torch.lerp(pictures, soft, draw(0.4, 1, 0.65))
    cells = side // int(random.choice([1, 2, 4, 8]))
    noise = torch.randn(rows, 3, cells, cells, device=pictures.device)
    if cells != side:
        noise = F.interpolate(noise, (side, side), mode="bilinear")
    pictures = pictures + draw(0, 0.06, 0.6) * noise
    grey = pictures.mean(1, keepdim=True)
    pictures = torch.lerp(pictures, grey, draw(-0.2, 0.25))
    light = draw(0.85, 1.15) * draw(0.96, 1.04, depth=3)
    return (pictures * light + draw(-0.05, 0.05)).clamp(0, 1)
