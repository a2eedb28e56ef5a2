"""Frontal faces with the LBP cascade that ships inside scikit-image: nothing to download.

A cascade says yes or no, and it says yes to lamps and hands too. So it is asked six times, at
three sizes of the picture, each as it is and mirrored: real faces are found nearly every time,
accidents are not. The squared share of yes votes is the score (5 of 6 gives 0.69, 4 of 6 0.44).

The cascade's squares run from the brows' upper edge to below the lips. RetinaFace, whose crops
FlashFace was trained on, takes the whole face: hairline to chin, height to width about 1.28.
So a square of side a becomes a wide and 1.28 a high: 0.10 a is added above, 0.18 a below
(chosen by eye on frontal portraits).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from ..boxes import Box
from .base import DetectorUnavailable, Face, Picture, as_pil

LONGEST, SHORTEST = 640, 256  # working size of a picture: large ones shrink, tiny ones grow
SIZES = (1.0, 0.84, 0.7)  # shares of the working size
WINDOW = 24  # the cascade's own window: the smallest face it sees
ABOVE, BELOW = 0.10, 0.18
SURE = 0.6  # below this best score a tight crop is suspected
MARGIN = 0.4  # border put around tight crops, share of the longer side
WEAKEST = 0.2

_Votes = list[tuple[int, Box]]


class LbpDetector:
    """scikit-image's frontal-face cascade; no landmarks."""

    name = "lbp"
    tried = "at three sizes up to 640 pixels, upright and mirrored, and again with a wider border"

    def check(self) -> None:
        """Raise DetectorUnavailable where scikit-image is missing."""
        _cascade()

    def detect(self, image: Picture) -> list[Face]:
        """See `Detector.detect`. About a second for a picture of any size on one core."""
        picture = as_pil(image)
        faces = _detect(picture)
        if not faces or faces[0].score < SURE:
            faces = _merge(faces + _detect_with_border(picture))
        return [Face(_whole_face(face.box), face.score) for face in faces if face.score >= WEAKEST]


@cache
def _cascade() -> Any:
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError as error:
        raise DetectorUnavailable(
            "The built-in face detector needs scikit-image, which cannot be imported "
            f"({error}). Install it into ComfyUI's Python with 'pip install scikit-image', or "
            "connect boxes from another node to 'bboxes'."
        ) from error
    return Cascade(lbp_frontal_face_cascade_filename())


def _detect(picture: Image.Image) -> list[Face]:
    """Merged squares of all runs, best first, in pixels of the picture."""
    longest = max(picture.size)
    base = min(max(longest, SHORTEST), LONGEST)
    grey = picture.convert("L")
    votes: _Votes = []
    for number, share in enumerate(SIZES):
        scale = base * share / longest
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        pixels = np.asarray(grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        back = (picture.width / size[0], picture.height / size[1])
        votes += [(2 * number, box.scaled(*back)) for box in _squares(pixels)]
        mirrored = (
            Box(size[0] - box.x2, box.y1, size[0] - box.x1, box.y2)
            for box in _squares(pixels[:, ::-1])
        )
        votes += [(2 * number + 1, box.scaled(*back)) for box in mirrored]
    return _merge([_face(group) for group in _groups(votes)])


def _detect_with_border(picture: Image.Image) -> list[Face]:
    """Like `_detect`, with the picture on a larger canvas of its mean colour."""
    border = max(1, round(MARGIN * max(picture.size)))
    mean = np.asarray(picture.resize((32, 32), Image.Resampling.BOX)).mean(axis=(0, 1))
    canvas = Image.new(
        "RGB",
        (picture.width + 2 * border, picture.height + 2 * border),
        (int(mean[0]), int(mean[1]), int(mean[2])),
    )
    canvas.paste(picture, (border, border))
    moved = (
        Face(
            Box(f.box.x1 - border, f.box.y1 - border, f.box.x2 - border, f.box.y2 - border), f.score
        )
        for f in _detect(canvas)
    )
    inside = Box(0, 0, picture.width, picture.height)
    return [face for face in moved if face.box.overlap(inside) > 0.5 * face.box.area]


def _squares(pixels: np.ndarray) -> list[Box]:
    """One run of the cascade over a grey picture (H, W)."""
    side = min(pixels.shape)
    if side < WINDOW:
        return []
    squares = _cascade().detect_multi_scale(
        img=np.ascontiguousarray(pixels),
        scale_factor=1.2,
        step_ratio=1,
        min_size=(WINDOW, WINDOW),
        max_size=(side, side),
        min_neighbor_number=4,
    )
    return [Box(d["c"], d["r"], d["c"] + d["width"], d["r"] + d["height"]) for d in squares]


def _groups(votes: _Votes) -> list[_Votes]:
    """Votes for the same face: those that overlap the mean of the others by a third."""
    groups: list[_Votes] = []
    for vote in votes:
        for group in groups:
            mean = _mean(group)
            shared = mean.overlap(vote[1])
            if shared > 0.35 * (mean.area + vote[1].area - shared):
                group.append(vote)
                break
        else:
            groups.append([vote])
    return groups


def _mean(group: _Votes) -> Box:
    boxes = np.array([[b.x1, b.y1, b.x2, b.y2] for _, b in group])
    return Box(*(float(v) for v in boxes.mean(axis=0)))


def _face(group: _Votes) -> Face:
    share = len({run for run, _ in group}) / (2 * len(SIZES))
    return Face(_mean(group), share**2)


def _merge(faces: list[Face]) -> list[Face]:
    """Best first, without those that mostly cover, or lie in, a better one."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: (-f.score, -f.box.area)):
        smaller = (min(face.box.area, other.box.area) for other in kept)
        shared = (face.box.overlap(other.box) for other in kept)
        if all(s <= 0.4 * a for s, a in zip(shared, smaller, strict=True)):
            kept.append(face)
    return kept


def _whole_face(square: Box) -> Box:
    side = square.height
    return Box(square.x1, square.y1 - ABOVE * side, square.x2, square.y2 + BELOW * side)
