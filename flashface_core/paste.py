"""Puts square face crops back where they were taken from, with a soft edge.

The inverse of a crop that was not turned: the black borders of `pad_to_square` are cut off, the
rest is scaled to its box, and blends into the picture over `feather` of the box's shorter side.
"""

from __future__ import annotations

import torch
from PIL import Image

from .boxes import Box
from .geometry import pil_to_image, square_fit


def paste_crop(picture: torch.Tensor, crop: Image.Image, box: Box, feather: float) -> torch.Tensor:
    """A copy of the picture (H, W, 3), 0..1, with the square crop in the place of the box.

    Pixels outside of the box stay as they are, bit for bit; what lies beyond the picture is lost.
    """
    x1, y1, x2, y2 = box.rounded()
    width, height = max(1, x2 - x1), max(1, y2 - y1)
    fit = square_fit(width, height, crop.width)
    inside = (fit.left, fit.top, fit.left + fit.resized[0], fit.top + fit.resized[1])
    scaled = crop.crop(inside).resize((width, height), Image.Resampling.BICUBIC)
    new, share = pil_to_image(scaled).to(picture), edge(width, height, feather).to(picture)
    top, left = max(y1, 0), max(x1, 0)
    bottom, right = min(y1 + height, picture.shape[0]), min(x1 + width, picture.shape[1])
    result = picture.clone()
    if top < bottom and left < right:
        seen = slice(top - y1, bottom - y1), slice(left - x1, right - x1)
        place = result[top:bottom, left:right]
        place.copy_(torch.lerp(place, new[seen], share[seen][..., None]))
    return result


def edge(width: int, height: int, feather: float) -> torch.Tensor:
    """(height, width): 1 inside, falling to 0 at the edges over `feather` of the shorter side."""
    ramp = max(feather * min(width, height), 1e-6)
    x, y = (torch.arange(size) + 0.5 for size in (width, height))
    across, down = (torch.minimum(at, size - at) for at, size in ((x, width), (y, height)))
    return (torch.minimum(down[:, None], across[None]) / ramp).clamp(max=1.0)
