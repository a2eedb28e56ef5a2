"""What the encoders see of a face: ArcFace's crop, and a wider one for CLIP's image encoder.

E_f sees 112 x 112 pixels, the five points on ArcFace's places: matrix M of `faces.align`. E_c sees
224 x 224 by [[1.6, 0, 22.4], [0, 1.6, 22.4], [0, 0, 1]] M, so that chin, ears and hairline show.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..faces.align import face_transform, warp
from ..faces.detection.base import Face

WIDE = 224
WIDER = np.array([[1.6, 0, 22.4], [0, 1.6, 22.4], [0, 0, 1.0]])
COVERED = 2  # pixels of the picture, along a side, that one of the crop may skip over
IN_BOX = ((0.33, 0.37), (0.67, 0.37), (0.50, 0.53), (0.355, 0.655), (0.645, 0.655))
"""Where the five points lie in the built-in detector's box: medians of 303 drawn faces."""

Points = list[tuple[float, float]]


def five_of(face: Face) -> Points:
    """The five points of a detected face; without landmarks, where they usually are in its box.

    That is good enough for the small encoder, which was trained with points that are a little off.
    """
    if face.landmarks is not None:
        return [(float(x), float(y)) for x, y in face.landmarks]
    box = face.box
    return [(box.x1 + u * box.width, box.y1 + v * box.height) for u, v in IN_BOX]


def wide_crop(picture: Image.Image, five: Points) -> np.ndarray:
    """E_c's crop (224, 224, 3) uint8, bilinear from a picture without pixels to skip over.

    A large picture is first reduced by an area filter: one pixel of the crop covers two at most.
    Raises ValueError for five points that are none.
    """
    matrix = WIDER @ face_transform(five)
    covered = 1 / np.sqrt(np.linalg.det(matrix[:2, :2]))
    by = int(np.clip(np.ceil(covered / COVERED), 1, max(1, min(picture.size))))
    if by > 1:
        picture = picture.convert("RGB").reduce(by)
        # pixel centres are whole numbers: u of the reduced one is by u + (by - 1) / 2 of the other
        matrix = matrix @ np.array([[by, 0, (by - 1) / 2], [0, by, (by - 1) / 2], [0, 0, 1.0]])
    return warp(picture, matrix, WIDE)
