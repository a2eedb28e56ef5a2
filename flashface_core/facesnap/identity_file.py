"""A FaceSnap identity kept as one small .safetensors, to be used again without photos.

`files.saved` has the rules for names, writing and versions. Tensors: `face` (d) float32, `image`
(T, w) float16, `crops` (n, 112, 112, 3) uint8, `likeness` (n or 0) float64; with a face also
`face_shape` (K_s) and `face_detail` (72, 3) float64. The metadata say which encoders made it, and
which landmark model. Tokens are made anew, so that an identity outlives a retrained mixer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import one_line
from ..faces.align import SIZE
from ..files.saved import (
    FACESNAP_IDENTITY,
    SavedFileError,
    Tensors,
    open_person,
    save_person,
    tensor_words,
    within,
)
from .identity import Encoders, Identity
from .landmarks import COUNT
from .model_config import Encoder

REQUIRED = ("face", "image", "crops", "likeness")
OPTIONAL = ("face_shape", "face_detail")
LARGEST = {"crops": 255.0, "likeness": 1.001, "image": 65504.0}
FACE, IMAGE, PRINT, LANDMARKS = ("face_encoder", "image_encoder", "fingerprint", "landmark_model")
LONGEST = 10_000  # letters of an entry of the metadata


@dataclass(frozen=True, eq=False)
class SavedShape:
    """A person's face without pose or expression, in the terms of a landmark model.

    shape: (K_s,), detail: (72, 3). fingerprint: of that model, by its content.
    """

    shape: np.ndarray
    detail: np.ndarray
    fingerprint: str


def save_identity(
    identity: Identity,
    shape: SavedShape | None,
    folder: str | Path,
    name: str,
    listed: Sequence[str | Path] = (),
) -> tuple[Path, bool]:
    """Write an identity into `folder`; its path, and whether a new file was made.

    Raises SavedFileError for values that `load_identity` refuses; see `save_person`.
    """
    tensors = {
        "face": identity.face,
        "image": identity.image,
        "crops": identity.crops,
        "likeness": torch.tensor(identity.likeness, dtype=torch.float64),
    }
    about = _words(identity.encoders)
    if shape is not None:
        tensors["face_shape"] = torch.from_numpy(np.array(shape.shape, np.float64))
        tensors["face_detail"] = torch.from_numpy(np.array(shape.detail, np.float64))
        about[LANDMARKS] = shape.fingerprint
    fault = _fault(tensors, identity.encoders)
    if fault:
        raise SavedFileError(
            f"This identity cannot be saved: {fault}, and Load Identity would refuse it. Encode "
            "the face again."
        )
    return save_person(FACESNAP_IDENTITY, tensors, folder, name, listed, about)


def load_identity(path: str | Path) -> tuple[Identity, SavedShape | None]:
    """Read an identity that `save_identity` wrote, and the shape of the face, if there is one.

    Raises SavedFileError for files that are damaged, foreign, or of a newer version.
    """
    path = Path(path)
    with open_person(FACESNAP_IDENTITY, path) as file:
        names, about = set(file.keys()), file.metadata() or {}
        if not names.issuperset(REQUIRED) or not names.issubset(REQUIRED + OPTIONAL):
            raise FACESNAP_IDENTITY.foreign(
                path, f"its tensors are {one_line(', '.join(sorted(names)), 80)}"
            )
        encoders = _encoders(about)
        if encoders is None:
            raise FACESNAP_IDENTITY.foreign(path, "it does not say which encoders made it")
        parts = {name: file.get_tensor(name).clone() for name in names}
    fault = _fault(parts, encoders)
    if fault:
        raise FACESNAP_IDENTITY.foreign(path, fault)
    likeness = tuple(parts["likeness"].tolist())
    identity = Identity(encoders, parts["face"], parts["image"], parts["crops"], likeness)
    if "face_shape" not in parts:
        return identity, None
    shape, detail = (parts[name].numpy() for name in OPTIONAL)
    return identity, SavedShape(shape, detail, one_line(about.get(LANDMARKS, ""), 80))


def _words(encoders: Encoders) -> dict[str, str]:
    return {
        FACE: json.dumps(asdict(encoders.face)),
        IMAGE: json.dumps(asdict(encoders.image)),
        PRINT: encoders.fingerprint,
    }


def _encoders(about: Mapping[str, str]) -> Encoders | None:
    """What the metadata say of the encoders, None where they say nothing that makes sense."""
    found = []
    for key in (FACE, IMAGE):
        text = about.get(key, "")
        try:
            words: Any = json.loads(text) if len(text) <= LONGEST else None
            one = Encoder(
                one_line(words["name"], 80),
                int(words["width"]),
                int(words["tokens"]),
                one_line(words["fingerprint"], 80),
            )
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            return None
        found.append(one)
    return Encoders(found[0], found[1], one_line(about.get(PRINT, ""), 80))


def _fault(parts: Tensors, encoders: Encoders) -> str:
    """Why the parts are no identity's, "" where they are."""
    count = len(parts["crops"]) if parts["crops"].ndim else 0
    rows = len(parts["image"]) if parts["image"].ndim else 0
    if not count:
        return "it has no crops"
    if not rows or encoders.image.tokens < 1 or rows % encoders.image.tokens:
        return f"its 'image' has {rows} rows, not {encoders.image.tokens} for each photo"
    if len(parts.keys() & set(OPTIONAL)) == 1:
        return "half of its face's shape is gone"
    modes = parts["face_shape"].numel() if "face_shape" in parts else 0
    forms = {
        "face": (torch.float32, (encoders.face.width,)),
        "image": (torch.float16, (rows, encoders.image.width)),
        "crops": (torch.uint8, (count, SIZE, SIZE, 3)),
        "likeness": (torch.float64, (count if parts["likeness"].numel() else 0,)),
        "face_shape": (torch.float64, (modes,)),
        "face_detail": (torch.float64, (COUNT, 3)),
    }
    for name, tensor in parts.items():
        fits = (tensor.dtype, tuple(tensor.shape)) == forms[name]
        if not fits or not within(tensor, LARGEST.get(name, 1e30)):
            return f"its {name!r} is {tensor_words(tensor)} or has impossible values"
    return ""
