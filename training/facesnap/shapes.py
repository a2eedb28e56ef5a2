"""The landmark model in closed form, and what is true of every photo in its terms.

S: principal directions of neutral faces after Procrustes; E: of a face less its own neutral one.
Both lose what a translation, rotation or scale of the mean face does, so that pose and shape do not
leak into each other, and are scaled to unit variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from flashface_core.facesnap.landmark_model import LandmarkModel, orthogonalised
from flashface_core.facesnap.landmarks import LEFT_EYE, MIRROR, RIGHT_EYE

from .photos import Photos

ROUNDS = 5
POSE_ROUNDS = 4


@dataclass(frozen=True)
class Truth:
    """In the terms of the landmark model, of N photos with M mirrored ones behind them.

    alpha: (N, K_s), beta: (N, K_e). rotation: (N, 3, 3), scale: (N,), shift: (N, 3), in pixels:
    L = scale X Rᵀ + shift. points: (N, 72, 3), x and y as the camera sees them.
    """

    alpha: np.ndarray
    beta: np.ndarray
    rotation: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    points: np.ndarray


def fit_landmark_model(
    photos: Photos, modes: tuple[int, ...]
) -> tuple[LandmarkModel, dict[str, Any]]:
    """The model of some photos' people, mirrored ones counted too, and how much of them it says."""
    neutral, face = _with_mirrored(photos)
    mean = _mean_face(neutral)
    place, whole = _placed(neutral, face, mean)
    shape, of_shape = _modes(place - mean, mean, modes[0])
    expression, of_expression = _modes(whole - place, mean, modes[1])
    model = LandmarkModel(mean, shape, expression)
    alpha, beta = _codes(place - mean, shape), _codes(whole - place, expression)
    said = np.stack([model.points(a, b) for a, b in zip(alpha, beta, strict=True)])
    left = np.linalg.norm(_moved(said, *similarities(said, whole)) - whole, axis=2).mean()
    return model, {
        "faces": len(neutral),
        "shape_variance": of_shape,
        "expression_variance": of_expression,
        "left_over": float(left),  # of the eye distance
    }


def truth_of(photos: Photos, model: LandmarkModel, mirrored: bool = False) -> Truth:
    """What is true of photos; with `mirrored`, what is true of their mirrored pictures behind."""
    neutral, face = _with_mirrored(photos)
    if not mirrored:
        neutral, face = neutral[: len(photos)], face[: len(photos)]
    place, whole = _placed(neutral, face, model.mean)
    alpha = _codes(place - model.mean, model.shape)
    beta = _codes(whole - place, model.expression)
    points = _points(photos, mirrored)
    said = model.mean + np.tensordot(alpha, model.shape, 1)
    said = said + np.tensordot(beta, model.expression, 1)
    rotation, scale, shift = similarities(said, points)
    return Truth(alpha, beta, rotation, scale, shift, points)


def similarities(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
    """R (N, 3, 3), s (N,), τ (N, 3) that bring s X Rᵀ + τ nearest to target; both (N, 72, 3)."""
    a, b = source.mean(1, keepdims=True), target.mean(1, keepdims=True)
    x, y = source - a, target - b
    u, sizes, v = np.linalg.svd(np.einsum("nki,nkj->nij", y, x))
    sign = np.sign(np.linalg.det(u @ v))  # never a reflection
    sizes[:, 2] *= sign
    u[:, :, 2] *= sign[:, None]
    rotation = u @ v
    scale = sizes.sum(1) / (x**2).sum((1, 2))
    shift = b[:, 0] - scale[:, None] * np.einsum("ni,nji->nj", a[:, 0], rotation)
    return rotation, scale, shift


def _with_mirrored(photos: Photos) -> tuple[np.ndarray, np.ndarray]:
    def both(values: np.ndarray) -> np.ndarray:
        turned = values[:, MIRROR] * np.array([-1.0, 1.0, 1.0])
        return np.concatenate([values, turned]).astype(np.float64)

    return both(photos.neutral.numpy()), both(photos.face.numpy())


def _points(photos: Photos, mirrored: bool) -> np.ndarray:
    flat, solid = photos.landmarks.numpy(), photos.solid.numpy()
    points = np.concatenate([flat, solid[..., 2:]], 2).astype(np.float64)
    if not mirrored:
        return points
    turned = points[:, MIRROR].copy()
    turned[..., 0] = photos.pictures.shape[2] - turned[..., 0]
    return np.concatenate([points, turned])


def _mean_face(faces: np.ndarray) -> np.ndarray:
    """The mean of faces that were brought onto it; eyes' distance 1, middle at the origin."""
    mean = _unit(faces.mean(0))
    for _ in range(ROUNDS):
        rotation, scale, shift = similarities(faces, np.broadcast_to(mean, faces.shape))
        mean = _unit(_moved(faces, rotation, scale, shift).mean(0))
    return mean


def _unit(face: np.ndarray) -> np.ndarray:
    eyes = face[LEFT_EYE].mean(0) - face[RIGHT_EYE].mean(0)
    return (face - face.mean(0)) / np.linalg.norm(eyes)


def _placed(
    neutral: np.ndarray, face: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Neutral faces brought onto the mean one, and the same faces with expression, moved alike."""
    how = similarities(neutral, np.broadcast_to(mean, neutral.shape))
    return _moved(neutral, *how), _moved(face, *how)


def _moved(
    faces: np.ndarray, rotation: np.ndarray, scale: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    turned = np.einsum("nki,nji->nkj", faces, rotation)
    return scale[:, None, None] * turned + shift[:, None]


def _modes(differences: np.ndarray, mean: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Principal directions (K, 72, 3) of unit variance, and the share of variance they say."""
    rigid = orthogonalised(mean, differences)
    flat = rigid.reshape(len(rigid), -1)
    _, sizes, directions = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    count = min(count, int((sizes > 1e-9 * sizes[0]).sum()))
    modes = directions[:count].reshape(count, -1, 3)
    modes = modes * np.maximum(_codes(rigid, modes).std(0), 1e-6)[:, None, None]
    said = np.tensordot(_codes(rigid, modes), modes, 1)
    return modes, float(1 - ((rigid - said) ** 2).sum() / (rigid**2).sum())


def _codes(differences: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Least-squares codes (N, K) of differences (N, 72, 3)."""
    matrix = modes.reshape(len(modes), -1).T
    return np.linalg.lstsq(matrix, differences.reshape(len(differences), -1).T, rcond=None)[0].T
