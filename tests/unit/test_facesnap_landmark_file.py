"""A landmark model's file, and the network in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import landmark_faces as faces
import numpy as np
import pytest
import torch
from landmark_faces import EXPRESSIONS, SHAPES, pose, random_model, write_model
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from flashface_core.faces.boxes import Box
from flashface_core.facesnap.finding import face_square, find_face
from flashface_core.facesnap.landmark_file import config_of, load_landmark_model
from flashface_core.facesnap.landmark_net import LandmarkNet, rotation_of
from flashface_core.facesnap.landmarks import LandmarkError
from flashface_core.files.packed import write_packed
from flashface_core.files.weights import CheckpointError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_model(tmp_path / "points.safetensors")


def changed(path: Path, about: dict[str, str] | None = None, **tensors: Any) -> Path:
    """The file with other metadata or tensors ("__" for "."); None takes one away."""
    with safe_open(path, "pt") as file:
        known = file.metadata()
    content = load_file(path)
    for name, tensor in tensors.items():
        content.pop(name.replace("__", "."), None)
        if tensor is not None:
            content[name.replace("__", ".")] = tensor
    save_file(content, path, known if about is None else about)
    return path


def test_what_was_written_is_read(path: Path) -> None:
    file, wanted = load_landmark_model(path), random_model()
    assert file.name == "points.safetensors" and file.config["data"] == "random"
    for part in ("mean", "shape", "expression"):
        found = getattr(file.model, part)
        assert found.dtype == np.float64
        assert np.array_equal(found, getattr(wanted, part).astype(np.float32))
    assert file.net is not None and file.net.sizes[:2] == (SHAPES, EXPRESSIONS)
    crops = torch.rand(2, 3, 128, 128)
    torch.manual_seed(0)
    assert torch.equal(file.net(crops).landmarks, file.net(crops).landmarks)


def test_without_a_network_it_is_a_model_too(tmp_path: Path) -> None:
    file = load_landmark_model(write_model(tmp_path / "points.safetensors", net=False))
    assert file.net is None
    with pytest.raises(LandmarkError, match="has no network that finds landmarks in pictures"):
        find_face(file, Image.new("RGB", (64, 64)), Box(10, 10, 50, 50))


def test_the_fingerprint_is_of_the_models_numbers(path: Path, tmp_path: Path) -> None:
    ours = load_landmark_model(path).fingerprint
    bare = write_model(tmp_path / "bare.safetensors", net=False)
    packed = tmp_path / "packed.npz"
    with safe_open(path, "pt") as file:
        write_packed(packed, load_file(path), file.metadata())
    assert [load_landmark_model(p).fingerprint for p in (bare, packed)] == [ours, ours]
    other = changed(bare, landmarks__mean=torch.from_numpy(1.1 * random_model().mean).float())
    assert load_landmark_model(other).fingerprint != ours


NAN = torch.full((72, 3), torch.nan)
REFUSED = {
    "of another kind": (
        dict(about={"some": "1"}),
        "is no landmark model: it has encoder",
    ),
    "a FaceSnap model": (dict(about={"facesnap": "1"}), "but a FaceSnap model. Choose it in Load"),
    "an identity": (dict(about={"facesnap_identity": "1"}), "Choose it in Load Identity"),
    "newer": (dict(about={"facesnap_landmarks": "9"}), "of version '9' of landmark models"),
    "of another order": (
        dict(about={"facesnap_landmarks": "1", "facesnap.config": '{"landmarks": "68.1"}'}),
        "landmarks of the order '68.1', this pack those of 72.1",
    ),
    "words": (
        dict(about={"facesnap_landmarks": "1", "facesnap.config": "["}),
        "says of itself cannot be read",
    ),
    "without a mean": (dict(landmarks__mean=None), "landmarks.mean should be (72, 3)"),
    "of 68 points": (
        dict(landmarks__shape=torch.zeros(4, 68, 3)),
        "landmarks.shape should be (K, 72, 3), and is (4, 68, 3)",
    ),
    "with too many": (
        dict(landmarks__shape=torch.zeros(300, 72, 3)),
        "landmarks.shape should be (K, 72, 3), and is (300, 72, 3)",
    ),
    "NaN": (dict(landmarks__mean=NAN), "'landmarks.mean' has NaN or infinite values"),
    "other units": (
        dict(landmarks__mean=torch.from_numpy(50 * random_model().mean).float()),
        "its eyes should be 1 apart and its points near them, but they are 50 apart",
    ),
    "huge numbers": (
        dict(landmarks__shape=torch.full((8, 72, 3), 1e30)),
        "with numbers up to 1e+30",
    ),
    "whole numbers": (
        dict(landmarks__mean=torch.ones(72, 3, dtype=torch.int32)),
        "'landmarks.mean' holds int32",
    ),
    "a strange weight": (dict(other=torch.ones(1)), "has a weight 'other'"),
    "half a network": (dict(encoder__head__weight=None), "is incomplete or of another form"),
    "another head": (dict(encoder__head__bias=torch.zeros(5)), "is incomplete or of another form"),
    "a stage too many": (
        {"encoder__stages__999999999__0__mix__weight": torch.ones(1)},
        "is incomplete or of another form",
    ),
    "a network of other sizes": (
        dict(landmarks__shape=torch.zeros(3, 72, 3)),
        "is incomplete or of another form",
    ),
    "a NaN in the network": (
        dict(encoder__stem__0__weight=torch.full((8, 3, 3, 3), torch.nan)),
        "'encoder.stem.0.weight' has NaN or infinite values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_landmark_model_is_refused_in_words(path: Path, name: str) -> None:
    change, message = REFUSED[name]
    with pytest.raises(CheckpointError) as error:
        load_landmark_model(changed(path, **change))
    assert message in str(error.value) and "points.safetensors" in str(error.value)


def test_every_truncation_is_refused(path: Path) -> None:
    content = path.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.999):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(CheckpointError):
            load_landmark_model(path)


def test_the_network_begins_at_the_mean_face_and_is_small() -> None:
    net = LandmarkNet(32, 32)
    assert sum(p.numel() for p in net.parameters()) <= 1_000_000
    out = net.eval()(torch.rand(2, 3, 128, 128))
    assert out.alpha.shape == (2, 32) and out.landmarks.shape == (2, 72, 2)
    assert torch.allclose(rotation_of(out.rotation6), torch.eye(3).expand(2, 3, 3))
    assert out.alpha.abs().max() == 0 and 0.1 < out.log_scale.exp().min() < 0.6


def test_six_numbers_are_a_rotation() -> None:
    found = rotation_of(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(found @ found.transpose(1, 2), torch.eye(3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(found), torch.ones(5))


@pytest.mark.parametrize("scale", [0.5, 1.0, 5.0])
def test_the_square_shows_the_place_at_every_size(scale: float) -> None:
    """Red right of the middle, black outside; large faces through the area filter."""
    side = 100 * scale
    picture = torch.zeros(1, 3, int(2 * side), int(2 * side))
    picture[:, 0, :, int(side) :] = 1
    crop = face_square(picture, torch.tensor([side, side]), side)
    assert crop.shape == (1, 3, 128, 128)
    assert crop[0, 0, :, 66:].min() > 0.999 and crop[0, 0, :, :62].max() < 1e-3
    corner = face_square(picture + 1, torch.tensor([0.0, 0.0]), side)
    assert corner[0, :, :62, :62].eq(0).all() and corner[0, :, 66:, 66:].min() > 0.999


def test_a_face_is_found_wherever_its_box_is(path: Path) -> None:
    """The untrained network says that the mean face looks out of the middle of its square."""
    file = load_landmark_model(path)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 500, 3), np.uint8))
    face = find_face(file, picture, Box(100, 100, 300, 300))
    assert (face.width, face.height) == (500, 400) and face.landmarks.shape == (72, 3)
    moved = find_face(file, picture, Box(130, 80, 330, 280))
    assert np.allclose(moved.landmarks[:, :2], face.landmarks[:, :2] + np.array([30, -20]), atol=1)
    assert np.abs(face.shape).max() < 3 and abs(face.pose.rotation[2, 2]) > 0.9


def test_a_box_outside_of_the_picture_is_refused(path: Path) -> None:
    file = load_landmark_model(path)
    with pytest.raises(LandmarkError, match="lies outside of its picture"):
        find_face(file, Image.new("RGB", (64, 64)), Box(500, 500, 600, 600))


def test_points_of_mediapipe_give_the_face_that_made_them() -> None:
    from flashface_core.facesnap.finding import fitted
    from flashface_core.facesnap.landmarks import from_mediapipe

    model, at = random_model(), pose(-30, 10, 5)
    alpha, _ = faces.random_codes(model, 4)
    points = from_mediapipe(faces.mediapipe_face(model, 4, at))
    face = fitted(model, points, (640, 480), noise=1e-3)
    assert np.abs(face.shape - alpha).max() < 0.02
    assert np.abs(face.pose.rotation - at.rotation).max() < 1e-3


def test_a_file_that_only_claims_to_be_large_takes_no_memory():
    net = LandmarkNet(4, 4, (8, 8), 1)
    state = {name: tensor for name, tensor in net.state_dict().items()}
    state["stages.0.0.mix.weight"] = torch.zeros(60_000, 1, 1, 1)
    with pytest.raises(RuntimeError, match="size mismatch"):
        LandmarkNet.from_state(state, 4)


def test_metadata_that_nest_without_end_are_refused_in_words():
    with pytest.raises(CheckpointError, match="cannot be read"):
        config_of("bad.safetensors", {"facesnap.config": "[" * 90_000})
