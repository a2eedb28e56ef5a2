"""Faces with YuNet through OpenCV's FaceDetectorYN: box, score and five landmarks, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...errors import file_name, reason
from ..boxes import Box
from .base import DetectorUnavailable, Face, Picture, as_pil
from .frame import detect_in_frames
from .native import open_yunet
from .trial import try_file


class YuNetDetector:
    """face_detection_yunet of OpenCV's model zoo (MIT licence)."""

    name = "yunet"

    def __init__(self, path: Path, size: int = 640):
        """Load it; raises DetectorUnavailable, whatever is wrong with the file."""
        self.path, self.size = path, size
        self._cv2 = library()
        try:
            try_file(path, "yunet", size, f"opencv {self._cv2.__version__}")
            # by content: OpenCV on Windows opens no path beyond ASCII
            content = np.frombuffer(path.read_bytes(), np.uint8)
            self._net = open_yunet(self._cv2, content, size)
        except Exception as error:
            raise _broken(path, error) from error

    @property
    def tried(self) -> str:
        return f"{self.path.name} at {self.size} x {self.size}, and again smaller with a border"

    def detect(self, image: Picture) -> list[Face]:
        """See `Detector.detect`."""
        return detect_in_frames(as_pil(image), self.size, self._frame)

    def _frame(self, frame: Image.Image) -> list[Face]:
        pixels = np.ascontiguousarray(np.asarray(frame)[:, :, ::-1])  # OpenCV wants BGR
        try:
            _, rows = self._net.detect(pixels)
            return [] if rows is None else [_face(row) for row in np.asarray(rows).tolist()]
        except Exception as error:
            raise _broken(self.path, error) from error


def _face(row: list[float]) -> Face:
    """x, y, width, height, five points (the eye at the left of the picture first), score."""
    x, y, width, height = row[:4]
    points = tuple((row[i], row[i + 1]) for i in range(4, 14, 2))
    return Face(Box(x, y, x + width, y + height), row[14], points)


def library() -> Any:
    """OpenCV; raises DetectorUnavailable where it is missing or too old."""
    try:
        import cv2

        cv2.FaceDetectorYN  # noqa: B018 - since OpenCV 4.5.4
    except Exception as error:  # builds for another numpy fail with anything
        raise DetectorUnavailable(
            f"The Python package opencv-python (4.8 or newer) is needed, and using it failed "
            f"({error}). CONTRIBUTING.md of this pack says how to install it into ComfyUI's "
            "Python without harm to others."
        ) from error
    return cv2


def _broken(path: Path, error: Exception) -> DetectorUnavailable:
    return DetectorUnavailable(
        f"{file_name(path)} cannot be used: {reason(error, path)}. The file is damaged or no YuNet "
        "model: get face_detection_yunet_2023mar.onnx from OpenCV's model zoo again, or set "
        "detection_size to 640."
    )
