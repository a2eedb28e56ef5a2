"""A judge from outside: dlib's face encoder, which was trained on photos of real people.

It has seen none of the drawn people, and nothing that trains here has a part in it. Its libraries
are in requirements-judges.txt; its network is in the public domain. The five points that it levels
faces by are found by dlib from the face's box, so that paintings are treated as photos are.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

CHIP, PADDING = 150, 0.25  # what the encoder was trained on
FINER = 4  # points are whole pixels in dlib; pictures of 128 px are too coarse for that
SIDE, UPWARDS = 0.9, 0.05  # dlib's box beside ours, in widths and heights: its points fit best
NETWORK = "dlib_face_recognition_resnet_model_v1.dat"
POINTS = "shape_predictor_5_face_landmarks.dat"


@dataclass(frozen=True)
class DlibJudge:
    """dlib's encoder and its finder of five points."""

    dlib: Any
    encoder: Any
    points: Any

    def embed(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        """(B, 128) unit vectors of pictures (B, S, S, 3), uint8 or 0..1, and boxes (B, 4), pixels.

        About 0.13 s of a core for each, on the CPU.
        """
        if pictures.dtype != torch.uint8:
            pictures = (pictures.clamp(0, 1) * 255).round().to(torch.uint8)
        both = zip(pictures.cpu().numpy(), boxes.cpu().numpy(), strict=True)
        found = [self.encoder.compute_face_descriptor(self.chip(*each)) for each in both]
        return F.normalize(torch.tensor(np.array(found), dtype=torch.float32), dim=1)

    def chip(self, picture: np.ndarray, box: np.ndarray) -> np.ndarray:
        """The levelled face (150, 150, 3) of a picture (S, S, 3), uint8."""
        side = len(picture) * FINER
        image = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
        fine, (left, top, right, bottom) = np.asarray(image), box * FINER
        half = SIDE * (right - left) / 2
        x, y = (left + right) / 2, (top + bottom) / 2 - UPWARDS * (bottom - top)
        edges = (round(float(edge)) for edge in (x - half, y - half, x + half, y + half))
        points = self.points(fine, self.dlib.rectangle(*edges))
        return self.dlib.get_face_chip(fine, points, size=CHIP, padding=PADDING)


def load_dlib() -> DlibJudge:
    """dlib's encoder; raises ImportError, saying what to install, where it is not there."""
    weights = importlib.util.find_spec("face_recognition_models")
    if weights is None or importlib.util.find_spec("dlib") is None:
        raise ImportError(
            "dlib's encoder is not installed: python -m pip install -r requirements-judges.txt"
        )
    dlib: Any = importlib.import_module("dlib")
    # The package is only looked into: importing it needs pkg_resources, which is gone.
    folder = Path((weights.submodule_search_locations or [""])[0]) / "models"
    encoder = dlib.face_recognition_model_v1(str(folder / NETWORK))
    return DlibJudge(dlib, encoder, dlib.shape_predictor(str(folder / POINTS)))
