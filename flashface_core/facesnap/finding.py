"""Finds the 72 landmarks of a face: by the network in a square about its box, or from MediaPipe's.

Either way the fit has the last word, so that both give the same kind of answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..errors import shown
from ..faces.boxes import Box
from ..faces.choose import NoFaceError
from ..faces.detection.base import Face as Detected
from ..faces.detection.base import order_faces
from .landmark_file import LandmarkFile
from .landmark_model import NOISE, Face, Faces, LandmarkModel, fit
from .landmark_net import SIZE, LandmarkNet, rotation_of
from .landmarks import LandmarkError, from_mediapipe
from .outline import face_box

AROUND = 1.3  # the square's side in longer sides of the face's box
LOOKS = 2


def find_face(file: LandmarkFile, picture: Image.Image, box: Box, noise: float = NOISE) -> Face:
    """The face in a box of a picture, by the file's network and one round of the fit.

    The network looks twice, the second time about the points that it found: detectors do not agree
    on how much of a face their boxes hold. Raises LandmarkError where the file has no network.
    """
    for _ in range(LOOKS):
        points, codes = _look(file, picture, box)
        box = face_box(points, *picture.size) or box
    found = fit(file.model, points, noise, codes, rounds=1)
    return Face(*found, points, picture.width, picture.height)


def _look(
    file: LandmarkFile, picture: Image.Image, box: Box
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The landmarks (72, 3) in a box, and the shape and expression that the network tells."""
    net = network_of(file)
    middle = torch.tensor([(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2])
    side = AROUND * max(box.width, box.height)
    pixels, corner = _around(picture, middle, side)
    with torch.inference_mode():
        out = net(face_square(pixels, middle - corner, side))
    alpha, beta, rotation6, log_scale, shift, flat = (value[0].double() for value in out)
    codes = alpha.numpy(), beta.numpy()
    rotation = rotation_of(rotation6[None])[0].numpy()
    deep = float(log_scale.exp()) * file.model.points(*codes) @ rotation[2] + float(shift[2])
    points = side * np.concatenate([flat.numpy(), deep[:, None]], 1)
    points[:, :2] += middle.double().numpy()
    return points, codes


def network_of(file: LandmarkFile) -> LandmarkNet:
    """The network of a landmark model; raises LandmarkError where it has none."""
    if file.net is None:
        raise LandmarkError(
            f"The landmark model {file.name} has no network that finds landmarks in pictures. "
            "Connect 'face_landmarks' from Detect Face Landmarks (MediaPipe), or choose a landmark "
            "model with a network, such as Load FaceSnap Demo's."
        )
    return file.net


def _around(picture: Image.Image, middle: torch.Tensor, side: float) -> tuple[torch.Tensor, ...]:
    """The part (1, 3, h, w) of a picture that a square about a place sees, and its corner (2)."""
    reach = side / 2 + side / SIZE + 1  # pixels that the area filter and the sampling touch
    left, top = (max(math.floor(float(v) - reach), 0) for v in middle)
    right, bottom = (math.ceil(float(v) + reach) for v in middle)
    area = (left, top, min(right, picture.width), min(bottom, picture.height))
    if area[0] >= area[2] or area[1] >= area[3]:
        raise LandmarkError("The face's box lies outside of its picture. Use another detector.")
    part = np.array(picture.crop(area).convert("RGB"))
    pixels = torch.from_numpy(part).permute(2, 0, 1)[None] / 255
    return pixels, torch.tensor([float(left), float(top)])


def face_square(pictures: torch.Tensor, middle: torch.Tensor, side: float) -> torch.Tensor:
    """The upright square (1, 3, 128, 128) about a place of a picture (1, 3, H, W), black outside.

    Large faces are first reduced by an area filter, as far as a pixel of the square stays one.
    """
    coarse = int(side // SIZE)
    if coarse > 1:
        pictures = F.avg_pool2d(pictures, coarse, ceil_mode=True, count_include_pad=False)
        middle, side = middle / coarse, side / coarse
    height, width = pictures.shape[-2:]
    steps = (torch.arange(SIZE, dtype=torch.float32) + 0.5) * (side / SIZE) - side / 2
    x, y = (middle[0] + steps) / width, (middle[1] + steps) / height
    grid = torch.stack(torch.meshgrid(2 * y - 1, 2 * x - 1, indexing="ij")[::-1], -1)[None]
    return F.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False)


def fitted(
    model: LandmarkModel, points: np.ndarray, size: tuple[int, int], noise: float = NOISE
) -> Face:
    """The face of points (72, 3) in a picture of a size (width, height)."""
    return Face(*fit(model, points, noise), points, *size)


def faces_of_mediapipe(
    file: LandmarkFile,
    face_landmarks: Any,
    size: tuple[int, int, int],
    order: str,
    index: int,
    noise: float = NOISE,
) -> Faces:
    """One face of each picture of core's FACE_LANDMARKS, for pictures of a size (B, H, W).

    Raises LandmarkError for what is no FACE_LANDMARKS or that of other pictures, NoFaceError for a
    picture that has no such face.
    """
    count, height, width = size
    faces = []
    for number, found in enumerate(located_in(face_landmarks, size), 1):
        title = f"Image {number} of {count}"
        points = _choose(found, order, index, title, (width, height)).points
        try:
            faces.append(fitted(file.model, points, (width, height), noise))
        except LandmarkError as error:
            raise LandmarkError(f"{title}: {error}") from error
    return Faces(tuple(faces), file.model, file.fingerprint)


@dataclass(frozen=True, eq=False)
class Located:
    """A face's landmarks (72, 3) in a picture, and the box about them."""

    points: np.ndarray
    face: Detected


def located_in(face_landmarks: Any, size: tuple[int, int, int]) -> list[list[Located]]:
    """The faces of each picture in core's FACE_LANDMARKS, our points instead of MediaPipe's.

    size: of the pictures, (B, H, W). Raises LandmarkError for what is no FACE_LANDMARKS, or that of
    other pictures.
    """
    count = size[0]
    try:
        frames = [list(frame) for frame in face_landmarks["frames"]]
        height, width = (int(v) for v in face_landmarks["image_size"])
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise LandmarkError(
            f"'face_landmarks' should be FACE_LANDMARKS, got {shown(face_landmarks, 80)}. Connect "
            "Detect Face Landmarks (MediaPipe)."
        ) from error
    if (len(frames), height, width) != size:
        raise LandmarkError(
            f"'face_landmarks' holds {len(frames)} pictures of {width} x {height}, but 'image' has "
            f"{count} of {size[2]} x {size[1]}. Connect the same image to Detect Face Landmarks "
            "(MediaPipe) and to this node."
        )
    return [[_located(face) for face in frame] for frame in frames]


def _located(face: Any) -> Located:
    points = from_mediapipe(face)
    (x1, y1), (x2, y2) = points[:, :2].min(0), points[:, :2].max(0)
    try:
        score = float(face["score"])
    except (LookupError, TypeError, ValueError, OverflowError):
        score = 1.0
    box = Box(float(x1), float(y1), float(x2), float(y2))
    return Located(points, Detected(box, score if math.isfinite(score) else 0.0))


def _choose(
    found: Sequence[Located], order: str, index: int, title: str, size: tuple[int, int]
) -> Located:
    """Face number `index` in an order of `ORDERS`; raises NoFaceError, which names the picture."""
    if not found:
        raise NoFaceError(
            f"{title}: 'face_landmarks' has no face for it. Lower the threshold of Detect Face "
            "Landmarks (MediaPipe), or leave 'face_landmarks' out."
        )
    ordered = order_faces([one.face for one in found], order, size)
    if index >= len(ordered):
        raise NoFaceError(
            f"{title}: 'face_landmarks' has {len(ordered)} face(s) for it, but index {index} asks "
            f"for number {index + 1}. Lower 'index' to {len(ordered) - 1} or less."
        )
    return next(one for one in found if one.face is ordered[index])
