"""Where the models of face detection and recognition lie, told by their file names alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

DETECTION = ("det", "scrfd", "retinaface")
RECOGNITION = ("glint", "w600k", "arcface", "webface", "ms1m", "rec")  # the best ones first
PACKS = ("buffalo_l", "antelopev2", "buffalo_m", "buffalo_s", "buffalo_sc")
DEPTH = 4


@dataclass(frozen=True)
class ModelFolders:
    """Folders to look in, of which some may not exist.

    insightface: such as models/insightface, with packs in models/<pack>/, flat or nested.
    yunet: folders with face_detection_yunet*.onnx.
    """

    insightface: tuple[str, ...] = ()
    yunet: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFile:
    """An .onnx file of an insightface pack; pack is "" for one that lies outside of all."""

    path: Path
    pack: str

    def __str__(self) -> str:
        return f"{self.pack}/{self.path.name}" if self.pack else self.path.name


def detection_models(folders: ModelFolders) -> list[ModelFile]:
    """Face detection models, those of the usual packs first."""
    return _by_pack(_starting_with(DETECTION, folders))


def recognition_models(folders: ModelFolders, pack: str = "") -> list[ModelFile]:
    """Face recognition models: of `pack` first, then the strongest."""
    found = _by_pack(_starting_with(RECOGNITION, folders))
    return sorted(found, key=lambda m: (not pack or m.pack != pack, _rank(m.path, RECOGNITION)))


def yunet_models(folders: ModelFolders) -> list[Path]:
    """YuNet's files, the newest first, quantised ones last."""
    found = [
        path
        for folder in folders.yunet
        for path in _onnx_files(Path(folder))
        if "yunet" in path.name.lower()
    ]
    newest = sorted(found, key=lambda path: path.name.lower(), reverse=True)
    return sorted(newest, key=lambda path: "int8" in path.name.lower())


def fingerprint(folders: ModelFolders) -> str:
    """Changes when a model file is added, removed or replaced."""
    found = {*yunet_models(folders), *(model.path for model in detection_models(folders))}
    found |= {model.path for model in recognition_models(folders)}
    lines = []
    for path in sorted(found):
        with contextlib.suppress(OSError):  # removed since it was listed
            lines.append(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _starting_with(prefixes: Sequence[str], folders: ModelFolders) -> list[ModelFile]:
    return [
        ModelFile(path, _pack(path, Path(folder)))
        for folder in folders.insightface
        for path in _onnx_files(Path(folder))
        if path.name.lower().startswith(tuple(prefixes))
    ]


def _by_pack(models: list[ModelFile]) -> list[ModelFile]:
    usual = {name: i for i, name in enumerate(PACKS)}
    return sorted(models, key=lambda m: (usual.get(m.pack, len(PACKS)), str(m.path)))


def _rank(path: Path, prefixes: Sequence[str]) -> int:
    return next(i for i, prefix in enumerate(prefixes) if path.name.lower().startswith(prefix))


def _pack(path: Path, root: Path) -> str:
    """The folder of the pack: the first one below root/models (or root), however deep the file."""
    parts = path.relative_to(root).parts[:-1]
    return next((part for part in parts if part != "models"), "")


def _onnx_files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root, followlinks=True):
        deep = len(Path(folder).relative_to(root).parts) >= DEPTH  # links may go in circles
        below[:] = [] if deep else sorted(below)
        for name in sorted(names):
            path = Path(folder) / name
            # A link to what is not there, such as a cache that was emptied, is no model.
            if name.lower().endswith(".onnx") and not name.startswith(".") and os.path.isfile(path):
                yield path
