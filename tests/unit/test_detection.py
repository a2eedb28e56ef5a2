"""The built-in detector on real photos and awkward pictures; which faces are chosen and why."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw

from flashface_core.faces.boxes import Box
from flashface_core.faces.choose import LOWER_INDEX, REMEDY, Choice, NoFaceError, choose_faces
from flashface_core.faces.detection import (
    ORDERS,
    DetectorUnavailable,
    Face,
    LbpDetector,
    lbp,
    load_detector,
    order_faces,
)
from flashface_core.faces.preview import error_preview, faces_preview

ASTRONAUT = Image.fromarray(skimage.data.astronaut())
KNOWN = Box(175, 70, 268, 163)  # where the cascade of scikit-image finds her
LBP = LbpDetector()


def iou(a: Box, b: Box) -> float:
    return a.overlap(b) / (a.area + b.area - a.overlap(b))


class Fixed:
    """A detector with the same answer for every picture."""

    name = "fixed"
    tried = "once"

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, image) -> list[Face]:
        return self.faces


def assert_contract(faces: list[Face]) -> None:
    for face in faces:
        assert 0 <= face.score <= 1
        assert face.box.area > 0 and np.isfinite([face.box.x1, face.box.y1, face.box.x2]).all()
    assert faces == sorted(faces, key=lambda face: -face.score)


def test_finds_the_astronaut_from_forehead_to_chin() -> None:
    best = order_faces(load_detector().detect(ASTRONAUT), "largest", ASTRONAUT.size)[0]
    assert best.score > 0.6 and best.landmarks is None
    assert iou(best.box, KNOWN) > 0.6
    assert best.box.height / best.box.width == pytest.approx(1.28)
    assert best.box.y1 < KNOWN.y1 and best.box.y2 > KNOWN.y2


def in_disguise(kind: str) -> Image.Image:
    """The astronaut behind dark glasses, a mask, both or a scarf, with a badge beside her."""
    picture = ASTRONAUT.resize((320, 320))
    pen = ImageDraw.Draw(picture)
    if "sunglasses" in kind:
        for x in (128, 152):
            pen.ellipse((x - 9, 63, x + 9, 76), fill=(12, 12, 14))
        pen.line((128, 68, 152, 68), fill=(12, 12, 14), width=3)
    if kind == "scarf":
        shape = [(112, 84), (140, 78), (168, 84), (178, 118), (140, 150), (104, 118)]
        pen.polygon(shape, fill=(150, 40, 60))
    if "mask" in kind:
        shape = [(116, 80), (140, 75), (164, 80), (159, 102), (140, 112), (121, 102)]
        pen.polygon(shape, fill=(120, 160, 200))
        for y in (85, 91, 97):
            pen.line((121, y, 159, y), fill=(96, 128, 160))
    pen.ellipse((238, 175, 283, 220), fill=(90, 200, 210))
    pen.ellipse((247, 184, 274, 211), outline="black", width=4)
    pen.rectangle((252, 195, 269, 199), fill="black")
    return picture


@pytest.mark.parametrize("kind", ["sunglasses", "mask", "sunglasses and mask", "scarf"])
def test_a_face_in_disguise_comes_before_badges(kind: str) -> None:
    faces = [face for face in LBP.detect(in_disguise(kind)) if face.score >= 0.6]
    first = order_faces(faces, "largest", (320, 320))[0]
    assert iou(first.box.scaled(1.6, 1.6), KNOWN) > 0.4
    assert first is max(faces, key=lambda face: face.score)


def before_a_pattern(seed: int) -> tuple[Image.Image, Box]:
    """A small real face, enlarged, before checks, stripes or dots; and where it is."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:320, :320] // int(random.integers(8, 28))
    on = ((x + y) % 2, x % 2, (x % 2) * (y % 2))[seed % 3]
    picture = Image.fromarray(random.integers(0, 256, (2, 3), dtype=np.uint8)[on])
    face = Image.fromarray((skimage.data.lfw_subset()[seed] * 255).astype(np.uint8))
    side = int(random.integers(70, 130))
    left, top = (int(v) for v in random.integers(20, 300 - side, 2))
    picture.paste(face.resize((side, side)), (left, top))
    return picture, Box(left, top, left + side, top + side)


def test_faces_before_patterns_come_first() -> None:
    right = 0
    for seed in range(12):
        picture, truth = before_a_pattern(seed)
        faces = [face for face in LBP.detect(picture) if face.score >= 0.6]
        boxes = [face.box for face in order_faces(faces, "largest", picture.size)]
        right += bool(boxes) and iou(boxes[0], truth) > 0.3
    assert right >= 10


@pytest.mark.parametrize("name", ["motorcycle_left", "page", "text", "brick", "coins"])
def test_what_is_no_face_scores_low(name: str) -> None:
    photo = Path(skimage.data.__file__).parent / f"{name}.png"
    scores = [face.score for face in LBP.detect(Image.open(photo))]
    assert max(scores, default=0.0) < 0.67


def test_takes_arrays_and_grey_pictures() -> None:
    array = LBP.detect(np.asarray(ASTRONAUT))
    assert array == LBP.detect(ASTRONAUT)
    assert LBP.detect(ASTRONAUT.convert("L"))[0].score > 0.6


def test_finds_people_in_a_group_photo() -> None:
    spec = importlib.util.find_spec("insightface")
    assert spec is not None and spec.origin is not None
    photo = Image.open(Path(spec.origin).parent / "data" / "images" / "t1.jpg").convert("RGB")
    faces = [face for face in LBP.detect(photo) if face.score >= 0.6]
    people = [Box(449, 276, 585, 412), Box(732, 358, 843, 469), Box(1111, 274, 1233, 396)]
    for person in people:
        assert max(iou(face.box, person) for face in faces) > 0.5
    assert len(faces) == 3


@pytest.mark.parametrize("side", [200, 1500, 8000])
def test_finds_the_same_face_at_any_size(side: int) -> None:
    best = LBP.detect(ASTRONAUT.resize((side, side)))[0].box.scaled(512 / side, 512 / side)
    assert iou(best, KNOWN) > 0.5


def test_finds_a_face_that_fills_the_picture() -> None:
    tight = ASTRONAUT.crop((170, 60, 275, 180))
    best = LBP.detect(tight)[0]
    assert best.score > 0.6 and best.box.width > 60


@pytest.mark.parametrize("angle", [5, 90, 180])
def test_turned_pictures_keep_the_contract(angle: int) -> None:
    assert_contract(LBP.detect(ASTRONAUT.rotate(angle)))


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 2), (23, 23), (24, 24), (300, 200)])
@pytest.mark.parametrize("colour", ["black", "white"])
def test_plain_pictures_hold_no_face(size: tuple, colour: str) -> None:
    assert LBP.detect(Image.new("RGB", size, colour)) == []


@pytest.mark.parametrize("seed", range(12))
def test_random_pictures_keep_the_contract(seed: int) -> None:
    random = np.random.RandomState(seed)
    height, width = random.randint(1, 80, 2)
    pixels = random.randint(0, 256, (height, width, 3), dtype=np.uint8)
    assert_contract(LBP.detect(pixels))


def test_missing_scikit_image_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    lbp._cascade.cache_clear()
    with pytest.raises(DetectorUnavailable) as error:
        LBP.detect(ASTRONAUT)
    assert str(error.value).startswith(
        "The built-in face detector needs scikit-image, which cannot be imported ("
    )
    assert str(error.value).endswith(
        "Install it into ComfyUI's Python with 'pip install scikit-image', or connect boxes from "
        "another node to 'bboxes'."
    )


SMALL, BIG, TALL = Box(0, 40, 10, 50), Box(50, 0, 90, 40), Box(40, 45, 55, 70)
FACES = [Face(SMALL, 0.9), Face(BIG, 0.7), Face(TALL, 0.8)]
PICTURE = Image.new("RGB", (100, 100), "white")
ORDERED = {
    "largest": [BIG, TALL, SMALL],
    "most central": [TALL, BIG, SMALL],
    "highest score": [SMALL, TALL, BIG],
    "left to right": [SMALL, TALL, BIG],
    "right to left": [BIG, TALL, SMALL],
    "top to bottom": [BIG, SMALL, TALL],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("index", range(3))
def test_every_order_and_index(order: str, index: int) -> None:
    choice = Choice(order=order, index=index, faces_per_image=2)
    result = choose_faces(PICTURE, choice, Fixed(*FACES))
    assert [face.box for face in result.faces] == ORDERED[order]
    assert [crop.face.box for crop in result.chosen] == ORDERED[order][index : index + 2]
    assert result.reason == ""


def test_given_boxes_are_taken_without_detection_or_threshold() -> None:
    result = choose_faces(PICTURE, Choice(threshold=1.0), Fixed(), [SMALL, BIG])
    assert [crop.face for crop in result.chosen] == [Face(BIG)] and result.source == "bboxes"


def test_padding_grows_the_crop_and_not_the_box() -> None:
    result = choose_faces(PICTURE, Choice(padding=1.0, size=64), Fixed(), [SMALL])
    assert result.chosen[0].face.box == SMALL
    assert result.chosen[0].picture.getpixel((5, 30)) == (0, 0, 0)  # left of the picture
    assert result.chosen[0].picture.getpixel((60, 30)) == (255, 255, 255)


def test_level_eyes_turns_only_when_wanted() -> None:
    eyes = ((45.0, 55.0), (50.0, 60.0), (47.0, 60.0), (45.0, 65.0), (50.0, 66.0))
    detector = Fixed(Face(TALL, 1.0, eyes))
    turned = choose_faces(PICTURE, Choice(), detector).chosen[0].picture
    straight = choose_faces(PICTURE, Choice(level_eyes=False), detector).chosen[0].picture
    assert np.asarray(turned).min() == 0 and turned.tobytes() != straight.tobytes()


NO_FACE = [
    (
        Fixed(),
        None,
        Choice(),
        "no face found by detector 'fixed' (once)",
    ),
    (
        Fixed(*FACES),
        None,
        Choice(threshold=0.95),
        "no face found by detector 'fixed' (once); the best candidate scored 0.90, below the "
        "threshold 0.95",
    ),
    (
        Fixed(*FACES),
        None,
        Choice(index=3),
        "3 faces were found, but index 3 asks for face number 4 (index counts from 0)",
    ),
    (Fixed(), [], Choice(), "the connected 'bboxes' hold no box for it"),
    (
        Fixed(),
        [Box(200, 0, 300, 50)],
        Choice(),
        "the boxes connected to 'bboxes' all lie outside of it",
    ),
]


@pytest.mark.parametrize(("detector", "boxes", "choice", "reason"), NO_FACE)
def test_no_face_is_an_error_a_skip_or_the_whole_image(detector, boxes, choice, reason) -> None:
    with pytest.raises(NoFaceError) as error:
        choose_faces(PICTURE, choice, detector, boxes, "Image 2 of 3")
    remedy = LOWER_INDEX.format(2) if choice.index else REMEDY
    assert str(error.value) == f"Image 2 of 3 (100 x 100): {reason}. {remedy}"
    assert error.value.seen is not None and error.value.seen.reason == reason
    shown = error_preview(error.value.seen, str(error.value))
    assert shown.height > 512 and shown.width >= 512  # the sentence stands below the picture

    skipped = choose_faces(PICTURE, replace(choice, if_no_face="skip"), detector, boxes)
    assert skipped.chosen == [] and skipped.reason == reason

    whole = choose_faces(PICTURE, replace(choice, if_no_face="use whole image"), detector, boxes)
    assert [crop.face.box for crop in whole.chosen] == [Box(0, 0, 100, 100)]
    assert np.asarray(whole.chosen[0].picture).min() == 255 and whole.reason == reason


@pytest.mark.parametrize("seed", range(100))
def test_random_pictures_and_boxes_give_crops_and_a_preview(seed: int) -> None:
    random = np.random.RandomState(seed)
    width, height = (int(v) for v in random.randint(1, 300, 2))
    picture = Image.fromarray(random.randint(0, 256, (height, width, 3), dtype=np.uint8))
    corners = random.uniform(-100, 400, (random.randint(1, 7), 2)).tolist()
    boxes = [Box(x, y, x + random.uniform(0.1, 200), y + 50) for x, y in corners]
    choice = Choice(
        order=ORDERS[seed % len(ORDERS)],
        faces_per_image=int(random.randint(1, 9)),
        padding=float(random.uniform(0, 2)),
        size=64,
        if_no_face="use whole image",
    )
    result = choose_faces(picture, choice, Fixed(), boxes)
    assert 1 <= len(result.chosen) <= choice.faces_per_image
    assert all(c.picture.size == (64, 64) and c.picture.mode == "RGB" for c in result.chosen)
    assert faces_preview(result, "Image 1").height > 0
