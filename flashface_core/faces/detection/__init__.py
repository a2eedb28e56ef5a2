"""Face detectors behind one small interface; each imports its library when first used."""

from __future__ import annotations

from .base import ORDERS, Detector, DetectorUnavailable, Face, order_faces
from .files import ModelFolders, fingerprint
from .lbp import LbpDetector
from .load import DETECTORS, Settings, first_that_loads, load_detector, working_detectors
from .onnx_model import PROVIDERS

__all__ = [
    "DETECTORS",
    "ORDERS",
    "PROVIDERS",
    "Detector",
    "DetectorUnavailable",
    "Face",
    "LbpDetector",
    "ModelFolders",
    "Settings",
    "fingerprint",
    "first_that_loads",
    "load_detector",
    "order_faces",
    "working_detectors",
]
