"""Boxes, crops and IMAGE conversion keep their contracts, for any picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from flashface_core.faces.boxes import Box, boxes_per_batch, boxes_per_image
from flashface_core.faces.geometry import (
    box_mask,
    crop_cut,
    eye_tilt,
    face_cut,
    pad_to_square,
    region_box,
    region_extent,
    square_fit,
)
from flashface_core.images import image_to_pil, pil_to_image

A = {"x": 10, "y": 20, "width": 30, "height": 40}
B = {"x": 1.5, "y": 2.5, "width": 3.0, "height": 4.0, "label": "face", "score": 0.9}
BOX_A, BOX_B = Box(10, 20, 40, 60), Box(1.5, 2.5, 4.5, 6.5)


def noise(seed: int, width: int, height: int) -> Image.Image:
    random = np.random.RandomState(seed)
    return Image.fromarray(random.randint(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("seed", range(60))
def test_any_picture_becomes_a_square_with_its_pixels_inside(seed: int) -> None:
    random = np.random.RandomState(seed)
    width, height, size = (int(v) for v in random.randint(1, 400, 3))
    square = pad_to_square(noise(seed, width, height), size)
    fit = square_fit(width, height, size)
    assert square.size == (size, size)
    assert fit.left + fit.resized[0] + fit.right == size
    assert fit.top + fit.resized[1] + fit.bottom == size
    assert 0 <= fit.right - fit.left <= 1 and 0 <= fit.bottom - fit.top <= 1


@pytest.mark.parametrize("seed", range(60))
def test_any_box_and_tilt_gives_a_crop_of_the_rounded_size(seed: int) -> None:
    random = np.random.RandomState(seed)
    x, y, w, h = random.uniform(-50, 150, 2).tolist() + random.uniform(0.1, 200, 2).tolist()
    box = Box(x, y, x + w, y + h)
    cut = face_cut(box, random.uniform(0, 120, (5, 2)).tolist())
    crop = crop_cut(noise(seed, 120, 90), cut)
    x1, y1, x2, y2 = box.rounded()
    assert crop.size == (max(1, x2 - x1), max(1, y2 - y1))


def test_thin_strips_keep_one_pixel() -> None:
    assert square_fit(1, 1000, 224).resized == (1, 224)
    assert pad_to_square(Image.new("RGB", (1, 1000), "white"), 224).getpixel((111, 5)) == (255,) * 3


def test_crop_outside_the_picture_is_black() -> None:
    crop = crop_cut(Image.new("RGB", (10, 10), "white"), Box(-5, -5, 5, 5).to_cut())
    assert crop.getpixel((0, 0)) == (0, 0, 0) and crop.getpixel((9, 9)) == (255, 255, 255)


def test_box_rounds_halves_to_even() -> None:
    assert Box(0.5, 1.5, 2.5, 3.5).rounded() == (0, 2, 2, 4)


@pytest.mark.parametrize(
    ("left", "right", "degrees"),
    [
        ((0, 0), (10, 10), 45),
        ((0, 10), (10, 0), -45),
        ((10, 0), (0, 10), 45),
        ((0, 5), (10, 5), 0),
        ((5, 0), (5, 9), 0),
        ((5, 9), (5, 0), -90),
        ((5, 5), (5, 5), 0),
    ],
)
def test_eye_tilt(left: tuple, right: tuple, degrees: float) -> None:
    assert eye_tilt([left, right]) == pytest.approx(degrees, abs=1e-4)


def test_square_region_hangs_from_the_corner_and_the_honest_one_does_not() -> None:
    box = region_box((0.25, 0.5, 0.5, 0.625), 800, 400)
    assert box == Box(200, 200, 400, 250)
    assert region_extent(box, square=True) == Box(200, 200, 400, 400)
    assert region_extent(box, square=False) == box


def test_mask_is_clipped_to_the_picture_and_joins_boxes() -> None:
    mask = box_mask([Box(-5, -5, 2, 1), Box(9, 7, 20, 20), Box(30, 30, 40, 40)], 10, 8)
    assert mask.shape == (8, 10) and mask.dtype == torch.float32
    assert mask.sum() == 3 and mask[0, 0] == mask[0, 1] == mask[7, 9] == 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_image_becomes_rgb_and_comes_back(channels: int) -> None:
    pixels = torch.randint(0, 256, (7, 5, channels), generator=torch.manual_seed(0))
    picture = image_to_pil(pixels / 255)
    back = pil_to_image(picture)
    assert picture.size == (5, 7) and picture.mode == "RGB"
    assert torch.equal((back * 255).round().long(), pixels[..., :3].expand(7, 5, 3))


def test_image_values_out_of_range_are_clipped_and_nan_is_black() -> None:
    row = torch.tensor([[[-1.0], [2.0], [float("nan")], [float("inf")]]])
    assert np.asarray(image_to_pil(row))[0, :, 0].tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4, 3), (4, 4, 2), (0, 4, 3)])
def test_other_shapes_are_refused(shape: tuple) -> None:
    with pytest.raises(ValueError) as error:
        image_to_pil(torch.zeros(shape))
    assert str(error.value) == (
        "Expected a picture of (height, width, channels) with 1, 3 or 4 channels, "
        f"got {shape}. Connect an IMAGE output, such as Load Image."
    )


@pytest.mark.parametrize(
    ("payload", "count", "expected"),
    [
        (None, 2, [[], []]),
        ([], 2, [[], []]),
        (A, 1, [[BOX_A]]),
        (A, 2, [[BOX_A], [BOX_A]]),
        ([A, B], 2, [[BOX_A, BOX_B]] * 2),
        ([[A], [B]], 2, [[BOX_A], [BOX_B]]),
        ([[A], []], 2, [[BOX_A], []]),
        ([[A, B]], 3, [[BOX_A, BOX_B]] * 3),
        ([[]], 1, [[]]),
        ({"x": 0, "y": 0, "width": 0, "height": 0}, 1, [[]]),
    ],
)
def test_every_payload_becomes_boxes_per_image(payload, count: int, expected: list) -> None:
    assert boxes_per_image(payload, count) == expected


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            "face",
            "bboxes should be a box {x, y, width, height}, a list of boxes, or one list of boxes "
            "per image; got str.",
        ),
        (
            [[A], [A], [A]],
            "bboxes hold boxes for each of 3 images, but image has 2. Take both from the "
            "same image, or connect a single list of boxes for all of them.",
        ),
        (
            [{"x": 1}],
            "A box should be {x, y, width, height} in pixels, got {'x': 1}.",
        ),
        (
            {**A, "x": float("nan")},
            "A box should hold finite numbers, got {'x': nan, 'y': 20, 'width': 30, 'height': 40}.",
        ),
        ([1, 2], "A list of boxes per image was expected, got int."),
    ],
)
def test_bad_payloads_are_named(payload, message: str) -> None:
    with pytest.raises(ValueError) as error:
        boxes_per_image(payload, 2)
    assert str(error.value) == message


def test_payloads_meet_a_list_of_batches() -> None:
    assert boxes_per_batch([A, B], [1, 2]) == [[[BOX_A]], [[BOX_B], [BOX_B]]]
    assert boxes_per_batch([[[A], [B], []]], [1, 2]) == [[[BOX_A]], [[BOX_B], []]]
    assert boxes_per_batch([A], [1, 1]) == [[[BOX_A]], [[BOX_A]]]
    with pytest.raises(ValueError) as error:
        boxes_per_batch([A, A], [1, 1, 1])
    assert str(error.value) == (
        "bboxes come as a list of 2, but image as a list of 3. "
        "Connect one entry per image, or a single one for all."
    )
