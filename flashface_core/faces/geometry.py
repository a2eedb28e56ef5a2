"""Boxes, crops, squares and regions, by the rules of the released FlashFace demo.

A face crop is the PIL crop of the rounded box, turned about its centre until the eyes are level,
then scaled to fit a square and padded with black. A region is a square of ones that hangs from
its box's top-left corner. Pixels stay PIL RGB uint8 here; ComfyUI's IMAGE is converted at the
door. Every rule is the authors' own unless its docstring says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from .boxes import Box, Cut

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Fit:
    """How `pad_to_square` placed an image: its scale, then its resized size and black borders."""

    scale: float
    resized: tuple[int, int]
    left: int
    top: int
    right: int
    bottom: int

    def point_to_image(self, x: float, y: float) -> tuple[float, float]:
        """A point of the square, as pixels of the image it was made from; float32, as theirs."""
        scale = np.float32(self.scale)
        px = (np.float32(x) - np.float32(self.left)) / scale
        py = (np.float32(y) - np.float32(self.top)) / scale
        return float(px), float(py)

    def box_to_image(self, box: Box) -> Box:
        """A box of the square, as pixels of the image it was made from."""
        return Box(*self.point_to_image(box.x1, box.y1), *self.point_to_image(box.x2, box.y2))


def square_fit(width: int, height: int, size: int) -> Fit:
    """Where an image of width x height lands in a square of `size` pixels.

    The longer side becomes `size`, left and top get half of the missing pixels rounded down.
    A side never shrinks to nothing: thin strips keep one pixel (the authors' code would fail).
    """
    scale = size / max(width, height)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size - w) // 2, (size - h) // 2
    return Fit(scale, (w, h), left, top, size - w - left, size - h - top)


def pad_to_square(image: Image.Image, size: int) -> Image.Image:
    """The authors' PadToSquare: bicubic resize to fit, black borders; (size, size) RGB."""
    fit = square_fit(image.width, image.height, size)
    square = Image.new("RGB", (size, size))
    square.paste(image.resize(fit.resized, Image.Resampling.BICUBIC), (fit.left, fit.top))
    return square


def eye_tilt(landmarks: Sequence[Sequence[float]]) -> float:
    """Degrees, counter-clockwise, that level the eyes (landmarks 0 and 1).

    It is atan2(y_right - y_left, |x_right - x_left|), taken as the authors take it: from the sides
    of the triangle of both eyes and the corner below the higher one, lengths in float32. Zero
    when that triangle has no side to measure from: eyes at one place, or the right one straight
    below the left. Nearest-neighbour rotation shows differences of 1e-5 degrees.
    """
    left, right = landmarks[0], landmarks[1]
    falls = left[1] > right[1]
    corner = (right[0], left[1]) if falls else (left[0], right[1])
    opposite, beside, eyes = _span(left, corner), _span(right, corner), _span(left, right)
    if beside == 0 or eyes == 0:
        return 0.0
    cosine = (beside * beside + eyes * eyes - opposite * opposite) / (2 * beside * eyes)
    angle = math.acos(max(-1.0, min(1.0, cosine))) * 180 / math.pi
    return angle - 90 if falls else angle


def _span(a: Sequence[float], b: Sequence[float]) -> float:
    d = np.asarray(a, dtype=np.float32) - np.asarray(b, dtype=np.float32)
    return float(np.sqrt(np.sum(d * d)))


def face_cut(box: Box, landmarks: Sequence[Sequence[float]] | None = None) -> Cut:
    """Where the authors cut a face: the rounded box, turned in place until the eyes are level."""
    return box.to_cut(0.0 if landmarks is None else eye_tilt(landmarks))


def crop_cut(image: Image.Image, cut: Cut) -> Image.Image:
    """The pixels of a cut, black where it leaves the image; `paste.paste_crop` puts them back.

    The turn is about the crop's centre, nearest neighbour, same canvas, black corners.
    """
    crop = image.crop((cut.x, cut.y, cut.x + cut.width, cut.y + cut.height))
    return crop.rotate(cut.tilt) if cut.tilt else crop


def region_box(corners: Sequence[float], width: int, height: int) -> Box:
    """Whole-pixel box of normalised corners (x1, y1, x2, y2); cut off, not rounded, like theirs."""
    x1, y1, x2, y2 = corners
    return Box(int(x1 * width), int(y1 * height), int(x2 * width), int(y2 * height))


def region_extent(box: Box, square: bool) -> Box:
    """What of a region is filled: the box in whole pixels, or the authors' square on its corner.

    Their square hangs from the top-left corner and is as wide as the box's longer side, so it may
    reach beyond the box and beyond the picture.
    """
    x1, y1, x2, y2 = (int(v) for v in (box.x1, box.y1, box.x2, box.y2))
    if square:
        side = max(x2 - x1, y2 - y1)
        x2, y2 = x1 + side, y1 + side
    return Box(x1, y1, x2, y2)


def box_mask(boxes: Sequence[Box], width: int, height: int) -> torch.Tensor:
    """(height, width) float32, 1 inside any of the boxes (rounded, clipped to the picture)."""
    mask = torch.zeros(height, width)
    for box in boxes:
        x1, y1, x2, y2 = (max(0, v) for v in box.rounded())
        mask[y1:y2, x1:x2] = 1.0
    return mask
