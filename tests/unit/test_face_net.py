"""The network of the built-in detector: small, finite, and right on faces it has never seen."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image

from flashface_core.faces.boxes import Box
from flashface_core.faces.detection.face_net import STRIDES, WEIGHTS, layers, look
from flashface_core.faces.detection.together import overlap

ASTRONAUT = Image.fromarray(skimage.data.astronaut())
HER = Box(170, 60, 270, 182)


def best(picture: Image.Image) -> float:
    seen = look(picture)
    return seen[0].score if seen else 0.0


def framed(grey: np.ndarray) -> Image.Image:
    """A 25 px photo at 75 px, in a border of its mean."""
    photo = Image.fromarray((grey * 255).astype(np.uint8)).resize((75, 75))
    frame = Image.new("L", (160, 160), int(np.asarray(photo).mean()))
    frame.paste(photo, (42, 42))
    return frame.convert("RGB")


def test_the_file_is_small_and_holds_numbers_alone() -> None:
    assert WEIGHTS.stat().st_size < 100_000
    assert len(layers()) == len(STRIDES)
    assert all(bool(v.isfinite().all()) for pair in layers() for v in pair)
    assert sum(v.numel() for pair in layers() for v in pair) < 50_000


def test_real_faces_that_it_was_not_trained_on_are_told_from_the_rest() -> None:
    photos = skimage.data.lfw_subset()  # 100 faces, 100 that are none
    scores = np.array([best(framed(photo)) for photo in photos])
    assert np.mean(scores[:100] >= 0.5) >= 0.9
    assert np.mean(scores[100:] >= 0.5) <= 0.1


@pytest.mark.parametrize("side", [150, 512, 700, 3000])
def test_boxes_are_of_the_picture_at_any_size(side: int) -> None:
    first = look(ASTRONAUT.resize((side, side)))[0]
    assert first.score > 0.6
    assert overlap(first.box.scaled(512 / side, 512 / side), HER) > 0.5


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (23, 24), (900, 8), (300, 200)])
@pytest.mark.parametrize("colour", ["black", "white", "tan", "red"])
def test_plain_pictures_hold_no_face(size: tuple[int, int], colour: str) -> None:
    assert best(Image.new("RGB", size, colour)) < 0.5


def test_scores_are_sorted_and_boxes_finite() -> None:
    random = np.random.RandomState(1)
    noise = Image.fromarray(random.randint(0, 256, (90, 130, 3), dtype=np.uint8))
    for picture in (noise, ASTRONAUT):
        seen = look(picture)
        assert [s.score for s in seen] == sorted((s.score for s in seen), reverse=True)
        assert all(s.box.area > 0 and np.isfinite(s.box.area) and s.score <= 1 for s in seen)
