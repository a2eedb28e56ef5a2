"""A linear model of 72 points, and the fit of one face to it.

    X(α, β) = μ + Σ α_k S_k + Σ β_k E_k          L = s X Rᵀ + τ          r = Rᵀ(L - τ)/s - X(α, β)

x right, y down, z away from the viewer; the mean distance of the eyes' centres is 1, the mean face
lies at the origin. Published parts and our own are told apart in docs/FACESNAP.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import shown
from .landmarks import COUNT, LEFT_EYE, RIGHT_EYE, LandmarkError

ROUNDS = 30
SMALL = 1e-6  # a change of the numbers at which the fit has come to rest
NOISE = 0.02  # a detector's usual error in eye distances
LARGEST = 1e6  # pixels of a point's place


@dataclass(frozen=True, eq=False)
class LandmarkModel:
    """mean: (72, 3), shape: (K_s, 72, 3), expression: (K_e, 72, 3), float64; codes are N(0, I)."""

    mean: np.ndarray
    shape: np.ndarray
    expression: np.ndarray

    def points(self, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """X (72, 3) of a shape (K_s,) and an expression (K_e,)."""
        return (
            self.mean + np.tensordot(alpha, self.shape, 1) + np.tensordot(beta, self.expression, 1)
        )


@dataclass(frozen=True, eq=False)
class Pose:
    """L = scale X rotationᵀ + shift, in pixels. rotation: (3, 3), shift: (3,)."""

    rotation: np.ndarray
    scale: float
    shift: np.ndarray

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (72, 3) of the model in the picture."""
        return self.scale * points @ self.rotation.T + self.shift

    def unplace(self, points: np.ndarray) -> np.ndarray:
        """Points (72, 3) of the picture in the model's terms."""
        return (points - self.shift) @ self.rotation / self.scale


@dataclass(frozen=True, eq=False)
class Face:
    """One face of one picture. shape: (K_s,), expression: (K_e,), detail: r (72, 3).

    landmarks: (72, 3), in pixels of a picture of width x height.
    """

    shape: np.ndarray
    expression: np.ndarray
    pose: Pose
    detail: np.ndarray
    landmarks: np.ndarray
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class Faces:
    """What a FACESNAP_FACE socket carries: a face of each picture, and the model they are told in.

    fingerprint: of that model; faces of different models cannot be mixed.
    """

    faces: tuple[Face, ...]
    model: LandmarkModel = field(repr=False)
    fingerprint: str = ""


def mean_face(faces: Sequence[Face]) -> Face:
    """One person's face of several pictures: mean shape, expression, detail; the first's pose."""
    if len(faces) == 1:
        return faces[0]
    parts = ("shape", "expression", "detail")
    mean = {name: np.mean([getattr(face, name) for face in faces], 0) for name in parts}
    return replace(faces[0], **mean)


def fit(
    model: LandmarkModel,
    points: np.ndarray,
    noise: float = NOISE,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    rounds: int = ROUNDS,
) -> tuple[np.ndarray, np.ndarray, Pose, np.ndarray]:
    """α (K_s,), β (K_e,), pose and detail r (72, 3) of points (72, 3) in pixels.

    By turns the pose by least squares, and w = (AᵀA + λI)⁻¹ Aᵀ(Rᵀ(L - τ)/s - μ) with λ = noise².
    noise: of the points, in eye distances. start: codes to begin with.
    Raises LandmarkError for points that are not finite, all in one place, or mirrored.
    """
    check_points(points)
    check_side(points)
    basis = np.concatenate([model.shape, model.expression]).reshape(-1, model.mean.size)
    solve = np.linalg.solve(basis @ basis.T + noise**2 * np.eye(len(basis)), basis)
    count = len(model.shape)
    codes = np.zeros(len(basis)) if start is None else np.concatenate(start)
    for _ in range(rounds):
        pose = procrustes(model.points(codes[:count], codes[count:]), points)
        before, codes = codes, solve @ (pose.unplace(points) - model.mean).ravel()
        if np.abs(codes - before).max(initial=0.0) < SMALL:
            break
    alpha, beta = codes[:count], codes[count:]
    x = model.points(alpha, beta)
    pose = procrustes(x, points)
    return alpha, beta, pose, pose.unplace(points) - x


def procrustes(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> Pose:
    """The similarity that brings points (K, 3) nearest to others: Umeyama 1991, no reflection.

    weights: (K,), how much each point counts. Raises LandmarkError for points in one place.
    """
    w = np.ones(len(source)) if weights is None else weights
    w = (w / w.sum())[:, None]
    a, b = (w * source).sum(0), (w * target).sum(0)
    x, y = source - a, target - b
    u, sizes, v = np.linalg.svd((w * y).T @ x)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    spread = float((w * x**2).sum())
    scale = float((sizes * sign).sum()) / spread if spread else 0.0
    if scale <= 0:
        raise LandmarkError(
            "The landmarks lie in one place or are turned inside out, so they have no pose. Use "
            "another picture or another face."
        )
    rotation = (u * sign) @ v
    return Pose(rotation, scale, b - scale * rotation @ a)


def check_points(points: np.ndarray) -> None:
    """Raise LandmarkError for what is no face's 72 points (x, y, z) in pixels."""
    if points.shape != (COUNT, 3):
        raise LandmarkError(
            f"{COUNT} landmarks (x, y, z) are needed, got {shown(points.shape)}. Connect Find "
            "Landmarks (FaceSnap)."
        )
    if not np.isfinite(points).all() or np.abs(points).max() > LARGEST:
        raise LandmarkError(
            "The landmarks have NaN, infinite or impossibly far values. Use another picture, or "
            "another source of landmarks."
        )
    if np.linalg.norm(points - points.mean(0), axis=1).mean() < 1e-3:
        raise LandmarkError(
            "All landmarks lie in one place, so there is no face in them. Use another picture."
        )


def check_side(points: np.ndarray) -> None:
    """Raise LandmarkError for points (72, 3) of a mirrored face."""
    size = np.linalg.norm(points - points.mean(0), axis=1).mean()
    eyes = points[RIGHT_EYE].mean(0) - points[LEFT_EYE].mean(0)
    down = points[8] - points[27]  # from the bridge of the nose to the chin
    if eyes[0] * down[1] - eyes[1] * down[0] < -0.05 * size**2:
        raise LandmarkError(
            "The landmarks are those of a mirrored face: the left eye's points lie where the right "
            "eye is. Mirror the picture, not its landmarks, or use another source of landmarks."
        )


def orthogonalised(mean: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Directions (K, 72, 3) without what a shift, a turn or a scale of the mean face does."""
    shifts = [np.broadcast_to(axis, mean.shape).ravel() for axis in np.eye(3)]
    turns = [np.cross(axis, mean).ravel() for axis in np.eye(3)]
    rigid, _ = np.linalg.qr(np.array([*shifts, *turns, mean.ravel()]).T)
    flat = modes.reshape(len(modes), -1)
    return (flat - flat @ rigid @ rigid.T).reshape(modes.shape)
