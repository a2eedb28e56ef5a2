"""Landmarks as dots, the mask of a face, and its box."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from landmark_faces import mean_face

from flashface_core.facesnap.drawing import COLOURS, RADIUS, draw_landmarks
from flashface_core.facesnap.landmark_model import Pose
from flashface_core.facesnap.landmark_sheet import dots_over
from flashface_core.facesnap.outline import face_box, face_mask, outline
from flashface_core.facesnap.prediction import turn

GOLDEN = {
    128: "6fc2be889b037e9b",
    512: "04b824445c0f1cab",
    1024: "7579011b54c1d527",
}
"""Of the 8-bit pictures of one face, which files that are trained rely on."""


def face(size: int, yaw: float = 20.0) -> torch.Tensor:
    """Landmarks (1, 72, 3) of a face in a square picture."""
    at = Pose(turn(yaw, 5, 10), 0.2 * size, np.array([0.5 * size, 0.45 * size, 0.0]))
    return torch.from_numpy(at.place(mean_face()))[None].float()


def plain_dots(points: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """The drawing written as it is told: every dot over the whole picture."""
    radius = max(1.0, RADIUS * min(width, height))
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    picture = torch.zeros(height, width, 3)
    for place, colour in zip(points, COLOURS, strict=True):
        away = ((x - place[0]).square() + (y - place[1]).square()).sqrt()
        cover = (radius + 0.5 - away).clamp(0, 1)[..., None]
        picture = picture * (1 - cover) + cover * colour
    return picture


@pytest.mark.parametrize("size", GOLDEN)
def test_a_golden_picture_of_each_size(size: int) -> None:
    picture = draw_landmarks(face(size), size, size)
    assert picture.shape == (1, size, size, 3) and picture.dtype == torch.float32
    # 6 bits, so that the last bit of a square root is no matter
    content = picture.mul(63).round().to(torch.uint8).numpy().tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == GOLDEN[size]


@pytest.mark.parametrize(("width", "height"), [(128, 128), (200, 96), (8, 300)])
def test_every_dot_is_where_the_formula_has_it(width: int, height: int) -> None:
    random = torch.rand(3, 72, 2, generator=torch.Generator().manual_seed(1))
    points = random * 1.4 * torch.tensor([width, height]) - 0.2 * torch.tensor([width, height])
    pictures = draw_landmarks(points, width, height)
    for picture, own in zip(pictures, points, strict=True):
        assert (picture - plain_dots(own, width, height)).abs().max() < 1e-6


@pytest.mark.parametrize("size", GOLDEN)
def test_dots_are_found_again_within_half_a_pixel(size: int) -> None:
    points = face(size)
    flat = points[0, :, :2]
    apart = torch.cdist(flat, flat) + 1e9 * torch.eye(72)
    radius = max(1.0, RADIUS * size)
    reach = int(radius) + 2
    alone = apart.amin(1) > 1.5 * reach + radius
    assert alone.sum() >= 8
    drawn = draw_landmarks(points, size, size)[0]
    for index in alone.nonzero().flatten().tolist():
        x, y = flat[index].floor().int().tolist()
        window = drawn[y - reach : y + reach + 1, x - reach : x + reach + 1].amax(-1)
        rows, columns = torch.meshgrid(*(torch.arange(len(window)) + 0.5,) * 2, indexing="ij")
        found = torch.stack([(window * columns).sum(), (window * rows).sum()]) / window.sum()
        assert (found + torch.tensor([x - reach, y - reach]) - flat[index]).norm() < 0.5


def test_dots_have_the_figures_pure_colours() -> None:
    parts = {
        (0, 17): (1, 1, 1), (17, 22): (0, 1, 1), (22, 27): (0, 0, 1), (27, 36): (0, 1, 0),
        (36, 44): (1, 0, 1), (44, 52): (1, 1, 0), (52, 72): (1, 0, 0),
    }  # fmt: skip
    for (first, last), colour in parts.items():
        assert COLOURS[first:last].eq(torch.tensor(colour)).all()
    grid = torch.stack([torch.arange(72) % 9, torch.arange(72) // 9], 1) * 12 + 6.5
    drawn = draw_landmarks(grid[None].float(), 110, 100)[0]
    places = grid.long()
    assert torch.equal(drawn[places[:, 1], places[:, 0]], COLOURS)


def test_points_far_outside_are_not_seen_and_later_ones_lie_above() -> None:
    points = torch.full((1, 72, 2), 1e30)
    points[0, :2] = torch.tensor([-1e30, 5.0])
    assert draw_landmarks(points, 64, 64).eq(0).all()
    points[0, 5], points[0, 60] = 32.5, 32.5
    assert draw_landmarks(points, 64, 64)[0, 32, 32].tolist() == [1, 0, 0]


def test_dots_lie_over_a_darker_picture() -> None:
    picture = torch.full((64, 64, 3), 0.5)
    points = torch.full((72, 2), -100.0)
    points[20] = 10.5
    over = dots_over(picture, points)
    assert over[10, 10].tolist() == [0, 1, 1] and torch.allclose(over[40, 40], torch.tensor(0.3))


def test_the_mask_holds_the_face_and_a_forehead_and_is_soft_outside() -> None:
    points = face(256, yaw=0)[0].numpy()
    mask = face_mask(points, 256, 256)
    corners = outline(points)
    low, high = corners.min(0), corners.max(0)
    tall = high[1] - low[1]
    for x, y in points[:, :2].round().astype(int).clip(0, 255):
        assert mask[y, x] == 1
    assert mask.min() == 0 and mask.max() == 1 and 0 < mask[mask > 0].min() < 0.2
    below = mask[:, 128].nonzero().max().item() + 1
    assert high[1] + 0.1 * tall < below < high[1] + 0.25 * tall
    eyes = (points[36:44, 1].mean() + points[44:52, 1].mean()) / 2
    assert low[1] < eyes - 0.5 * (high[1] - eyes)  # a forehead


def test_the_mask_follows_a_face_that_is_turned_in_its_plane() -> None:
    masks = []
    for roll in (0, 90):
        points = Pose(turn(0, 0, roll), 25.0, np.array([100.0, 100.0, 0.0])).place(mean_face())
        masks.append(face_mask(points, 200, 200))
    # tilted to the left by a quarter: what was above is at the left
    assert (masks[0].rot90(1, (0, 1)) - masks[1]).abs().max() < 0.02


@pytest.mark.parametrize("yaw", [0, 60, 90])
def test_a_face_from_any_side_has_a_mask_and_a_box(yaw: float) -> None:
    points = face(200, yaw)[0].numpy()
    mask, box = face_mask(points, 200, 200), face_box(points, 200, 200)
    assert box is not None and 0.05 < mask.mean() < 0.6
    inside = mask[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)]
    assert inside.mean() > 0.6 and box.y1 < points[:, 1].min() and box.y2 >= points[8, 1] - 1


def test_outside_of_the_picture_there_is_no_face() -> None:
    points = face(200)[0].numpy() + np.array([1000.0, 0.0, 0.0])
    assert face_mask(points, 200, 200).eq(0).all() and face_box(points, 200, 200) is None
