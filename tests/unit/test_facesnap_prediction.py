"""What a prediction has to hold, with random landmark models.

Shares of the face's width are of the mean face; the bounds are docs/FACESNAP.md's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from landmark_faces import HEIGHT, WIDTH, face_of, pose, random_codes, random_face, random_model

from flashface_core.facesnap.landmark_model import Faces, LandmarkModel, Pose, mean_face
from flashface_core.facesnap.landmarks import LandmarkError, mirrored
from flashface_core.facesnap.prediction import (
    Wish,
    angles,
    mask_region,
    predict,
    predict_all,
    turn,
)

NEUTRAL = Wish(expression="none", pose="frontal")


@pytest.fixture(scope="module")
def model() -> LandmarkModel:
    return random_model()


def face_width(model: LandmarkModel) -> float:
    return float(np.ptp(model.mean[:, 0]))


def test_angles_are_those_that_turn_takes() -> None:
    for given in ((0, 0, 0), (20, -10, 33), (-60, 25, -170), (85, 40, 5)):
        assert np.allclose(angles(turn(*given)), given)
    nose, top = np.array([0.0, 0, -1]), np.array([0.0, -1, 0])
    assert (turn(30, 0, 0) @ nose)[0] > 0  # to the picture's right
    assert (turn(0, 30, 0) @ nose)[1] < 0  # up
    assert (turn(0, 0, 30) @ top)[0] < 0  # its top to the left


def test_the_reference_driven_by_itself_is_itself(model: LandmarkModel) -> None:
    for seed in range(5):
        face = random_face(model, seed, yaw=40 - 20 * seed, pitch=10)
        for driver in (face, None):
            found = predict(model, face, driver, WIDTH, HEIGHT)
            assert np.abs(found - face.landmarks).max() < 1e-4


def test_what_moves_the_driver_moves_the_result(model: LandmarkModel) -> None:
    reference, driver = random_face(model, 1), random_face(model, 2, yaw=25)
    before = predict(model, reference, driver, WIDTH, HEIGHT)
    moves = Pose(turn(0, 0, 40), 1.3, np.array([31.0, -17.0, 0.0]))
    moved = face_of(model, moves.place(driver.landmarks))
    after = predict(model, reference, moved, WIDTH, HEIGHT)
    assert np.abs(after - moves.place(before))[:, :2].max() < 1e-4


def test_mirrored_pictures_give_the_mirrored_result(model: LandmarkModel) -> None:
    reference, driver = random_face(model, 3, yaw=10), random_face(model, 4, yaw=-30, roll=15)
    before = predict(model, reference, driver, WIDTH, HEIGHT)
    one, two = (face_of(model, mirrored(f.landmarks, WIDTH)) for f in (reference, driver))
    after = predict(model, one, two, WIDTH, HEIGHT)
    assert np.abs(after - mirrored(before, WIDTH)).max() < 1e-3


def test_at_rest_and_frontal_the_driver_does_not_matter(model: LandmarkModel) -> None:
    reference = random_face(model, 5, yaw=20)
    results = [
        predict(model, reference, driver, WIDTH, HEIGHT, NEUTRAL)
        for driver in (None, random_face(model, 6, yaw=-40), random_face(model, 7, scale=20))
    ]
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])


def swapped_errors(model: LandmarkModel, noise: float, prior: float, **wish: Any) -> np.ndarray:
    """Mean error of x, y, and that of copying the driver's points, in % of the face's width."""
    random, found = np.random.default_rng(11), []
    for seed in range(20):
        yaw = random.uniform(-60, 60, 2)
        (a, b), (c, d) = random_codes(model, 2 * seed), random_codes(model, 2 * seed + 1)
        views = pose(yaw[0]), pose(yaw[1])
        made = [views[0].place(model.points(a, b)), views[1].place(model.points(c, d))]
        sigma = noise * face_width(model)
        seen = [p + 90 * sigma * random.standard_normal(p.shape) for p in made]
        reference, driver = (face_of(model, p, prior or sigma) for p in seen)
        result = predict(model, reference, driver, WIDTH, HEIGHT, Wish(**wish))
        truth = views[1].place(model.points(a, d))
        off = [np.linalg.norm((p - truth)[:, :2], axis=1).mean() for p in (result, made[1])]
        found.append(np.array(off) / (0.9 * face_width(model)))
    return np.mean(found, 0)


def test_a_shape_is_found_under_any_pose_and_put_into_another(model: LandmarkModel) -> None:
    error, copied = swapped_errors(model, 0.0, prior=1e-3)
    assert error < 0.05 and copied > 2


@pytest.mark.parametrize(("noise", "bound"), [(0.006, 0.6), (0.019, 1.3)])
def test_noise_in_the_points_costs_little(noise: float, bound: float) -> None:
    model = random_model(1, shapes=24, expressions=16)
    error, _ = swapped_errors(model, noise, prior=0, keep_detail=0.0)
    assert error < bound


def test_strength_and_detail_do_what_they_say(model: LandmarkModel) -> None:
    face = random_face(model, 8)

    def at(**wish: Any) -> np.ndarray:
        return predict(model, face, None, WIDTH, HEIGHT, Wish(**wish))

    none, one, two = (at(expression_strength=g) for g in (0, 1, 2))
    assert np.allclose(two - one, one - none) and np.abs(one - none).max() > 0.5
    assert np.allclose(none, at(expression_strength=1, expression="none"))
    bare = face.pose.place(model.points(face.shape, face.expression))
    assert np.allclose(at(keep_detail=0), bare)


def test_a_wide_face_stays_wide(model: LandmarkModel) -> None:
    """The result has the driver's scale, not one that fits the reference's shape into its place."""
    wide = replace(random_face(model, 9), shape=np.zeros(len(model.shape)))
    wide = replace(wide, detail=0.2 * model.mean * np.array([1.0, 0, 0]))
    driver = random_face(model, 10)
    driver = replace(driver, shape=np.zeros(len(model.shape)))
    results = [
        predict(model, who, driver, WIDTH, HEIGHT, Wish(expression="none"))
        for who in (wide, replace(wide, detail=np.zeros((72, 3))))
    ]
    assert np.ptp(results[0][:, 0]) == pytest.approx(1.2 * np.ptp(results[1][:, 0]), rel=1e-2)
    assert np.ptp(results[0][:, 1]) == pytest.approx(np.ptp(results[1][:, 1]), rel=1e-2)


def test_another_canvas_is_letterboxed_and_a_region_filled(model: LandmarkModel) -> None:
    face = random_face(model, 12)
    twice = predict(model, face, None, 2 * WIDTH, 2 * HEIGHT)
    assert np.allclose(twice, 2 * face.landmarks)
    tall = predict(model, face, None, WIDTH, WIDTH)
    assert np.allclose(tall, face.landmarks + np.array([0, (WIDTH - HEIGHT) / 2, 0]))
    there = predict(model, face, None, 800, 800, Wish(region=(100, 200, 500, 400)))[:, :2]
    assert np.allclose((there.min(0) + there.max(0)) / 2, [300, 300])
    assert np.ptp(there[:, 1]) == pytest.approx(200) and np.ptp(there[:, 0]) <= 400


def together(model: LandmarkModel, *seeds: int, fingerprint: str = "a", **turned: float) -> Faces:
    return Faces(tuple(random_face(model, s, **turned) for s in seeds), model, fingerprint)


def test_every_driver_gives_a_result_of_the_mean_reference(model: LandmarkModel) -> None:
    reference, driver = together(model, 1, 2), together(model, 3, 4, 5, yaw=20)
    found = predict_all(reference, driver, WIDTH, HEIGHT, Wish())
    assert found.points.shape == (3, 72, 3) and (found.width, found.height) == (WIDTH, HEIGHT)
    person = mean_face(reference.faces)
    assert np.allclose(person.shape, (reference.faces[0].shape + reference.faces[1].shape) / 2)
    for points, face in zip(found.points, driver.faces, strict=True):
        wanted = predict(model, person, face, WIDTH, HEIGHT)
        assert np.allclose(points.numpy(), wanted, atol=1e-3)
    assert len(predict_all(reference, None, WIDTH, HEIGHT, Wish()).points) == 2


def test_faces_of_two_models_and_other_numbers_of_regions_are_refused(model) -> None:
    reference = together(model, 1)
    with pytest.raises(LandmarkError, match="different landmark models"):
        predict_all(reference, together(model, 2, fingerprint="b"), 64, 64, Wish())
    with pytest.raises(LandmarkError, match="2 masks for 3 faces"):
        predict_all(reference, together(model, 1, 2, 3), 64, 64, Wish(), [(0, 0, 9, 9)] * 2)


def test_a_region_is_the_box_about_a_mask() -> None:
    mask = torch.zeros(20, 40)
    mask[5:10, 8:24] = 1
    assert mask_region(mask, 80, 20) == (16, 5, 48, 10)
    with pytest.raises(LandmarkError, match="is empty"):
        mask_region(mask / 4, 80, 20)
