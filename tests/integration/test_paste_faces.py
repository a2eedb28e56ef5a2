"""Paste Faces Back undoes Detect & Crop Faces, through the nodes themselves."""

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
BOXES = [
    {"x": 150, "y": 60, "width": 60, "height": 60},
    {"x": 30, "y": 40, "width": 50, "height": 70},
]


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
    paste = {"image": picture, "bboxes": bboxes[0], "padding": 0.5, "feather": 0.1}
    (again,) = run_node(pack["FlashFacePasteFaces"], faces=faces, **paste)
    assert again.shape == picture.shape
    assert (again - picture).abs().max() < 0.02
    (dark,) = run_node(pack["FlashFacePasteFaces"], faces=faces * 0, **paste)
    changed = (dark - picture).abs().sum(dim=-1)[0] > 0
    assert changed[90, 180] and changed[75, 55], "both faces are pasted"
    assert not changed[:, 105:119].any() and not changed[160:].any()


def test_the_number_of_faces_has_to_fit(pack, run_node, picture):
    faces = torch.zeros(3, 64, 64, 3)
    with pytest.raises(ValueError, match="bboxes hold 2 boxes, but faces has 3 pictures"):
        run_node(
            *(pack["FlashFacePasteFaces"],),
            image=picture,
            faces=faces,
            bboxes=BOXES,
            padding=0.0,
            feather=0.1,
        )
