"""Model folders of this pack, registered so that extra_model_paths.yaml can add to them."""

from __future__ import annotations

import os
import tempfile

import folder_paths

from ..flashface_core.demo.folder import FACESNAP_LANDMARKS, demo_folder
from ..flashface_core.faces.detection import ModelFolders

MODELS = "flashface"
REFERENCES = "flashface_references"
FACE2DIFFUSION = "face2diffusion"
IDENTITIES = "face2diffusion_identities"
FACESNAP = "facesnap"
FACESNAP_IDENTITIES = "facesnap_identities"
YUNET = ("face_detection", MODELS, "yunet", "facedetection", "detection", "onnx", "insightface")
"""Kinds of folders in which YuNet's small file is looked for: packs agree on none."""
EXTENSIONS = {".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin"}


def register() -> None:
    """Tell ComfyUI of the folders in models/ that are named above. Reads and makes nothing."""
    kept = {".safetensors"}
    kinds = {MODELS: EXTENSIONS, REFERENCES: kept, FACE2DIFFUSION: EXTENSIONS, IDENTITIES: kept}
    kinds |= {FACESNAP: kept, FACESNAP_IDENTITIES: kept}
    for name, extensions in kinds.items():
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))
        folder_paths.folder_names_and_paths[name][1].update(extensions)


def landmark_models() -> list[str]:
    """Files that may be landmark models of FaceSnap: those of the folder, and the embedded one."""
    names = folder_paths.get_filename_list(FACESNAP)
    paths = (folder_paths.get_full_path(FACESNAP, name) for name in names)
    embedded = demo_folder() / FACESNAP_LANDMARKS
    return [path for path in (*paths, str(embedded)) if path and os.path.isfile(path)]


def for_saving(name: str) -> str:
    """The folder of a kind that new files go to: the first one that can be written.

    Folders of extra_model_paths.yaml come first, and may be a share that is not for writing.
    """
    paths = folder_paths.get_folder_paths(name)
    return next((path for path in paths if _can_be_written(path)), paths[0])


def listed(name: str) -> list[str]:
    """All folders of a kind, in the order in which Load nodes look into them."""
    return folder_paths.get_folder_paths(name)


def _can_be_written(path: str) -> bool:
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)  # it is made when the first file is saved
    try:
        tempfile.TemporaryFile(dir=path).close()  # os.access knows no shares, nor Windows' rights
    except OSError:
        return False
    return True


def face_models() -> ModelFolders:
    """Where face detectors and recognition models may lie; the folders need not exist."""
    yunet = (path for name in YUNET for path in _paths(name))
    return ModelFolders(insightface=_paths("insightface"), yunet=tuple(dict.fromkeys(yunet)))


def _paths(name: str) -> tuple[str, ...]:
    """ComfyUI's own models/<name>, and what extra_model_paths.yaml or other packs add to it."""
    registered = folder_paths.folder_names_and_paths.get(name, ((), ()))[0]
    return tuple(dict.fromkeys((os.path.join(folder_paths.models_dir, name), *registered)))
