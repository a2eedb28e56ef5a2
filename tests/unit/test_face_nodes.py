"""Detect & Crop Faces and Face Region as ComfyUI runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import skimage.data
import torch

ASTRONAUT = torch.from_numpy(skimage.data.astronaut()).float()[None] / 255
NOBODY = torch.zeros(1, 60, 90, 3)
BOX = {"x": 10, "y": 20, "width": 30, "height": 40}
DEFAULTS = {
    "order": "largest",
    "index": 0,
    "faces_per_image": 1,
    "if_no_face": "error",
    "threshold": 0.6,
    "padding": 0.0,
    "level_eyes": True,
    "size": 224,
}
Crop = Callable[..., tuple]


def taken(box: dict) -> dict:
    """The box as it comes out when exactly it was cropped."""
    return {**box, "crop": {**box, "tilt": 0.0}}


@pytest.fixture
def crop(pack: dict[str, type], run_node: Callable[..., tuple]) -> Crop:
    def run(*images: torch.Tensor, **inputs) -> tuple:
        lists = {name: [value] for name, value in (DEFAULTS | inputs).items()}
        return run_node(pack["FlashFaceCropFaces"], image=list(images), **lists)

    return run


@pytest.fixture
def region(pack: dict[str, type], run_node: Callable[..., tuple]) -> Callable[..., torch.Tensor]:
    def run(**inputs) -> torch.Tensor:
        defaults = {"width": 768, "height": 768, "x1": 0.3, "y1": 0.2, "x2": 0.6, "y2": 0.5}
        return run_node(pack["FlashFaceRegion"], **(defaults | {"square": True} | inputs))[0]

    return run


def previews(base: Path) -> set[Path]:
    return set((base / "temp").glob("*.png"))


def test_a_photo_gives_a_crop_a_box_a_mask_and_a_preview(crop: Crop, comfyui_base: Path) -> None:
    before = previews(comfyui_base)
    faces, bboxes, masks = crop(ASTRONAUT)
    assert faces.shape == (1, 224, 224, 3) and faces.dtype == torch.float32
    assert faces.min() >= 0 and faces.max() <= 1 and faces.mean() > 0.2
    ((box,),) = bboxes
    assert box == taken({name: box[name] for name in ("x", "y", "width", "height")})
    assert 150 < box["x"] < 200 and 40 < box["y"] < 100
    (mask,) = masks
    assert mask.shape == (1, 512, 512) and mask.sum() == box["width"] * box["height"]
    assert len(previews(comfyui_base) - before) == 1


def test_a_list_of_sizes_and_batches_gives_one_batch_of_crops(crop: Crop) -> None:
    images = torch.rand(1, 80, 60, 3), torch.rand(2, 64, 64, 1), torch.rand(1, 50, 70, 4)
    faces, bboxes, masks = crop(*images, bboxes=BOX, size=64)
    assert faces.shape == (4, 64, 64, 3)
    one = taken(BOX)
    assert bboxes == [[one], [[one], [one]], [one]]
    assert [tuple(mask.shape) for mask in masks] == [(1, 80, 60), (2, 64, 64), (1, 50, 70)]
    assert masks[1][1, 20:60, 10:40].all() and masks[1].sum() == 2 * 30 * 40


def test_a_list_of_bboxes_goes_with_the_list_of_images(
    pack: dict[str, type], run_node: Callable[..., tuple]
) -> None:
    lists = {name: [value] for name, value in DEFAULTS.items()}
    other = {**BOX, "x": 0}
    _, bboxes, _ = run_node(
        pack["FlashFaceCropFaces"], image=[NOBODY, NOBODY], bboxes=[[BOX], [other]], **lists
    )
    assert bboxes == [[taken(BOX)], [taken(other)]]


def test_boxes_put_out_give_the_same_crops_when_put_in(crop: Crop) -> None:
    faces, bboxes, _ = crop(ASTRONAUT)
    again, same, _ = crop(ASTRONAUT, bboxes=bboxes[0])
    assert torch.equal(faces, again) and same == bboxes


def test_of_many_frames_some_are_previewed(crop: Crop, comfyui_base: Path) -> None:
    before = previews(comfyui_base)
    faces, bboxes, masks = crop(torch.rand(40, 64, 64, 3), bboxes=BOX, size=64)
    assert len(faces) == len(bboxes[0]) == 40 and masks[0].shape == (40, 64, 64)
    assert len(previews(comfyui_base) - before) == 32


def test_one_pixel_pictures_are_cropped(crop: Crop) -> None:
    faces, _, masks = crop(torch.ones(1, 1, 1, 3), if_no_face="use whole image", size=64)
    assert faces.min() == 1 and masks[0].tolist() == [[[1.0]]]


def test_an_image_without_face_is_an_error_that_names_it(crop: Crop) -> None:
    with pytest.raises(ValueError) as error:
        crop(ASTRONAUT, NOBODY)
    assert str(error.value) == (
        "Image 2 of 2 (90 x 60): no face found by detector 'lbp' (at three sizes up to 640 pixels, "
        "upright and mirrored, and again with a wider border). Use a sharper or more frontal "
        "photo, lower 'threshold', connect boxes to 'bboxes', or set 'if_no_face' to 'skip' or "
        "'use whole image'. Turned or small faces need another detector: insightface and yunet, "
        "see Load Face Detector."
    )


def test_skip_leaves_the_image_out_of_the_crops_only(crop: Crop, comfyui_base: Path) -> None:
    before = previews(comfyui_base)
    batch = torch.cat([ASTRONAUT, torch.zeros_like(ASTRONAUT)])
    faces, bboxes, masks = crop(batch, NOBODY, if_no_face="skip")
    assert len(faces) == 1 and len(bboxes[0][0]) == 1 and bboxes[0][1] == [] and bboxes[1] == []
    assert masks[0][0].sum() > 0 and masks[0][1].sum() == masks[1].sum() == 0
    assert len(previews(comfyui_base) - before) == 3


def test_skipping_every_image_is_an_error(crop: Crop) -> None:
    with pytest.raises(ValueError) as error:
        crop(NOBODY, bboxes=[], if_no_face="skip")
    assert str(error.value) == (
        "No face is left: every image was skipped (1 of 1). Image 1: the connected 'bboxes' hold "
        "no box for it. Use other photos, or set 'if_no_face' to 'use whole image'."
    )


def test_whole_image_is_padded_to_a_square(crop: Crop) -> None:
    faces, bboxes, masks = crop(NOBODY + 1, bboxes=[], if_no_face="use whole image", size=96)
    whole = {"x": 0, "y": 0, "width": 90, "height": 60}
    assert bboxes == [[taken(whole)]] and masks[0].all()
    assert faces[0, 16:80].min() == 1 and faces[0, :16].max() == faces[0, 80:].max() == 0


def test_boxes_for_another_number_of_images_are_refused(crop: Crop) -> None:
    with pytest.raises(ValueError, match=r"for each of 2 images, but image has 1\."):
        crop(NOBODY, bboxes=[[BOX], [BOX]])


def test_region_is_the_authors_square_by_default(region: Callable, comfyui_base: Path) -> None:
    before = previews(comfyui_base)
    mask = region(y2=0.4)
    assert mask.shape == (1, 768, 768) and mask.dtype == torch.float32
    assert mask[0, 153:383, 230:460].all() and mask.sum() == 230 * 230
    assert len(previews(comfyui_base) - before) == 1


def test_region_as_honest_rectangle(region: Callable) -> None:
    mask = region(width=640, height=400, x1=0.1, y1=0.2, x2=0.5, y2=0.6, square=False)
    assert mask[0, 80:240, 64:320].all() and mask.sum() == 160 * 256


def test_region_of_zeros_is_no_wish(region: Callable) -> None:
    assert region(x1=0.0, y1=0.0, x2=0.0, y2=0.0).sum() == 0
    assert region(bboxes=[]).sum() == 0


def test_region_from_boxes_in_pixels_of_the_result(region: Callable) -> None:
    mask = region(width=64, height=96, bboxes=BOX, square=False)
    assert mask[0, 20:60, 10:40].all() and mask.sum() == 30 * 40


def test_region_from_boxes_of_another_picture(region: Callable) -> None:
    boxes = [[BOX, {**BOX, "y": 70, "height": 10}], []]
    mask = region(width=120, height=50, bboxes=boxes, image=torch.rand(2, 100, 60, 4), square=False)
    assert mask[0, 10:30, 20:80].all() and mask[0, 35:40, 20:80].all()
    assert mask.sum() == 60 * 25


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        (
            {"x1": 0.5, "x2": 0.2},
            "x2 (0.2) has to be larger than x1 (0.5): they are the left and the right edge of the "
            "face. All four at 0 mean no region.",
        ),
        (
            {"y1": 0.5},
            "y2 (0.5) has to be larger than y1 (0.5): they are the top and the bottom edge of the "
            "face. All four at 0 mean no region.",
        ),
    ],
)
def test_region_refuses_corners_in_the_wrong_order(
    region: Callable, corners: dict, message: str
) -> None:
    with pytest.raises(ValueError) as error:
        region(**corners)
    assert str(error.value) == message


def test_every_input_has_a_tooltip(pack: dict[str, type]) -> None:
    for name in ("FlashFaceCropFaces", "FlashFaceRegion"):
        schema = pack[name].define_schema()  # pyright: ignore[reportAttributeAccessIssue]
        assert schema.description and schema.search_aliases
        assert all(entry.tooltip for entry in [*schema.inputs, *schema.outputs])
