"""Face crops go back where they came from, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from flashface_core.faces.boxes import Box, Cut
from flashface_core.faces.geometry import crop_cut, pad_to_square
from flashface_core.faces.paste import edge, paste_crop
from flashface_core.images import image_to_pil, pil_to_image

WIDTH, HEIGHT = 160, 120


def smooth_picture() -> torch.Tensor:
    """(HEIGHT, WIDTH, 3) of slow waves, which survive scaling, in whole 255ths."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    waves = [torch.sin(x / 23 + k) * torch.cos(y / 19 - k) * 0.4 + 0.5 for k in range(3)]
    return torch.stack(waves, dim=-1).mul(255).round() / 255


BOXES = [
    Box(40, 30, 100, 90),
    Box(20.4, 10.6, 70.5, 99.5),  # higher than wide: black borders at the sides
    Box(-20, -10, 50, 60),  # beyond the picture
    Box(120, 80, 190, 140),
]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("side", [64, 224])
def test_an_unchanged_crop_changes_next_to_nothing(box: Box, side: int) -> None:
    picture = smooth_picture()
    crop = pad_to_square(crop_cut(image_to_pil(picture), box.to_cut()), side)
    x1, y1, x2, y2 = (max(0, v) for v in box.rounded())
    x2, y2 = min(x2, WIDTH), min(y2, HEIGHT)
    found = paste_crop(picture, crop, box.to_cut(), 0.2)
    # the black beyond the picture bleeds into its last pixels when it is scaled
    near = (found - picture).abs()[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4]
    assert near.max() < 0.02
    found[y1:y2, x1:x2] = picture[y1:y2, x1:x2]
    assert torch.equal(found, picture)


def test_a_hard_edge_replaces_the_whole_box() -> None:
    picture = smooth_picture()
    white = image_to_pil(torch.ones(64, 64, 3))
    found = paste_crop(picture, white, Cut(40, 30, 60, 60), 0.0)
    assert (found[30:90, 40:100] == 1).all()
    assert torch.equal(pil_to_image(image_to_pil(found))[:30], picture[:30])


def test_a_box_outside_of_the_picture_changes_nothing() -> None:
    picture, white = smooth_picture(), image_to_pil(torch.ones(64, 64, 3))
    assert torch.equal(paste_crop(picture, white, Cut(500, 500, 60, 60), 0.1), picture)


@pytest.mark.parametrize("tilt", [-25.0, 8.0])
def test_a_turned_crop_is_turned_back(tilt: float) -> None:
    picture, cut = smooth_picture(), Cut(30, 20, 90, 80, tilt)
    taken = crop_cut(image_to_pil(picture), cut)
    crop = pad_to_square(taken, 720)
    found = paste_crop(picture, crop, cut, 0.15)
    assert (found - picture).abs().max() < 0.03
    white = paste_crop(picture, pad_to_square(image_to_pil(torch.ones(80, 90, 3)), 720), cut, 0.15)
    assert white[40:80, 55:95].min() > 0.99, "the middle is pasted"
    assert (white - picture)[20:22, 30:32].abs().max() < 0.02, "a corner is not"


def test_an_absurd_cut_costs_no_memory() -> None:
    picture, grey = smooth_picture(), image_to_pil(torch.full((64, 64, 3), 0.5))
    found = paste_crop(picture, grey, Cut(-(10**9), -(10**9), 2 * 10**9, 2 * 10**9), 0.1)
    assert (found - 0.5).abs().max() < 0.01


def test_the_edge_rises_over_the_feather() -> None:
    found = edge(40, 20, 0.25)
    assert found.shape == (20, 40)
    assert found[10, :5].tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert found[5:15, 5:35].min() == 1.0
    assert torch.equal(found, found.flip(0)) and torch.equal(found, found.flip(1))
    part = edge(40, 20, 0.25, (slice(2, 9), slice(30, 40)))
    assert torch.equal(part, found[2:9, 30:40])
