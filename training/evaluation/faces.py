"""Where the face is in a picture, by the pack's own detector: what Face Region is for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def find_faces(pictures: Tensor) -> list[list[float] | None]:
    """The surest face of each picture (B, S, S, 3), 0..1 or uint8: its box, None without one.

    scikit-image's cascade as the pack runs it; it was made for photos and finds no profiles.
    """
    from flashface_core.faces.detection import LbpDetector

    detector = LbpDetector()
    found: list[list[float] | None] = []
    for picture in as_bytes(pictures):
        faces = detector.detect(Image.fromarray(picture))
        best = max(faces, key=lambda face: face.score, default=None)
        found.append([best.box.x1, best.box.y1, best.box.x2, best.box.y2] if best else None)
    return found


def overlaps(found: Sequence[list[float] | None], boxes: Tensor) -> np.ndarray:
    """Intersection over union of each found box with the one of (B, 4): (B,), 0 where none is."""
    return np.array(
        [_overlap(a, b) if a else 0.0 for a, b in zip(found, boxes.tolist(), strict=True)]
    )


class Fit:
    """How the renders' boxes lie about those of the detector, learned from original photos.

    The two draw a face's edges differently; a judge's crop has to be of the renders' kind.
    """

    def __init__(self, found: Sequence[list[float] | None], boxes: Tensor) -> None:
        pairs = [(a, b) for a, b in zip(found, boxes.tolist(), strict=True)
                 if a and _overlap(a, b) > 0.3]  # fmt: skip
        self.moves = np.zeros(4)
        if pairs:
            moves = [(np.subtract(b, a)) / _sides(a) for a, b in pairs]
            self.moves = np.median(moves, axis=0)

    def boxes(self, found: Sequence[list[float] | None], otherwise: Tensor) -> Tensor:
        """Boxes (B, 4) of the renders' kind; where no face was found, those of `otherwise`."""
        own = [
            torch.tensor(np.add(a, self.moves * _sides(a)), dtype=otherwise.dtype) if a else b
            for a, b in zip(found, otherwise, strict=True)
        ]
        return torch.stack(own)


def as_bytes(pictures: Tensor) -> np.ndarray:
    """Pictures (B, S, S, 3) as uint8."""
    if pictures.dtype == torch.uint8:
        return pictures.numpy()
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _sides(box: Sequence[float]) -> np.ndarray:
    width, height = box[2] - box[0], box[3] - box[1]
    return np.array([width, height, width, height])


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = width * height
    areas = ((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return both / max(sum(areas) - both, 1e-9)
