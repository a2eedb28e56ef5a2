"""Turns and scales a face into the 112 x 112 square that face recognition knows (ArcFace).

The five landmarks go onto fixed places by the least-squares similarity: a rotation, one scale and
a shift, never a reflection (Umeyama 1991). With landmarks s, places d and their means as complex
numbers it is z -> a z + b,

    a = sum(conj(s - mean s) (d - mean d)) / sum |s - mean s|^2        b = mean d - a mean s
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ..errors import shown

SIZE = 112
PLACES = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Of the eyes, nose and mouth corners in the crop, as Face2Diffusion's `utils.align` has them."""


def face_transform(landmarks: Sequence[Sequence[float]]) -> np.ndarray:
    """The (3, 3) float64 matrix from pixels of the picture to pixels of the crop.

    landmarks: five (x, y), left eye first, as `detection.Face` has them.
    Raises ValueError where they are not five finite points, or all in one place.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(
            f"Five landmarks (x, y) are needed to align a face, got {shown(landmarks)}."
        )
    s = points[:, 0] + 1j * points[:, 1]
    d = np.asarray(PLACES, dtype=np.float32).astype(np.float64) @ np.array([1, 1j])
    around = s - s.mean()
    size = float((np.abs(around) ** 2).sum())
    if size == 0:
        raise ValueError(
            "The five landmarks of the face lie in one place, so it cannot be aligned. Use "
            "another photo or another face detector."
        )
    a = (around.conj() * (d - d.mean())).sum() / size
    b = d.mean() - a * s.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag], [0.0, 0.0, 1.0]])


def warp(picture: Image.Image, matrix: np.ndarray, size: int = SIZE) -> np.ndarray:
    """The crop (size, size, 3) uint8 of an RGB picture, black outside of the picture.

    Exactly bilinear between pixel centres, without smoothing, so that large faces alias as they
    do in the authors' `cv2.warpPerspective(..., INTER_AREA)`, which interpolates bilinearly too.
    """
    pixels = np.asarray(picture.convert("RGB"))
    inverse = np.linalg.inv(matrix)
    v, u = np.mgrid[:size, :size].astype(np.float64)
    x, y = (inverse[i, 0] * u + inverse[i, 1] * v + inverse[i, 2] for i in (0, 1))
    height, width = pixels.shape[:2]
    # beyond one pixel outside all is black: also far away, where integers would overflow
    x, y = np.clip(x, -1, width), np.clip(y, -1, height)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    crop = np.zeros((size, size, 3))
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = left + dx, top + dy
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        share = (1 - np.abs(x - column)) * (1 - np.abs(y - row)) * inside
        texel = pixels[row.clip(0, height - 1), column.clip(0, width - 1)]
        crop += share[..., None] * texel
    return np.rint(crop).astype(np.uint8)


def align_face(picture: Image.Image, landmarks: Sequence[Sequence[float]]) -> torch.Tensor:
    """The aligned crop (112, 112, 3) uint8 of a face; see `face_transform` for errors."""
    return torch.from_numpy(warp(picture, face_transform(landmarks)))


def network_input(crops: torch.Tensor) -> torch.Tensor:
    """What the encoder sees of crops (B, 112, 112, 3) uint8: (B, 3, 112, 112) in -1..1."""
    scaled = (crops.to(torch.float64) / 255 - 0.5) / 0.5
    return scaled.to(torch.float32).movedim(-1, 1).contiguous()
