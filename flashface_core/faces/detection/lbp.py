"""Faces with the LBP cascade that ships inside scikit-image, and a small network of our own.

Nothing to download. `together` says how the answers of both are weighed; here is the cascade's.

A cascade says yes or no to a window, and it says yes to badges and lamps too. So it is asked six
times, at three sizes of the picture, each as it is and mirrored, and its yeses are counted: a
plain face has 30 to 160, a badge 5 to 50, a face behind sunglasses or a mask 5 to 50 as well. What
tells those two apart is their size and their skin. A square with n yeses, of a share w of the
picture's shorter side, and a share f of pixels in the hues of skin has the strength

    s = n min(w, 1/4) / (1/5) (1 + 4 f) / 3

and the score s / (s + 6) (s / s_best)^(1/4), which is 0.6 from 9 yeses on at 1/5 and half of skin.

The cascade's squares run from the brows' upper edge to below the lips. RetinaFace, whose crops
FlashFace was trained on, takes the whole face: hairline to chin, height to width about 1.28.
So a square of side a becomes a wide and 1.28 a high: 0.10 a is added above, 0.18 a below
(chosen by eye on frontal portraits).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from ..boxes import Box
from .base import DetectorUnavailable, Face, Picture, as_pil
from .face_net import Seen, look
from .together import TALL, Candidate, weighed

LONGEST, SHORTEST = 640, 256  # working size of a picture: large ones shrink, tiny ones grow
SIZES = (1.0, 0.84, 0.7)  # shares of the working size
WINDOW = 24  # the cascade's own window: the smallest face it sees
ABOVE = 0.10
BELOW = TALL - 1 - ABOVE
SURE = 0.6  # below this best score a tight crop is suspected
MARGIN = 0.4  # border put around tight crops, share of the longer side
WEAKEST = 0.2
FEWEST = 3  # windows; fewer are noise
USUAL, LARGE = 1 / 5, 1 / 4  # shares of the picture's shorter side; no face gains beyond LARGE
SKIN, HALF, RELATIVE = 4.0, 6.0, 0.25  # of the two formulas above
COLOURLESS = 6.0  # mean distance from grey of a picture's chroma, of 128: below it no hue counts


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
        seen = look(picture)
        squares = _detect(picture)
        candidates = _faces(squares, seen)
        if not candidates or _score(candidates[0].strength) < SURE:
            candidates = _faces(squares + _detect_with_border(picture), seen)
        best = candidates[0].strength if candidates else 0.0
        faces = [
            Face(c.box, _score(c.strength) * (c.strength / best) ** RELATIVE) for c in candidates
        ]
        return [face for face in faces if face.score >= WEAKEST]


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


def _detect(picture: Image.Image) -> list[Candidate]:
    """The squares of all runs that are no noise, in pixels of the picture."""
    longest = max(picture.size)
    base = min(max(longest, SHORTEST), LONGEST)
    grey = picture.convert("L")
    windows: list[Box] = []
    for share in SIZES:
        scale = base * share / longest
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        pixels = np.asarray(grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
        back = (picture.width / size[0], picture.height / size[1])
        windows += [box.scaled(*back) for box in _squares(pixels)]
        mirrored = (
            Box(size[0] - box.x2, box.y1, size[0] - box.x1, box.y2)
            for box in _squares(pixels[:, ::-1])
        )
        windows += [box.scaled(*back) for box in mirrored]
    groups = ((count, box) for count, box in _groups(windows) if count >= FEWEST)
    skin = _skin_of(picture)
    return [Candidate(box, _strength(count, box, picture, skin)) for count, box in groups]


def _detect_with_border(picture: Image.Image) -> list[Candidate]:
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
        Candidate(
            Box(c.box.x1 - border, c.box.y1 - border, c.box.x2 - border, c.box.y2 - border),
            c.strength,
        )
        for c in _detect(canvas)
    )
    inside = Box(0, 0, picture.width, picture.height)
    return [c for c in moved if c.box.overlap(inside) > 0.5 * c.box.area]


def _squares(pixels: np.ndarray) -> list[Box]:
    """Every window that one run of the cascade says yes to, over a grey picture (H, W)."""
    side = min(pixels.shape)
    if side < WINDOW:
        return []
    squares = _cascade().detect_multi_scale(
        img=np.ascontiguousarray(pixels),
        scale_factor=1.2,
        step_ratio=1,
        min_size=(WINDOW, WINDOW),
        max_size=(side, side),
        min_neighbor_number=1,
        intersection_score_threshold=1.01,  # no two windows are one: they are counted here
    )
    return [Box(d["c"], d["r"], d["c"] + d["width"], d["r"] + d["height"]) for d in squares]


def _groups(windows: list[Box]) -> Iterator[tuple[int, Box]]:
    """Count and mean of the windows of one face: those that overlap the mean by a third."""
    sums = np.zeros((0, 5))  # x1, y1, x2, y2, how many
    for window in windows:
        row = np.array([window.x1, window.y1, window.x2, window.y2, 1.0])
        means = sums[:, :4] / sums[:, 4:]
        corner = np.minimum(means[:, 2:], row[2:4]) - np.maximum(means[:, :2], row[:2])
        shared = np.prod(corner.clip(0), axis=1)
        areas = np.prod(means[:, 2:] - means[:, :2], axis=1)
        near = np.flatnonzero(shared > 0.35 * (areas + window.area - shared))
        if near.size:
            sums[near[0]] += row
        else:
            sums = np.vstack([sums, row])
    for x1, y1, x2, y2, count in sums.tolist():
        yield int(count), Box(x1 / count, y1 / count, x2 / count, y2 / count)


def _skin_of(picture: Image.Image) -> Image.Image | None:
    """255 where a pixel has a hue of skin, dark or light; None for a picture without colours.

    The hues are the range of chroma that skins of all colours share, brightness aside (Chai and
    Ngan 1999, made a little wider).
    """
    scale = min(1.0, LONGEST / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    ycc = np.asarray(picture.resize(size, reducing_gap=2.0).convert("YCbCr"), dtype=np.int16)
    cb, cr = ycc[..., 1], ycc[..., 2]
    if np.abs(ycc[..., 1:] - 128).mean() < COLOURLESS:
        return None
    skin = (cr >= 133) & (cr <= 178) & (cb >= 77) & (cb <= 130) & (cr > cb)
    return Image.fromarray(skin.astype(np.uint8) * 255)


def _strength(count: int, box: Box, picture: Image.Image, skin: Image.Image | None) -> float:
    share = 0.5
    if skin is not None:
        inner = Box(box.x1 + 0.15 * box.width, box.y1, box.x2 - 0.15 * box.width, box.y2)
        inner = inner.scaled(skin.width / picture.width, skin.height / picture.height)
        x1, y1, x2, y2 = inner.rounded()
        seen = (max(x1, 0), max(y1, 0), min(x2, skin.width), min(y2, skin.height))
        empty = seen[2] <= seen[0] or seen[3] <= seen[1]
        share = 0.0 if empty else float(np.asarray(skin.crop(seen)).mean()) / 255
    size = min(box.width / min(picture.size), LARGE) / USUAL
    return count * size * (1 + SKIN * share) / (1 + SKIN / 2)


def _score(strength: float) -> float:
    return strength / (strength + HALF)


def _faces(squares: list[Candidate], seen: list[Seen]) -> list[Candidate]:
    """Whole faces, weighed, strongest first."""
    return weighed([Candidate(_whole_face(c.box), c.strength) for c in squares], seen)


def _whole_face(square: Box) -> Box:
    side = square.height
    return Box(square.x1, square.y1 - ABOVE * side, square.x2, square.y2 + BELOW * side)
