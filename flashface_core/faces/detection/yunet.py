"""Faces with YuNet through OpenCV's FaceDetectorYN: box, score and five landmarks, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..boxes import Box
from .base import DetectorUnavailable, Face, Picture, as_pil
from .frame import NMS, WEAKEST, detect_in_frames

PER_CELL = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}  # numbers that the network gives


class YuNetDetector:
    """face_detection_yunet of OpenCV's model zoo (MIT licence)."""

    name = "yunet"

    def __init__(self, path: Path, size: int = 640):
        """Load it; raises DetectorUnavailable."""
        self.path, self.size = path, size
        self._cv2 = library()
        try:
            # by content: OpenCV on Windows opens no path beyond ASCII
            content = np.frombuffer(path.read_bytes(), np.uint8)
            _check_outputs(self._cv2, content, size)
            self._net = self._cv2.FaceDetectorYN.create(
                "onnx", content, np.empty(0, np.uint8), (size, size), WEAKEST, NMS, 5000
            )
        except (OSError, ValueError, self._cv2.error) as error:
            raise _broken(path, error) from error
        # Some builds of OpenCV 5 take no other size than the file's, and say so only now.
        self._frame(Image.new("RGB", (size, size)))

    @property
    def tried(self) -> str:
        return f"{self.path.name} at {self.size} x {self.size}, and again smaller with a border"

    def detect(self, image: Picture) -> list[Face]:
        """See `Detector.detect`."""
        return detect_in_frames(as_pil(image), self.size, self._frame)

    def _frame(self, frame: Image.Image) -> list[Face]:
        pixels = np.ascontiguousarray(np.asarray(frame)[:, :, ::-1])  # OpenCV wants BGR
        try:
            self._net.setInputSize((self.size, self.size))
            _, rows = self._net.detect(pixels)
        except self._cv2.error as error:
            raise _broken(self.path, error) from error
        return [] if rows is None else [_face(row) for row in np.asarray(rows).tolist()]


def _check_outputs(cv2: Any, content: np.ndarray, size: int) -> None:
    """Raise ValueError for a network whose outputs do not grow with its input.

    FaceDetectorYN reads as many numbers as its input size asks for, beyond the end of outputs that
    have fewer: nonsense, or the end of the process.
    """
    net = cv2.dnn.readNetFromONNX(content)
    names = net.getUnconnectedOutLayersNames()
    net.setInput(cv2.dnn.blobFromImage(np.zeros((size, size, 3), np.uint8)))
    for name, output in zip(names, net.forward(names), strict=True):
        kind, _, stride = name.partition("_")
        if kind in PER_CELL and stride.isdigit():
            expected = (size // int(stride)) ** 2 * PER_CELL[kind]
            if output.size != expected:
                raise ValueError(f"its output {name} does not fit {size} x {size}")


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
    text = " ".join(str(error).split())[:160]
    return DetectorUnavailable(
        f"{path} cannot be used: {text}. The file is damaged or no YuNet model: get "
        "face_detection_yunet_2023mar.onnx from OpenCV's model zoo again, or set detection_size "
        "to 640."
    )
