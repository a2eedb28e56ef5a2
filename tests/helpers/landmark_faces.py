"""A landmark model of random shapes and expressions about a drawn face, its faces, and a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from flashface_core.facesnap.landmark_file import metadata, tensors_of
from flashface_core.facesnap.landmark_model import Face, LandmarkModel, Pose, fit, orthogonalised
from flashface_core.facesnap.landmark_net import LandmarkNet
from flashface_core.facesnap.landmarks import MIRROR
from flashface_core.facesnap.prediction import turn

WIDTH, HEIGHT = 640, 480
SHAPES, EXPRESSIONS = 8, 6


def mean_face() -> np.ndarray:
    """A symmetric face (72, 3), the distance of its eyes 1, the nose towards the viewer."""

    def ring(x: float, y: float, w: float, h: float, count: int, z: float) -> list:
        angle = np.pi + 2 * np.pi * np.arange(count) / count
        return [(x + w * np.cos(a), y + h * np.sin(a), z) for a in angle]

    across = np.linspace(-1, 1, 17)
    jaw = [(1.05 * np.sin(a * 1.5), 1.5 * np.cos(a * 1.5), 0.9 * a * a) for a in across]
    brow = [(x, -0.35 - 0.1 * np.sin(3 * (x + 0.85)), -0.1) for x in np.linspace(-0.85, -0.2, 5)]
    brows = [*brow, *((-x, y, z) for x, y, z in reversed(brow))]
    bridge = [(0.0, 0.1 + 0.22 * i, -0.25 - 0.12 * i) for i in range(4)]
    nostrils = [(0.13 * i, 0.85, -0.35 + 0.03 * i * i) for i in range(-2, 3)]
    eyes = ring(-0.5, 0, 0.2, 0.09, 8, 0.05) + ring(0.5, 0, 0.2, 0.09, 8, 0.05)
    lips = ring(0, 1.1, 0.35, 0.16, 12, -0.2) + ring(0, 1.1, 0.22, 0.07, 8, -0.18)
    points = np.array([*jaw, *brows, *bridge, *nostrils, *eyes, *lips])
    points = (points + mirrored_modes(points[None])[0]) / 2
    return points - points.mean(0)


def mirrored_modes(modes: np.ndarray) -> np.ndarray:
    """Modes (K, 72, 3) as a mirror shows them."""
    return modes[:, list(MIRROR)] * np.array([-1.0, 1.0, 1.0])


def random_model(
    seed: int = 0, shapes: int = SHAPES, expressions: int = EXPRESSIONS, size: float = 0.05
) -> LandmarkModel:
    """A model in which half of the modes are symmetric, the others change sign in a mirror."""
    random, mean = np.random.default_rng(seed), mean_face()

    def modes(count: int) -> np.ndarray:
        made = random.standard_normal((count, 72, 3))
        sign = np.where(np.arange(count) % 2, -1.0, 1.0)[:, None, None]
        made = orthogonalised(mean, (made + sign * mirrored_modes(made)) / 2)
        return size * made / np.sqrt((made**2).mean((1, 2), keepdims=True))

    return LandmarkModel(mean, modes(shapes), modes(expressions))


def random_codes(model: LandmarkModel, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.standard_normal(len(model.shape)), random.standard_normal(len(model.expression))


def pose(yaw: float = 0, pitch: float = 0, roll: float = 0, scale: float = 90.0) -> Pose:
    """A pose in the middle of a picture of WIDTH x HEIGHT."""
    return Pose(turn(yaw, pitch, roll), scale, np.array([WIDTH / 2, HEIGHT / 2, 12.0]))


def face_of(model: LandmarkModel, points: np.ndarray, noise: float = 0.02) -> Face:
    """The fitted face of points (72, 3) in a picture of WIDTH x HEIGHT."""
    return Face(*fit(model, points, noise), points, WIDTH, HEIGHT)


def random_face(model: LandmarkModel, seed: int, **turned: float) -> Face:
    """A face of the model with details of its own."""
    own = 0.03 * np.random.default_rng(seed + 1000).standard_normal((72, 3))
    return face_of(model, pose(**turned).place(model.points(*random_codes(model, seed)) + own))


def write_model(path: Path, net: bool = True, **words: object) -> Path:
    """The file of a random landmark model, with a small untrained network or without one."""
    model = random_model()
    torch.manual_seed(0)
    made = LandmarkNet(SHAPES, EXPRESSIONS, (8, 8, 8, 8), 1).eval() if net else None
    if made is not None:  # it says of every picture that the mean face looks out of its middle
        flat = 0.3 * torch.from_numpy(model.mean[:, :2]).float() + torch.tensor([0.0, 0.1])
        made.head.bias.data[-144:] = flat.flatten()
    about = metadata({"landmarks": "72.1", "data": "random", "licence": "none"} | words)
    save_file(tensors_of(model, made), path, about)
    return path


def mediapipe_face(model: LandmarkModel, seed: int = 0, at: Pose | None = None) -> dict:
    """A face as core's FACE_LANDMARKS has it, its other points in the middle of ours."""
    from flashface_core.facesnap.landmarks import MEDIAPIPE

    ours = (at or pose()).place(model.points(*random_codes(model, seed)))
    flat = np.repeat(ours[:, :2].mean(0)[None], 478, 0).astype(np.float32)
    solid = np.zeros((478, 3), np.float32)
    flat[list(MEDIAPIPE)] = ours[:, :2]
    # the detector's crop: turned by 20 degrees, a third as large
    turned = ours @ turn(0, 0, 20).T / 3 + np.array([96.0, 96.0, 0.0])
    solid[list(MEDIAPIPE)] = turned
    low, high = ours[:, :2].min(0), ours[:, :2].max(0)
    return {
        "landmarks_xy": flat,
        "landmarks_3d": solid,
        "bbox_xyxy": np.concatenate([low, high]).astype(np.float32),
        "blendshapes": {},
        "score": 0.9,
        "presence": 1.0,
    }


def face_landmarks(*frames: list[dict], size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict:
    """Core's FACE_LANDMARKS of pictures."""
    return {"frames": list(frames), "image_size": size, "connection_sets": {}}
