"""Puts square face crops back where they were taken from, with a soft edge.

The inverse of `geometry.crop_cut` and `pad_to_square`: the black borders are cut off, the rest is
turned back, scaled to its place, and blends into the picture over `feather` of the shorter side.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..images import pil_to_image
from .boxes import Cut
from .geometry import square_fit

Part = tuple[slice, slice]
"""Rows and columns of a cut, from its own top left corner."""


def paste_crop(picture: torch.Tensor, crop: Image.Image, cut: Cut, feather: float) -> torch.Tensor:
    """A copy of the picture (H, W, 3), 0..1, with the square crop in the place of its cut.

    Pixels outside of the cut stay as they are, bit for bit; what lies beyond the picture is lost,
    and so are the corners of a turned crop that turning moved out of it.
    """
    result = picture.clone()
    rows = _seen(cut.y, cut.height, picture.shape[0])
    columns = _seen(cut.x, cut.width, picture.shape[1])
    place = result[_moved(rows, cut.y), _moved(columns, cut.x)]
    if place.numel():
        new, share = _blend(crop, cut, feather, (rows, columns))
        place.copy_(torch.lerp(place, new.to(place), share.to(place)[..., None]))
    return result


def edge(width: int, height: int, feather: float, part: Part | None = None) -> torch.Tensor:
    """1 inside of (height, width), falling to 0 at the edges over `feather` of the shorter side.

    part: what of it is returned, all by default.
    """
    rows, columns = part or (slice(0, height), slice(0, width))
    ramp = max(feather * min(width, height), 1e-6)

    def inwards(span: slice, size: int) -> torch.Tensor:
        at = torch.arange(span.start, span.stop, dtype=torch.float64) + 0.5
        return torch.minimum(at, size - at)

    nearest = torch.minimum(inwards(rows, height)[:, None], inwards(columns, width)[None])
    return (nearest / ramp).clamp(max=1.0).float()


def _blend(
    crop: Image.Image, cut: Cut, feather: float, part: Part
) -> tuple[torch.Tensor, torch.Tensor]:
    """A part of the cut as the crop shows it, (h, w, 3), and how much of it counts, (h, w)."""
    fit = square_fit(cut.width, cut.height, crop.width)
    inside = crop.crop((fit.left, fit.top, fit.left + fit.resized[0], fit.top + fit.resized[1]))
    share = edge(cut.width, cut.height, feather, part)
    if cut.tilt:
        sure = Image.fromarray(edge(*inside.size, feather).numpy())
        sure = sure.rotate(-cut.tilt, Image.Resampling.BILINEAR)
        share = torch.minimum(share, torch.from_numpy(np.array(_scaled(sure, cut, part))))
        inside = inside.rotate(-cut.tilt, Image.Resampling.BICUBIC)
    return pil_to_image(_scaled(inside, cut, part)), share.clamp(0, 1)


def _scaled(inside: Image.Image, cut: Cut, part: Part) -> Image.Image:
    """A part of the cut, of an image that shows all of it in another size."""
    rows, columns = part
    across, down = inside.width / cut.width, inside.height / cut.height
    left, right = columns.start * across, min(columns.stop * across, inside.width)
    top, bottom = rows.start * down, min(rows.stop * down, inside.height)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return inside.resize(size, Image.Resampling.BICUBIC, box=(left, top, right, bottom))


def _seen(start: int, size: int, limit: int) -> slice:
    """What of `size` pixels from `start` lies in 0 to `limit`, counted from `start`."""
    first = min(max(-start, 0), size)
    return slice(first, max(min(size, limit - start), first))


def _moved(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)
