"""Paste Faces Back undoes Detect & Crop Faces, through the nodes themselves."""

from __future__ import annotations

import math

import pytest
import torch

CROP = {
    "order": ["left to right"],
    "index": [0],
    "faces_per_image": [2],
    "if_no_face": ["error"],
    "threshold": [0.6],
    "padding": [0.5],
    "level_eyes": [False],
    "size": [256],
}
SETTINGS = {"padding": [0.0], "feather": [0.1]}
BOXES = [
    {"x": 150, "y": 60, "width": 60, "height": 60},
    {"x": 30, "y": 40, "width": 50, "height": 70},
]


class Tilted:
    """Finds one face whose eyes are not level, at no whole pixels."""

    name, tried = "tilted", "once"

    def detect(self, _):
        from flashface_core.faces.boxes import Box
        from flashface_core.faces.detection.base import Face

        eyes = ((140.0, 85.0), (180.0, 95.0))
        return [Face(Box(120.4, 60.3, 200.6, 139.5), 0.9, eyes)]


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    """(1, 200, 260, 3) of soft colours."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 10, 13, generator=draw)
    fine = torch.nn.functional.interpolate(coarse, (200, 260), mode="bicubic").clamp(0, 1)
    return fine.movedim(1, -1)


def test_unchanged_faces_give_the_picture_back(pack, run_node, picture):
    given = {**CROP, "image": [picture], "bboxes": [BOXES]}
    faces, bboxes, _ = run_node(pack["FlashFaceCropFaces"], **given)
    assert faces.shape == (2, 256, 256, 3)
    paste = {"image": [picture], "bboxes": bboxes, **SETTINGS}
    ((again,),) = run_node(pack["FlashFacePasteFaces"], faces=[faces], **paste)
    assert again.shape == picture.shape
    assert (again - picture).abs().max() < 0.02
    ((dark,),) = run_node(pack["FlashFacePasteFaces"], faces=[faces * 0], **paste)
    changed = (dark - picture).abs().sum(dim=-1)[0] > 0
    assert changed[90, 180] and changed[75, 55], "both faces are pasted"
    assert not changed[:, 105:119].any() and not changed[160:].any()


def test_a_turned_crop_and_a_whole_picture_find_their_places(pack, run_node, picture):
    """What was cropped comes with the boxes: padding there does not have to be known here."""
    given = {**CROP, "level_eyes": [True], "faces_per_image": [1], "size": [512]}
    (faces, bboxes, _) = run_node(
        pack["FlashFaceCropFaces"], image=[picture], detector=[Tilted()], **given
    )
    assert bboxes[0][0]["crop"]["tilt"] == pytest.approx(math.degrees(math.atan2(10, 40)), abs=1e-3)
    paste = {"image": [picture], **SETTINGS}
    ((again,),) = run_node(pack["FlashFacePasteFaces"], faces=[faces], bboxes=bboxes, **paste)
    assert (again - picture).abs().max() < 0.05  # the crop was turned by nearest neighbours
    whole = {**given, "image": [picture], "bboxes": [[]], "if_no_face": ["use whole image"]}
    faces, bboxes, _ = run_node(pack["FlashFaceCropFaces"], **whole)
    ((again,),) = run_node(pack["FlashFacePasteFaces"], faces=[faces], bboxes=bboxes, **paste)
    assert (again - picture).abs().max() < 0.03


def test_a_list_of_pictures_comes_back_as_a_list(pack, run_node, picture):
    small, grey = picture[:, :150, :150], picture[..., :1].repeat(2, 1, 1, 1)
    given = {**CROP, "image": [picture, small, grey], "bboxes": [BOXES]}
    faces, bboxes, _ = run_node(pack["FlashFaceCropFaces"], **given)
    assert len(faces) == 2 + 1 + 4
    paste = {"image": given["image"], "bboxes": bboxes, **SETTINGS}
    (again,) = run_node(pack["FlashFacePasteFaces"], faces=[faces[:3], faces[3:]], **paste)
    assert [tuple(batch.shape) for batch in again] == [
        (1, 200, 260, 3), (1, 150, 150, 3), (2, 200, 260, 3)
    ]  # fmt: skip
    for batch, before in zip(again, given["image"], strict=True):
        assert (batch - before).abs().max() < 0.02


def test_boxes_of_other_nodes_take_the_padding_given_here(pack, run_node, picture):
    (dark,) = run_node(
        pack["FlashFacePasteFaces"],
        image=[picture],
        faces=[torch.zeros(1, 64, 64, 3)],
        bboxes=[BOXES[0]],
        padding=[0.5],
        feather=[0.0],
    )
    left = dark[0].clone()
    left[:, 30:150, 120:240] = picture[:, 30:150, 120:240]
    assert torch.equal(left, picture) and dark[0][:, 30:150, 120:240].max() == 0


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 64, 64, 3), "bboxes hold 2 boxes, but faces has 3 pictures"),
        ((2, 64, 96, 3), "faces must be square, .* got 96 x 64"),
    ],
)
def test_faces_that_do_not_fit_are_refused(pack, run_node, picture, shape, message):
    with pytest.raises(ValueError, match=message):
        run_node(
            pack["FlashFacePasteFaces"],
            image=[picture],
            faces=[torch.zeros(shape)],
            bboxes=[BOXES],
            **SETTINGS,
        )
