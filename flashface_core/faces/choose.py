"""Which faces of a picture are used, and their crops; what happens where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from ..errors import for_users
from .boxes import Box, Cut
from .detection.base import Detector, Face, order_faces
from .geometry import crop_cut, face_cut, pad_to_square

IF_NO_FACE = ("error", "skip", "use whole image")

LIKENESS = "likeness"
"""The order of faces that were ranked by their likeness to a person."""

Likeness = Callable[[Image.Image, Sequence[Face]], Sequence[float]]
"""Picture and faces -> how much each is the person, such as `similarity.Likeness`."""

LARGEST_CROP = 4096  # pixels a side; a larger crop is made from a smaller copy of the picture

REMEDY = (
    "Use a sharper or more frontal photo, lower 'threshold', connect boxes to 'bboxes', or set "
    "'if_no_face' to 'skip' or 'use whole image'."
)
LOWER_INDEX = "Lower 'index' to {} or less, or set 'if_no_face' to 'skip'."

STRONGER = (
    " Turned or small faces need another detector: insightface and yunet, see Load Face Detector."
)


@for_users
class NoFaceError(ValueError):
    """A picture has no face to take, or all pictures were skipped.

    seen: that picture and the faces in it, None where there is more than one.
    """

    seen: ChosenFaces | None = None


@dataclass(frozen=True)
class Choice:
    """Which faces are wanted (see the node's tooltips for each) and how they are cropped."""

    order: str = "largest"
    index: int = 0
    faces_per_image: int = 1
    if_no_face: str = "error"
    threshold: float = 0.6
    padding: float = 0.0
    level_eyes: bool = True
    size: int = 224


@dataclass(frozen=True)
class FaceCrop:
    """A chosen face: where it was cut from, and its square RGB picture.

    likeness: to the person whom it was chosen by, -1..1; None where it was not.
    """

    face: Face
    cut: Cut
    picture: Image.Image
    likeness: float | None = None


@dataclass(frozen=True)
class ChosenFaces:
    """One picture's faces: all of them in order, and the crops of the chosen ones.

    reason says why nothing was chosen, or why the whole picture was; empty otherwise.
    """

    picture: Image.Image
    faces: list[Face]
    chosen: list[FaceCrop]
    source: str
    order: str
    reason: str = ""


def choose_faces(
    picture: Image.Image,
    choice: Choice,
    detector: Detector | None,
    boxes: Sequence[Box] | None = None,
    title: str = "Image 1 of 1",
    remedy: str = REMEDY,
    likeness: Likeness | None = None,
) -> ChosenFaces:
    """Find faces (or take `boxes` as they are), choose and crop; raises NoFaceError.

    One of `detector` and `boxes` has to be given. The error names the picture by `title` and ends
    with `remedy`. `likeness` brings the faces in its order, the choice's where it gives equal
    numbers. With if_no_face "skip" the result has no crops, with "use whole image" it has
    one of the whole picture, padded to a square.
    """
    if boxes is not None:
        faces, reason = _given(picture, boxes)
        source = "bboxes"
    else:
        assert detector is not None
        faces, reason = _detect(picture, detector, choice.threshold)
        source = detector.name
        remedy += STRONGER if source == "lbp" else ""
    faces = order_faces(faces, choice.order, picture.size)
    alike: list[float | None] = [None] * len(faces)
    order = choice.order
    if likeness is not None:
        faces, alike = _by_likeness(faces, likeness(picture, faces))
        order = LIKENESS
    wanted = slice(choice.index, choice.index + choice.faces_per_image)
    if faces[wanted]:
        pairs = zip(faces[wanted], alike[wanted], strict=True)
        chosen = [_crop(picture, face, choice, score) for face, score in pairs]
        return ChosenFaces(picture, faces, chosen, source, order)
    if faces:
        reason = (
            f"{_count(len(faces), 'face')} found, but index {choice.index} asks for face "
            f"number {choice.index + 1} (index counts from 0)"
        )
        remedy = LOWER_INDEX.format(len(faces) - 1)
    whole = [_whole(picture, choice.size)] if choice.if_no_face == "use whole image" else []
    result = ChosenFaces(picture, faces, whole, source, order, reason)
    if not whole and choice.if_no_face != "skip":
        error = NoFaceError(f"{title} ({picture.width} x {picture.height}): {reason}. {remedy}")
        error.seen = result
        raise error
    return result


def _by_likeness(
    faces: list[Face], scores: Sequence[float]
) -> tuple[list[Face], list[float | None]]:
    ranked = sorted(zip(faces, scores, strict=True), key=lambda pair: -pair[1])
    return [face for face, _ in ranked], [score for _, score in ranked]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun} was" if number == 1 else f"{number} {noun}s were"


def _detect(picture: Image.Image, detector: Detector, threshold: float) -> tuple[list[Face], str]:
    candidates = detector.detect(picture)
    faces = [face for face in candidates if face.score >= threshold]
    reason = f"no face found by detector '{detector.name}' ({detector.tried})"
    if candidates and not faces:
        best = max(face.score for face in candidates)
        reason += f"; the best candidate scored {best:.2f}, below the threshold {threshold:.2f}"
    return faces, reason


def _given(picture: Image.Image, boxes: Sequence[Box]) -> tuple[list[Face], str]:
    frame = Box(0, 0, picture.width, picture.height)
    inside = [Face(box, box.score) for box in boxes if box.overlap(frame) > 0]
    if boxes and not inside:
        return [], "the boxes connected to 'bboxes' all lie outside of it"
    return inside, "the connected 'bboxes' hold no box for it"


def _crop(picture: Image.Image, face: Face, choice: Choice, likeness: float | None) -> FaceCrop:
    eyes = face.landmarks if choice.level_eyes else None
    cut = face_cut(face.box.grown(choice.padding), eyes)
    crop = crop_cut(*_manageable(picture, cut))
    return FaceCrop(face, cut, pad_to_square(crop, choice.size), likeness)


def _whole(picture: Image.Image, size: int) -> FaceCrop:
    face = Face(Box(0, 0, picture.width, picture.height), score=0.0)
    return FaceCrop(face, face.box.to_cut(), pad_to_square(picture, size))


def _manageable(picture: Image.Image, cut: Cut) -> tuple[Image.Image, Cut]:
    """Picture and cut, scaled down where the crop would need gigabytes."""
    scale = LARGEST_CROP / max(cut.width, cut.height)
    if scale >= 1:
        return picture, cut
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    box = Box(cut.x, cut.y, cut.x + cut.width, cut.y + cut.height)
    box = box.scaled(size[0] / picture.width, size[1] / picture.height)
    centre, half = box.centre, LARGEST_CROP / 2  # a picture that is one pixel scales no further
    box = Box(
        max(box.x1, centre[0] - half), max(box.y1, centre[1] - half),
        min(box.x2, centre[0] + half), min(box.y2, centre[1] + half),
    )  # fmt: skip
    return picture.resize(size, reducing_gap=2.0), box.to_cut(cut.tilt)
