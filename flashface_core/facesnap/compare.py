"""How far landmarks lie from where they were wanted, and a picture that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from ..drawing import CHOSEN, DARK, GAP, OTHER, WARN, Colour, captioned, tile
from ..faces.boxes import Box
from ..faces.detection.base import Detector
from ..images import image_to_pil, pil_to_image
from .finding import find_face, located_in, network_of
from .landmark_file import LandmarkFile
from .landmark_model import check_points
from .landmark_sheet import dots, dots_over
from .landmarks import LandmarkError, eye_distance
from .outline import face_box
from .prediction import Landmarks

T = TypeVar("T")

SURE = 0.5  # detection score from which on a face is looked at
MISSING = 100.0  # percent, of a picture without a face
TILE, MOST = 256, 12
NEAR, FAR = 6.0, 15.0  # percent: rules of thumb
RED = (235, 105, 105)
STRETCHED = 1.02  # of the sides' ratio, from which on a picture is no copy of another size


@dataclass(frozen=True, eq=False)
class Compared:
    """A picture, landmarks (72, 3) wanted and found in its pixels, and the error in %.

    found: None where no face was found.
    """

    picture: Image.Image
    wanted: np.ndarray
    found: np.ndarray | None
    error: float


def error(wanted: np.ndarray, found: np.ndarray) -> float:
    """The mean distance of points (72, 2 or 3) in x and y, in % of the wanted eyes' distance.

    The eyes' distance is the one in space where z is known: seen from the side they lie together.
    """
    apart = np.linalg.norm(wanted[:, :2] - found[:, :2], axis=1).mean()
    return 100 * float(apart) / max(eye_distance(wanted), 1e-6)


def compare(
    landmarks: Landmarks,
    pictures: Iterable[Image.Image],
    size: tuple[int, int, int],
    file: LandmarkFile,
    face_landmarks: Any = None,
    detector: Detector | None = None,
) -> Iterator[Compared]:
    """Each of some pictures of one size (B, H, W) against its landmarks; one face serves all.

    Points are found in `face_landmarks` or in the detector's face nearest to the wanted one;
    without both the file's network looks where the face was asked for.
    Raises LandmarkError for landmarks of other pictures, of no face, and where nothing can look.
    """
    count, height, width = size
    check_counts(landmarks, count)
    given = located_in(face_landmarks, size) if face_landmarks is not None else None
    if given is None:
        network_of(file)
    for index, picture in enumerate(pictures):
        wanted = wanted_points(landmarks, index, width, height)
        if given is not None:
            found = _nearest([(one.face.box, one.points) for one in given[index]], wanted)
        else:
            found = _looked_for(file, picture, wanted, detector)
        off = MISSING if found is None else error(wanted, found)
        yield Compared(picture, wanted, found, off)


def mean_error(rows: Sequence[Compared]) -> float:
    """Of all pictures, in %."""
    return float(np.mean([row.error for row in rows]))


def _looked_for(
    file: LandmarkFile, picture: Image.Image, wanted: np.ndarray, detector: Detector | None
) -> np.ndarray | None:
    box = face_box(wanted, *picture.size)
    if detector is not None:
        faces = [face.box for face in detector.detect(picture) if face.score >= SURE]
        box = _nearest([(box, box) for box in faces], wanted)
    return None if box is None else find_face(file, picture, box).landmarks


def _nearest(found: Sequence[tuple[Box, T]], wanted: np.ndarray) -> T | None:
    """What belongs to the box whose middle is nearest to the wanted points' middle."""
    middle = wanted[:, :2].mean(0)
    ranked = sorted(found, key=lambda pair: float(np.hypot(*(pair[0].centre - middle))))
    return ranked[0][1] if ranked else None


def wanted_points(landmarks: Landmarks, index: int, width: int, height: int) -> np.ndarray:
    """Landmarks (72, 3) of a picture in its own pixels; one face serves all pictures.

    Raises LandmarkError for a picture of another shape, and for landmarks that no face has.
    """
    sx, sy = width / landmarks.width, height / landmarks.height
    if max(sx, sy) > STRETCHED * min(sx, sy):
        raise LandmarkError(
            f"The landmarks are for a picture of {landmarks.width} x {landmarks.height}, and "
            f"'image' has {width} x {height}, which is another shape. Compare them with the "
            "picture that was made of them, or with one of the same proportions."
        )
    points = landmarks.points[index % len(landmarks.points)].double().cpu().numpy()
    points = points * np.array([sx, sy, (sx + sy) / 2])
    check_points(points)
    return points


def check_counts(landmarks: Landmarks, pictures: int) -> None:
    """Raise LandmarkError where landmarks and pictures are not as many."""
    count = len(landmarks.points)
    if count not in (1, pictures):
        raise LandmarkError(
            f"There are landmarks of {count} faces for {pictures} pictures. Connect the pictures "
            "that were made of them, or landmarks of one face."
        )


def report(rows: Sequence[Compared]) -> torch.Tensor:
    """The picture (h, w, 3) of a comparison: wanted, picture, and what was found in it."""
    shown = rows[:MOST]
    sheet = Image.new("RGB", (3 * TILE + 2 * GAP, len(shown) * (TILE + GAP) - GAP), DARK)
    for i, row in enumerate(shown):
        scale = TILE / max(row.picture.size)
        width, height = row.picture.size
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = row.picture.resize(size, reducing_gap=2.0)
        over = picture
        if row.found is not None:
            over = image_to_pil(dots_over(pil_to_image(picture), row.found * scale))
        wanted = image_to_pil(dots(row.wanted * scale, *size))
        for column, each in enumerate((wanted, picture, over)):
            sheet.paste(tile(each, TILE), (column * (TILE + GAP), i * (TILE + GAP)))
    return pil_to_image(captioned(sheet, _words(rows)))


def _words(rows: Sequence[Compared]) -> list[tuple[str, Colour]]:
    mean = mean_error(rows)
    colour: Colour = CHOSEN if mean <= NEAR else WARN if mean <= FAR else RED
    count = "1 picture" if len(rows) == 1 else f"mean of {len(rows)} pictures"
    return [
        (f"Error {mean:.1f} % of the eyes' distance ({count})", colour),
        ("wanted, picture, found: " + _each(rows), OTHER),
    ]


def _each(rows: Sequence[Compared]) -> str:
    said = ["no face (100)" if row.found is None else f"{row.error:.1f}" for row in rows[:MOST]]
    more = len(rows) - MOST
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")
