"""Loads a face detector by name; says what is missing, where it goes, and what works instead."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from . import onnx_model, yunet
from .base import Detector, DetectorUnavailable
from .files import ModelFolders, detection_models, yunet_models
from .insight import InsightFaceDetector
from .lbp import LbpDetector
from .yunet import YuNetDetector

log = logging.getLogger(__name__)
T = TypeVar("T")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Settings:
    """Where models are, and how a detector runs. size: side of its input in pixels."""

    folders: ModelFolders = field(default_factory=ModelFolders)
    provider: str = "auto"
    size: int = 640


def load_detector(name: str = "auto", settings: Settings | None = None) -> Detector:
    """The detector `name` of `DETECTORS`; "auto" takes the best one that works here.

    Raises DetectorUnavailable, which names the missing package or file, where the file can be had,
    where it goes, and the detectors that work now.
    """
    settings = settings or Settings()
    if name != "auto":
        return _named(name, settings)
    problems = []
    for choice in _LOADERS:
        try:
            detector = _LOADERS[choice](settings)
        except DetectorUnavailable as error:
            level = logging.WARNING if _has_files(choice, settings.folders) else logging.DEBUG
            log.log(level, "The face detector %s does not work here: %s", choice, error)
            problems.append(f"{choice}: {error}")
            continue
        if detector.name == "lbp":
            log.info(
                "Using the built-in face detector, which sees frontal faces. insightface and yunet "
                "find more and level the eyes; choose one in Load Face Detector to be told what "
                "it needs."
            )
        return detector
    raise DetectorUnavailable("No face detector works here.\n" + "\n".join(problems))


def working_detectors(folders: ModelFolders) -> list[str]:
    """Names of the detectors whose packages and files are there; nothing is loaded."""
    return [
        name
        for name, packages in _PACKAGES.items()
        if all(map(_installed, packages)) and (name == "lbp" or _has_files(name, folders))
    ]


def _named(name: str, settings: Settings) -> Detector:
    try:
        return _LOADERS[name](settings)
    except DetectorUnavailable as error:
        others = [other for other in working_detectors(settings.folders) if other != name]
        now = f"Works right now: {', '.join(others)}." if others else "No other one works either."
        raise DetectorUnavailable(f"The face detector {name} cannot run. {error} {now}") from error


def _insightface(settings: Settings) -> Detector:
    files = detection_models(settings.folders)
    if not files:
        raise DetectorUnavailable(
            "No detection model (det_*.onnx, scrfd_*.onnx or retinaface_*.onnx) was found in "
            f"{_places(settings.folders.insightface, 'models', '<pack>')}. Get the pack "
            "'buffalo_l' or 'antelopev2' from the releases of the insightface project on GitHub "
            "('model zoo') and unpack it there. "
            f"Mind the licence: {onnx_model.LICENCE}."
        )
    onnx_model.library()
    return first_that_loads(
        files, lambda file: InsightFaceDetector(file, settings.provider, settings.size)
    )


def _yunet(settings: Settings) -> Detector:
    files = yunet_models(settings.folders)
    if not files:
        raise DetectorUnavailable(
            "No face_detection_yunet*.onnx was found in "
            f"{_places(settings.folders.yunet[:2])}. Get face_detection_yunet_2023mar.onnx from "
            "OpenCV's model zoo (opencv_zoo on GitHub; 230 kB, MIT licence) and put it there."
        )
    yunet.library()
    return first_that_loads(files, lambda file: YuNetDetector(file, settings.size))


def first_that_loads(files: Sequence[T], make: Callable[[T], Made]) -> Made:
    """What `make` gives for the first file that it takes; the first one's error if it takes none.

    files: at least one. make: raises DetectorUnavailable. Files that were passed over are logged.
    """
    errors = []
    for file in files:
        try:
            made = make(file)
        except DetectorUnavailable as error:
            errors.append(error)
            continue
        for error in errors:
            log.warning("Passed over for %s: %s", file, error)
        return made
    raise errors[0]


def _lbp(settings: Settings) -> Detector:
    detector = LbpDetector()
    detector.check()
    return detector


_LOADERS: dict[str, Callable[[Settings], Detector]] = {
    "insightface": _insightface,
    "yunet": _yunet,
    "lbp": _lbp,
}
_PACKAGES = {
    "insightface": ("insightface", "onnxruntime", "cv2"),
    "yunet": ("cv2",),
    "lbp": ("skimage",),
}
DETECTORS = ("auto", *_LOADERS)


def _has_files(name: str, folders: ModelFolders) -> bool:
    finders = {"insightface": detection_models, "yunet": yunet_models}
    return name in finders and bool(finders[name](folders))


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _places(folders: tuple[str, ...], *below: str) -> str:
    return " or ".join(os.path.join(folder, *below) for folder in folders) or "any model folder"
