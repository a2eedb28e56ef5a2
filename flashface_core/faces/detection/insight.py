"""Faces with insightface's SCRFD and RetinaFace models: box, score and five landmarks."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ..boxes import Box
from .base import Face, Picture, as_pil
from .files import ModelFile
from .frame import detect_in_frames
from .native import NMS, WEAKEST
from .onnx_model import OnnxModel


class InsightFaceDetector:
    """A detection model of an insightface pack."""

    name = "insightface"

    def __init__(self, file: ModelFile, provider: str = "auto", size: int = 640):
        """Load it; raises DetectorUnavailable."""
        self.file, self.provider, self.size = file, provider, size
        self.model = OnnxModel(file, "detection", provider, size)

    @property
    def tried(self) -> str:
        return f"{self.file} at {self.size} x {self.size}, and again smaller with a border"

    def detect(self, image: Picture) -> list[Face]:
        """See `Detector.detect`."""
        return detect_in_frames(as_pil(image), self.size, self._frame)

    def _frame(self, frame: Image.Image) -> list[Face]:
        pixels = np.ascontiguousarray(np.asarray(frame)[:, :, ::-1])  # insightface wants BGR
        return self.model.run(lambda model: _detect(model, pixels))


def _detect(model: Any, pixels: np.ndarray) -> list[Face]:
    """The faces of a square BGR picture."""
    size = (pixels.shape[1], pixels.shape[0])
    # a context id of 0 leaves the provider as it is
    model.prepare(0, input_size=size, det_thresh=WEAKEST, nms_thresh=NMS)
    # (N, 5) boxes with scores, and (N, 5, 2) landmarks or None
    boxes, points = model.detect(pixels, input_size=None)
    faces = []
    for i, (x1, y1, x2, y2, score) in enumerate(boxes.tolist()):
        landmarks = None if points is None else tuple((x, y) for x, y in points[i].tolist())
        faces.append(Face(Box(x1, y1, x2, y2), score, landmarks))
    return faces
