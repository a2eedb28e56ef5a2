"""Boxes in pixels, and ComfyUI's BOUNDING_BOX payloads turned into them.

Core nodes send one dict {x, y, width, height}, a list of them, or one list per image; here they
all become one list of `Box` per picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import shown

LARGEST = 1e9  # pixels; no picture is as large


@dataclass(frozen=True)
class Cut:
    """Where a crop was taken from: a rectangle in whole pixels, which may leave the picture.

    tilt: degrees, counter-clockwise, that the crop was turned by in place after that.
    """

    x: int
    y: int
    width: int
    height: int
    tilt: float = 0.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, x to the right and y down; `x2`, `y2` are the far edges.

    score: how sure the node was that found it, 0..1. cut: of the crop that was made for it.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    score: float = field(default=1.0, compare=False, repr=False)
    cut: Cut | None = field(default=None, compare=False, repr=False, kw_only=True)

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return max(self.width, 0.0) * max(self.height, 0.0)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    def grown(self, share: float) -> Box:
        """The box with `share` of its width and height added on every side."""
        dx, dy = self.width * share, self.height * share
        return Box(self.x1 - dx, self.y1 - dy, self.x2 + dx, self.y2 + dy)

    def scaled(self, sx: float, sy: float) -> Box:
        """The box in a picture that is `sx` times as wide and `sy` times as high."""
        return Box(self.x1 * sx, self.y1 * sy, self.x2 * sx, self.y2 * sy)

    def rounded(self) -> tuple[int, int, int, int]:
        """Whole pixels, halves to even (as PIL's crop rounds); may lie outside the image."""
        return round(self.x1), round(self.y1), round(self.x2), round(self.y2)

    def to_cut(self, tilt: float = 0.0) -> Cut:
        """What a crop of this box holds: its whole pixels, at least one."""
        x1, y1, x2, y2 = self.rounded()
        return Cut(x1, y1, max(x2 - x1, 1), max(y2 - y1, 1), tilt)

    def overlap(self, other: Box) -> float:
        """Area shared with `other`, in square pixels."""
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return max(width, 0.0) * max(height, 0.0)


def box_payload(box: Box, cut: Cut) -> dict[str, Any]:
    """A box of BOUNDING_BOX in whole pixels, with what was cropped for it as "crop"."""
    x1, y1, x2, y2 = box.rounded()
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "crop": asdict(cut)}


def boxes_per_image(payload: Any, count: int) -> list[list[Box]]:
    """A BOUNDING_BOX payload as boxes for each of `count` pictures.

    One dict or a list of dicts {x, y, width, height} counts for every picture; a list of lists
    has one list per picture. Boxes without area are left out. Raises ValueError in user's words.
    """
    if payload is None:
        return [[] for _ in range(count)]
    if isinstance(payload, Mapping):
        payload = [payload]
    if not isinstance(payload, list | tuple):
        raise ValueError(
            "bboxes should be a box {x, y, width, height}, a list of boxes, or one list of boxes "
            f"per image; got {type(payload).__name__}."
        )
    if any(isinstance(entry, Mapping) for entry in payload) or not payload:
        frames = [payload] * count
    elif len(payload) == 1:
        frames = [payload[0]] * count
    else:
        frames = list(payload)
    if len(frames) != count:
        raise ValueError(
            f"bboxes hold boxes for each of {len(frames)} images, but image has {count}. "
            "Take both from the same image, or connect a single list of boxes for all of them."
        )
    return [_boxes(frame) for frame in frames]


def boxes_per_batch(payloads: Sequence[Any], counts: Sequence[int]) -> list[list[list[Box]]]:
    """Boxes for a list of IMAGE batches of `counts` pictures from a list of payloads.

    As many payloads as batches: one each. A single payload serves all pictures, or holds one
    list for each picture of all batches together.
    """
    if len(payloads) == len(counts):
        return [boxes_per_image(p, n) for p, n in zip(payloads, counts, strict=True)]
    if len(payloads) != 1:
        raise ValueError(
            f"bboxes come as a list of {len(payloads)}, but image as a list of {len(counts)}. "
            "Connect one entry per image, or a single one for all."
        )
    flat = iter(boxes_per_image(payloads[0], sum(counts)))
    return [[next(flat) for _ in range(n)] for n in counts]


def _boxes(frame: Any) -> list[Box]:
    if not isinstance(frame, list | tuple):
        raise ValueError(f"A list of boxes per image was expected, got {type(frame).__name__}.")
    boxes = [_box(entry) for entry in frame]
    return [box for box in boxes if box.width > 0 and box.height > 0]


def _box(entry: Any) -> Box:
    try:
        x, y, width, height = (float(entry[key]) for key in ("x", "y", "width", "height"))
    except OverflowError:  # integers of hundreds of digits
        x = y = width = height = math.inf
    except (TypeError, KeyError, ValueError, IndexError, AttributeError):
        raise ValueError(
            f"A box should be {{x, y, width, height}} in pixels, got {shown(entry)}."
        ) from None
    if not all(abs(value) <= LARGEST for value in (x, y, width, height)):
        raise ValueError(f"A box should hold finite numbers, got {shown(entry)}.")
    return Box(x, y, x + width, y + height, _score(entry), cut=_cut(entry))


def _score(entry: Mapping[str, Any]) -> float:
    try:
        score = float(entry["score"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return 1.0
    return min(max(score, 0.0), 1.0) if math.isfinite(score) else 1.0


def _cut(entry: Mapping[str, Any]) -> Cut | None:
    try:
        x, y, width, height = (int(entry["crop"][key]) for key in ("x", "y", "width", "height"))
        tilt = float(entry["crop"]["tilt"])
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    possible = all(abs(value) <= LARGEST for value in (x, y, width, height))
    known = possible and width > 0 and height > 0 and abs(tilt) <= 360  # NaN is not
    return Cut(x, y, width, height, tilt) if known else None
