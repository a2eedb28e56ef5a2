"""The built-in detector's network: what it is shown, what it should say, and what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flashface_core.faces.detection import face_net
from training.detector.clutter import clutter
from training.detector.disguise import disguise
from training.detector.scenes import GROUND, LARGEST, SIDE, SMALLEST, Person, mirrored, scene
from training.detector.train import losses, network, save, targets, train
from training.people.dataset import SetSettings, render_set
from training.people.identity import person
from training.people.look import make_look, usual_wear
from training.people.photo import take_photo
from training.people.shot import KINDS, draw_shot


@pytest.fixture(scope="module")
def people() -> list[Person]:
    """Three drawn people; of the mask, where the person is."""
    found = []
    for seed in range(3):
        rng, p = np.random.default_rng(seed), person(seed)
        look = make_look(p, 30.0, usual_wear(rng, p, 30.0), 0)
        photo = take_photo(look, draw_shot(rng, KINDS["poses"]), 96)
        box, points = photo.box.astype(np.float32), photo.landmarks.astype(np.float32)
        found.append(Person(photo.image, photo.mask[..., 2], box, points))
    return found


def drawn(people: list[Person], seed: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    grounds = [clutter(rng, GROUND) for _ in range(20)]
    return [scene(rng, people, grounds) for _ in range(count)]


def test_scenes_are_a_function_of_the_seed_and_some_hold_no_face(people):
    one, other = drawn(people, 4, 80), drawn(people, 4, 80)
    for (picture, boxes), (again, same) in zip(one, other, strict=True):
        assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8
        assert np.array_equal(picture, again) and np.array_equal(boxes, same, equal_nan=True)
    faces = np.array([np.isfinite(boxes[:, 0]).sum() for _, boxes in one])
    assert 10 < (faces == 0).sum() < 40 and faces.max() > 1


def test_boxes_lie_about_faces_whose_middle_is_in_the_picture(people):
    boxes = np.concatenate([boxes for _, boxes in drawn(people, 5, 100)])
    boxes = boxes[np.isfinite(boxes[:, 0])]
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    assert middles.min() > 0 and middles.max() < SIDE
    sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    assert np.mean((sizes >= SMALLEST) & (sizes <= LARGEST)) > 0.5
    assert sizes.min() < SMALLEST and sizes.max() > LARGEST


def test_a_mirrored_box_is_mirrored_back():
    box = np.array([[3.0, 4, 30, 40]])
    assert mirrored(box).tolist() == [[SIDE - 30, 4, SIDE - 3, 40]]
    assert mirrored(mirrored(box)).tolist() == box.tolist()


def test_disguises_change_the_face_and_leave_the_truth(people):
    for seed in range(60):
        image, points = Image.fromarray(people[seed % 3].image), people[seed % 3].points
        before = points.copy()
        disguise(np.random.default_rng(seed), image, points)
        assert np.array_equal(points, before) and image.size == (96, 96)


def test_cells_in_a_face_s_middle_say_its_box_and_other_sizes_count_for_nothing():
    boxes = torch.full((4, 2, 4), float("nan"))
    boxes[0, 0] = torch.tensor([30.0, 28, 58, 64])  # 28 x 36
    boxes[1, 0] = torch.tensor([30.0, 28, 48, 50])  # a little too small
    boxes[2, 0] = torch.tensor([0.0, 0, 90, 96])  # far too large: clutter to this scale
    wanted, weight, places = targets(boxes, 12)
    assert wanted.sum((1, 2)).tolist() == [wanted[0].sum(), 0, 0, 0] and wanted[0, 5, 5] == 1
    assert places[0, :, 5, 5].tolist() == pytest.approx([0, 2 / face_net.REACH, 0, 0], abs=1e-6)
    assert weight[1].sum() < 144 and weight[2].sum() == weight[3].sum() == 144


def test_what_is_written_says_what_the_network_said(tmp_path, monkeypatch):
    torch.manual_seed(3)
    net = network()
    for _ in range(3):  # batch norms that do something
        net(torch.randn(4, 3, SIDE, SIDE))
    torch.nn.init.normal_(net[-1].weight)  # type: ignore[arg-type]
    torch.nn.init.zeros_(net[-1].bias)  # type: ignore[arg-type]
    save(net.eval(), tmp_path / "net.npz")
    monkeypatch.setattr(face_net, "WEIGHTS", tmp_path / "net.npz")
    face_net.layers.cache_clear()
    pixels = np.random.RandomState(0).randint(0, 256, (64, 80, 3), dtype=np.uint8)
    rows = face_net._forward(pixels)
    face_net.layers.cache_clear()
    with torch.no_grad():
        found = net(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1)[0]
    scores = found[0].sigmoid()
    assert len(rows) == int((scores >= face_net.WEAKEST).sum()) > 10
    wanted = scores[scores >= face_net.WEAKEST].sort()[0].numpy()
    assert np.abs(np.sort(rows[:, 0]) - wanted).max() < 0.02  # stored as fp16


def test_steps_lower_the_loss(people):
    torch.manual_seed(0)
    batch = drawn(people, 6, 16)
    pictures = torch.from_numpy(np.stack([p for p, _ in batch])).permute(0, 3, 1, 2)
    boxes = torch.from_numpy(np.stack([b for _, b in batch]))
    net = network()
    optimizer, seen = torch.optim.AdamW(net.parameters(), 3e-3), []
    for _ in range(25):
        scores, places = losses(net(pictures.float() / 127.5 - 1), boxes)
        optimizer.zero_grad()
        (scores + places).backward()
        optimizer.step()
        seen.append(scores.item() + places.item())
    assert seen[-1] < 0.6 * seen[0]


def test_the_command_trains_on_a_drawn_set(tmp_path: Path):
    render_set(tmp_path / "set", SetSettings(people=1, photos=2, size=48))
    threads = torch.get_num_threads()
    train([tmp_path / "set"], tmp_path / "net.npz", steps=1, seed=0, threads=1)
    torch.set_num_threads(threads)
    with np.load(tmp_path / "net.npz") as file:
        assert len(file.files) == 2 * len(face_net.STRIDES)
        assert all(file[name].dtype == np.float16 for name in file.files)
