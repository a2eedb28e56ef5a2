"""What a face is, what a detector is, and in which order faces are taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from ...errors import for_users
from ..boxes import Box
from ..geometry import Points

Picture = Image.Image | np.ndarray


@dataclass(frozen=True)
class Face:
    """A face found in a picture.

    box: pixels of the picture, chin to forehead; may reach outside. score: 0..1. landmarks: left
    eye, right eye, nose, left and right corner of the mouth as (x, y), or None.
    """

    box: Box
    score: float = 1.0
    landmarks: Points | None = None


@for_users
class DetectorUnavailable(RuntimeError):
    """A detector lacks a package or a file; the message says which and where to get it."""


class Detector(Protocol):
    """The small interface behind every face detector."""

    @property
    def name(self) -> str:
        """Short name, such as "lbp"."""
        ...

    @property
    def tried(self) -> str:
        """What `detect` looks at, for the message when it finds nothing."""
        ...

    def detect(self, image: Picture) -> list[Face]:
        """All faces of an RGB picture (PIL, or uint8 (H, W, 3)), best score first.

        Weak ones are included: the caller applies its threshold. Raises DetectorUnavailable.
        """
        ...


def as_pil(image: Picture) -> Image.Image:
    """RGB picture of whatever a detector is given."""
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return picture.convert("RGB")


_Key = Callable[[Face, tuple[int, int]], tuple[float, ...]]


def _off_centre(face: Face, size: tuple[int, int]) -> float:
    x, y = face.box.centre
    return math.hypot(x - size[0] / 2, y - size[1] / 2)


_ORDERS: dict[str, _Key] = {
    "largest": lambda f, _: (-f.box.area, -f.score),
    "most central": lambda f, size: (_off_centre(f, size), -f.box.area),
    "highest score": lambda f, _: (-f.score, -f.box.area),
    "left to right": lambda f, _: (f.box.centre[0], f.box.centre[1]),
    "right to left": lambda f, _: (-f.box.centre[0], f.box.centre[1]),
    "top to bottom": lambda f, _: (f.box.centre[1], f.box.centre[0]),
}

ORDERS = tuple(_ORDERS)


def order_faces(faces: Sequence[Face], order: str, size: tuple[int, int]) -> list[Face]:
    """The faces of a picture of `size` (width, height) in one of `ORDERS`; ties stay as given."""
    key = _ORDERS[order]
    return sorted(faces, key=lambda face: key(face, size))
