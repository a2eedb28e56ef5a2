"""Crops, padded squares and regions against the authors' code, group F of the golden data.

Pixels are compared by hash. Another Pillow may resize or rotate a little differently: then the
recorded pixels decide, within a mean difference of half a grey level.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from goldens import cases, tensors
from PIL import Image

from flashface_core.faces.boxes import Box
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

GROUP = "F_geometry"
# lengths in float32 leave the authors' angle open by about this much
DEGREES = 1e-4


def of_kind(kind: str) -> list:
    return [pytest.param(c, id=c["id"]) for c in cases(GROUP) if c["kind"] == kind]


def synth(recipe: dict) -> Image.Image:
    width, height = recipe["width"], recipe["height"]
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x // max(width - 1, 1), 255 * y // max(height - 1, 1)
    return Image.fromarray(np.stack([red, green, (7 * x + 13 * y) % 256], -1).astype(np.uint8))


def sha(image: Image.Image) -> str:
    return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


def assert_pixels(image: Image.Image, digest: str, name: str) -> None:
    if sha(image) == digest:
        return
    expected = tensors(GROUP)[name].numpy().astype(int)
    error = np.abs(np.asarray(image).astype(int) - expected)
    print(f"{name}: not bit-exact with this Pillow, worst {error.max()}, mean {error.mean():.3f}")
    assert error.mean() < 0.5


def assert_tilts(landmarks: list, expected: list[float]) -> None:
    # the authors' code records no angle where it does not turn
    turned = [tilt for tilt in map(eye_tilt, landmarks) if tilt or 0.0 in expected]
    assert turned == pytest.approx(expected, abs=DEGREES)


@pytest.mark.parametrize("case", of_kind("crop_face"))
def test_crop_is_the_rounded_box_turned_by_the_eye_tilt(case: dict) -> None:
    image = synth(case["image"])
    boxes = [Box(*values[:4]) for values in case["boxes"]]
    assert [list(box.rounded()) for box in boxes] == case["crop_box_rounded"]
    assert_tilts(case["landmarks"], case["rotate_angles"])
    for box, landmarks, crop in zip(boxes, case["landmarks"], case["crops"], strict=True):
        result = crop_cut(image, face_cut(box, landmarks))
        assert list(result.size) == crop["size"]
        assert_pixels(result, crop["sha256_rgb"], crop["tensor"])


@pytest.mark.parametrize("case", of_kind("detect_face"))
def test_detector_frame_maps_back_to_the_image(case: dict) -> None:
    image = synth(case["image"])
    fit = square_fit(*image.size, 640)
    assert (fit.scale, [fit.left, fit.top, fit.right, fit.bottom]) == (
        case["scale"],
        case["padding_l_t_r_b"],
    )
    boxes = [fit.box_to_image(Box(*values[:4])) for values in case["detector_boxes"]]
    assert [[b.x1, b.y1, b.x2, b.y2] for b in boxes] == [b[:4] for b in case["boxes_out"]]
    landmarks = [[fit.point_to_image(*p) for p in face] for face in case["detector_landmarks"]]
    assert landmarks == [[tuple(p) for p in face] for face in case["landmarks_out"]]
    assert_tilts(landmarks, case["rotate_angles"])
    crop = crop_cut(image, face_cut(boxes[0], landmarks[0]))
    assert list(crop.size) == case["crop_size"]
    assert_pixels(pad_to_square(crop, 224), case["crop_pad224_sha256"], case["tensor"])


@pytest.mark.parametrize("case", of_kind("detect_face"))
def test_detector_input_is_the_image_padded_to_640(case: dict) -> None:
    square = pad_to_square(synth(case["image"]), 640)
    if sha(square) != case["net_input_sha256"]:
        print(f"{case['id']}: detector input is not bit-exact with this Pillow")
    left, top, right, bottom = case["padding_l_t_r_b"]
    inside = crop_cut(square, Box(left, top, 640 - right, 640 - bottom).to_cut())
    plain = synth(case["image"]).resize(inside.size, Image.Resampling.BICUBIC)
    assert sha(inside) == sha(plain)
    assert np.asarray(square).sum() == np.asarray(inside).sum()


@pytest.mark.parametrize("case", of_kind("pad_to_square"))
def test_pad_to_square(case: dict) -> None:
    image = synth(case["image"])
    fit = square_fit(*image.size, case["size"])
    assert list(fit.resized) == case["resized"]
    assert [fit.left, fit.top, fit.right, fit.bottom] == case["padding_l_t_r_b"]
    square = pad_to_square(image, case["size"])
    assert list(square.size) == case["output_size"]
    assert_pixels(square, case["sha256_rgb"], case["tensor"])


@pytest.mark.parametrize("case", of_kind("face_mask"))
def test_region_is_the_square_on_the_box_corner(case: dict) -> None:
    width, height = case["image_size"]
    box = region_box(case["bbox"], width, height)
    assert [box.x1, box.y1, box.x2, box.y2] == case["pixel_bbox"]
    mask = box_mask([region_extent(box, square=True)], width, height)
    digest = hashlib.sha256(mask.numpy().astype(np.uint8).tobytes()).hexdigest()
    assert digest == case["full_mask_sha256_u8"]
    assert (mask[::8, ::8].numpy() == tensors(GROUP)[case["tensor"]].numpy()).all()
