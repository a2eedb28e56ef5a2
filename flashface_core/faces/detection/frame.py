"""Finds faces in a square frame around the picture, smaller and with a border where need be.

The first frame is the authors' own: the picture fitted into size x size, padded with black. Nets
see no face that fills their input, so where no face is sure the picture is fitted in smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from ..geometry import Fit, pad_to_square, square_fit
from .base import Face

SURE = 0.6  # the authors' threshold: from this score on no other frame is tried
SHARES = (1.0, 0.6, 0.3)  # of the frame that the picture fills

Run = Callable[[Image.Image], list[Face]]


def detect_in_frames(picture: Image.Image, size: int, run: Run) -> list[Face]:
    """The faces of an RGB picture, best first, in its pixels; `run` finds those of a frame.

    The first of three frames with a face of score `SURE` counts, else the one with the best face.
    """
    best: list[Face] = []
    for share in SHARES:
        frame, fit = _frame(picture, size, round(size * share))
        faces = [_back(face, fit) for face in run(frame)]
        faces = sorted(filter(_possible, faces), key=lambda face: -face.score)
        if faces and (not best or faces[0].score > best[0].score):
            best = faces
        if best and best[0].score >= SURE:
            break
    return best


def _frame(picture: Image.Image, size: int, inner: int) -> tuple[Image.Image, Fit]:
    fit = square_fit(picture.width, picture.height, inner)
    square = pad_to_square(picture, inner)
    if inner == size:
        return square, fit
    border = (size - inner) // 2
    frame = Image.new("RGB", (size, size))
    frame.paste(square, (border, border))
    return frame, replace(fit, left=fit.left + border, top=fit.top + border)


def _back(face: Face, fit: Fit) -> Face:
    points = face.landmarks and tuple(fit.point_to_image(x, y) for x, y in face.landmarks)
    return Face(fit.box_to_image(face.box), min(face.score, 1.0), points)


def _possible(face: Face) -> bool:
    box = face.box
    points = [v for point in face.landmarks or () for v in point]
    numbers = [box.x1, box.y1, box.x2, box.y2, face.score, *points]
    return all(map(math.isfinite, numbers)) and box.width >= 1 and box.height >= 1
