"""Alignment beyond the golden poses: turned, huge and far-away faces, and landmarks of no face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from flashface_core.faces.align import PLACES, align_face, face_transform, network_input, warp


def turned(degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.array(PLACES) @ rotation.T * scale + shift


@pytest.mark.parametrize("degrees", [0, 33, 90, 180, -120])
@pytest.mark.parametrize("scale", [0.1, 1, 25])
def test_any_turn_scale_and_shift_is_undone(degrees, scale):
    landmarks = turned(degrees, scale, (300, -40))
    matrix = face_transform(landmarks.tolist())
    back = np.c_[landmarks, np.ones(5)] @ matrix.T
    assert np.abs(back[:, :2] - PLACES).max() < 1e-4
    assert np.linalg.det(matrix) > 0


def test_a_face_in_place_is_cut_out_as_it_is():
    noise = np.random.RandomState(0).randint(0, 256, (112, 112, 3), dtype=np.uint8)
    crop = align_face(Image.fromarray(noise), PLACES)
    # the places are kept in float32, as the authors keep them
    assert np.abs(crop.numpy().astype(int) - noise).max() <= 1


def test_outside_of_the_picture_is_black():
    white = Image.new("RGB", (50, 40), (255, 255, 255))
    assert not warp(white, np.array([[1, 0, 500.0], [0, 1, 0], [0, 0, 1]])).any()
    far = np.array([[1e-12, 0, 0], [0, 1e-12, 0], [0, 0, 1]])
    assert warp(white, far).sum() == 3 * 255  # the first pixel alone, and no overflow beyond it
    corner = warp(white, np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]]))
    assert corner[0, 0, 0] == 64 and corner[0, 10, 0] == 128 and corner[10, 10, 0] == 255


@pytest.mark.parametrize(
    "landmarks", [[(3, 4)] * 5, [(1, 2)] * 4, [(np.nan, 0), (1, 1), (2, 2), (3, 3), (4, 4)], []]
)
def test_landmarks_of_no_face_are_refused(landmarks):
    with pytest.raises(ValueError, match="landmarks"):
        face_transform(landmarks)


def test_the_network_sees_minus_one_to_one():
    crops = torch.zeros(2, 112, 112, 3, dtype=torch.uint8)
    crops[1] = 255
    seen = network_input(crops)
    assert seen.shape == (2, 3, 112, 112) and seen.dtype == torch.float32
    assert (seen[0] == -1).all() and (seen[1] == 1).all()
