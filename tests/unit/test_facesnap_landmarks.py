"""The 72 landmarks, the pose of points, and what the fit refuses."""

from __future__ import annotations

import landmark_faces as faces
import numpy as np
import pytest
from landmark_faces import WIDTH, face_of, pose, random_codes, random_model

from flashface_core.facesnap.landmark_model import LandmarkModel, fit, orthogonalised, procrustes
from flashface_core.facesnap.landmarks import (
    MEDIAPIPE,
    MIRROR,
    LandmarkError,
    eye_distance,
    five_points,
    from_mediapipe,
    mirrored,
)
from flashface_core.facesnap.prediction import turn


@pytest.fixture(scope="module")
def model() -> LandmarkModel:
    return random_model()


def test_the_mirror_is_its_own_inverse_and_keeps_sides_apart() -> None:
    assert sorted(MIRROR) == list(range(72))
    assert [MIRROR[i] for i in MIRROR] == list(range(72))
    assert MIRROR[0] == 16 and MIRROR[36] == 48 and MIRROR[52] == 58 and MIRROR[64] == 68
    assert all(MIRROR[i] == i for i in (8, 27, 28, 29, 30, 33, 55, 61, 66, 70))
    points = np.random.default_rng(0).random((2, 72, 3))
    assert np.allclose(mirrored(mirrored(points, 10), 10), points)


def test_five_points_are_eyes_nose_and_corners_of_the_mouth() -> None:
    points = faces.mean_face()
    five = five_points(points)
    assert np.allclose(five[:2], [points[36:44].mean(0), points[44:52].mean(0)])
    assert np.allclose(five[2:], points[[30, 52, 58]])
    assert five_points(np.stack([points, points])[..., :2]).shape == (2, 5, 2)
    assert eye_distance(points) == pytest.approx(1)


def test_modes_neither_move_nor_turn_nor_scale_the_mean_face(model: LandmarkModel) -> None:
    modes = orthogonalised(model.mean, np.random.default_rng(3).standard_normal((20, 72, 3)))
    assert np.abs(modes.sum(1)).max() < 1e-10
    assert np.abs(np.einsum("kij,ij->k", modes, model.mean)).max() < 1e-10
    assert np.abs(np.cross(model.mean[None], modes).sum(1)).max() < 1e-10
    assert np.allclose(orthogonalised(model.mean, modes), modes)


def test_procrustes_finds_a_pose_again_and_no_reflection(model: LandmarkModel) -> None:
    wanted = pose(35, -20, 15, scale=70)
    found = procrustes(model.mean, wanted.place(model.mean))
    assert np.allclose(found.rotation, wanted.rotation) and found.scale == pytest.approx(70)
    assert np.allclose(found.shift, wanted.shift)
    assert np.allclose(found.unplace(found.place(model.mean)), model.mean)
    flipped = model.mean * np.array([-1.0, 1.0, 1.0])
    assert np.linalg.det(procrustes(model.mean, flipped).rotation) == pytest.approx(1)


def test_procrustes_counts_points_by_their_weights(model: LandmarkModel) -> None:
    wanted = pose(10, 5, 0)
    target = wanted.place(model.mean)
    target[:17] += 50
    weights = np.ones(72)
    weights[:17] = 0
    assert np.allclose(procrustes(model.mean, target, weights).shift, wanted.shift)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_numbers_that_no_picture_has_are_refused(model: LandmarkModel, value: float) -> None:
    points = pose().place(model.mean)
    points[3, 1] = value
    with pytest.raises(LandmarkError, match="NaN, infinite or impossibly far"):
        fit(model, points)


def test_degenerate_landmarks_are_refused(model: LandmarkModel) -> None:
    points = pose(20).place(model.mean)
    with pytest.raises(LandmarkError, match="lie in one place"):
        fit(model, np.repeat(points[:1], 72, 0))
    with pytest.raises(LandmarkError, match="mirrored face"):
        fit(model, points * np.array([-1.0, 1, 1]) + np.array([WIDTH, 0, 0]))
    with pytest.raises(LandmarkError, match=r"72 landmarks \(x, y, z\) are needed, got \(68, 3\)"):
        fit(model, points[:68])


@pytest.mark.parametrize("turned", [{"roll": 180}, {"yaw": 85}, {"pitch": 60}, {"roll": -95}])
def test_a_turned_face_is_no_mirrored_one(model: LandmarkModel, turned: dict) -> None:
    found = face_of(model, pose(**turned).place(model.mean))
    assert np.allclose(found.pose.rotation, turn(**({"yaw": 0, "pitch": 0, "roll": 0} | turned)))


def test_mediapipes_points_become_ours_with_a_depth_of_the_picture(model: LandmarkModel) -> None:
    assert len(set(MEDIAPIPE)) == 72 and max(MEDIAPIPE) < 478
    at = pose(25, 5, -8)
    truth = at.place(model.points(*random_codes(model, 0)))
    found = from_mediapipe(faces.mediapipe_face(model, 0, at))
    assert np.allclose(found[:, :2], truth[:, :2], atol=1e-3)
    assert np.allclose(np.diff(found[:, 2]), np.diff(truth[:, 2]), atol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmarks_xy": None}, "without MediaPipe's 478 points"),
        ({"landmarks_3d": np.zeros((68, 3))}, "without MediaPipe's 478 points"),
        ({"landmarks_3d": np.zeros((478, 3))}, "lie in one place or are no numbers"),
        ({"landmarks_xy": np.full((478, 2), np.nan)}, "lie in one place or are no numbers"),
    ],
)
def test_what_is_no_face_of_mediapipe_is_refused(model, change: dict, message: str) -> None:
    with pytest.raises(LandmarkError, match=message):
        from_mediapipe(faces.mediapipe_face(model) | change)
