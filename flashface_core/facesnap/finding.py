"""Finds the 72 landmarks of a face: by the network in a square about its box, or from MediaPipe's.

Either way the fit has the last word, so that both give the same kind of answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from ..errors import shown
from ..faces.boxes import Box
from .landmark_file import LandmarkFile
from .landmark_model import NOISE, Face, LandmarkError, LandmarkModel, fit
from .landmark_net import SIZE, rotation_of
from .landmarks import MEDIAPIPE

AROUND = 1.3  # the square's side in longer sides of the face's box


def find_face(file: LandmarkFile, picture: Image.Image, box: Box, noise: float = NOISE) -> Face:
    """The face in a box of a picture, by the file's network and one round of the fit.

    Raises LandmarkError where the file has no network.
    """
    if file.net is None:
        raise LandmarkError(
            f"The landmark model {file.name} has no network that finds landmarks in pictures. "
            "Connect 'face_landmarks' (ComfyUI's MediaPipe Face Landmarker), or choose a landmark "
            "model with a network."
        )
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None] / 255
    middle = torch.tensor([(box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2])
    side = AROUND * max(box.width, box.height)
    with torch.inference_mode():
        out = file.net(face_square(pixels, middle, side))
    alpha, beta, rotation6, log_scale, shift, flat = (value[0].double() for value in out)
    x = file.model.points(alpha.numpy(), beta.numpy())
    rotation = rotation_of(rotation6[None])[0].numpy()
    deep = float(log_scale.exp()) * x @ rotation[2] + float(shift[2])
    points = side * np.concatenate([flat.numpy(), deep[:, None]], 1)
    points[:, :2] += middle.double().numpy()
    found = fit(file.model, points, noise, (alpha.numpy(), beta.numpy()), rounds=1)
    return Face(*found, points, picture.width, picture.height)


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


def from_mediapipe(face: Any) -> np.ndarray:
    """Our points (72, 3) in pixels of one face of core's FACE_LANDMARKS.

    x and y are `landmarks_xy`; z is that of `landmarks_3d` times the scale of the similarity that
    carries its x, y onto `landmarks_xy`. Raises LandmarkError for what is no such face.
    """
    try:
        flat = np.asarray(face["landmarks_xy"], np.float64)
        solid = np.asarray(face["landmarks_3d"], np.float64)
        flat, solid = flat[list(MEDIAPIPE), :2], solid[list(MEDIAPIPE), :3]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise LandmarkError(
            "'face_landmarks' has a face without the 478 points of MediaPipe "
            f"({shown(str(error))}). Connect ComfyUI's MediaPipe Face Landmarker."
        ) from error
    s, d = (p[:, 0] + 1j * p[:, 1] for p in (solid, flat))
    s, d = s - s.mean(), d - d.mean()
    spread = float((np.abs(s) ** 2).sum())
    if not np.isfinite(spread) or spread == 0 or not np.isfinite(d).all():
        raise LandmarkError(
            "'face_landmarks' has a face whose points lie in one place or are no numbers. Use "
            "another picture."
        )
    scale = abs((s.conj() * d).sum() / spread)
    return np.concatenate([flat, scale * solid[:, 2:]], 1)
