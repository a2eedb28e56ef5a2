"""The file of a landmark model: its tensors, and the network that reads faces, where there is one.

landmarks.mean (72, 3), landmarks.shape (K_s, 72, 3), landmarks.expression (K_e, 72, 3)
encoder.*                                                                    optional
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import file_name, one_line, shown
from ..files.weights import CheckpointError, check_weight, open_source
from .landmark_model import LandmarkModel
from .landmark_net import LandmarkNet
from .landmarks import COUNT, VERSION, eye_distance
from .model_config import KEY, OTHERS

KIND, KIND_VERSION = "facesnap_landmarks", "1"
CONFIG = "facesnap.config"
PARTS = ("mean", "shape", "expression")
LONGEST = 100_000  # letters that a file may say of itself
ENCODER = "encoder."
COUNTER = "num_batches_tracked"
MOST = 3 * COUNT  # directions that points can move in
LARGEST, FAR = 100.0, 2.0  # distances of the eyes: of any number, and of the eyes or its inverse
REMEDY = "Choose a landmark model of FaceSnap, or Load FaceSnap Demo's."


@dataclass(frozen=True, eq=False)
class LandmarkFile:
    """What a FACESNAP_LANDMARK_MODEL socket carries. net: None where the file has none."""

    name: str
    fingerprint: str
    model: LandmarkModel = field(repr=False)
    net: LandmarkNet | None = field(repr=False)
    config: dict[str, Any] = field(repr=False)


def tensors_of(model: LandmarkModel, net: LandmarkNet | None) -> dict[str, torch.Tensor]:
    """The tensors of a file."""
    found = {f"landmarks.{n}": torch.from_numpy(getattr(model, n)).float() for n in PARTS}
    state = net.state_dict() if net is not None else {}
    return found | {ENCODER + name: tensor for name, tensor in state.items()}


def metadata(config: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a file: its kind, and what is known of it."""
    return {KIND: KIND_VERSION, CONFIG: json.dumps(dict(config))}


def load_landmark_model(path: str | Path) -> LandmarkFile:
    """Read a landmark model; the network is ready to look, on the CPU.

    Raises CheckpointError for a file that is damaged, of another kind, or of a newer version.
    """
    source = open_source(Path(path))
    name, about = file_name(source.path), getattr(source, "metadata", {})
    check_kind(name, about, source.shapes)
    tensors = source.load(list(source.shapes))
    for key, tensor in tensors.items():
        if not key.endswith(COUNTER):
            check_weight(source.path, key, tensor)
    parts = {n: tensors[f"landmarks.{n}"].double().numpy() for n in PARTS}
    model = LandmarkModel(**parts)
    _check_units(name, model)
    state = {n.removeprefix(ENCODER): t for n, t in tensors.items() if n.startswith(ENCODER)}
    net = _network(name, state, len(model.shape), len(model.expression)) if state else None
    return LandmarkFile(name, fingerprint(model), model, net, config_of(name, about))


def _check_units(name: str, model: LandmarkModel) -> None:
    """Raise CheckpointError for numbers that are not in distances of the eyes."""
    largest = max(float(np.abs(getattr(model, part)).max(initial=0.0)) for part in PARTS)
    apart = eye_distance(model.mean)
    if largest > LARGEST or not 1 / FAR < apart < FAR:
        raise CheckpointError(
            f"{name} is damaged: its eyes should be 1 apart and its points near them, but they are "
            f"{apart:.3g} apart, with numbers up to {largest:.3g}. Copy the file again."
        )


def fingerprint(model: LandmarkModel) -> str:
    """What tells a landmark model from others, however exactly its numbers are stored."""
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update(np.ascontiguousarray(getattr(model, part), np.float16).tobytes())
    return digest.hexdigest()[:16]


def check_kind(name: str, about: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError where a file is no landmark model that this version reads."""
    if KIND not in about:
        others = OTHERS | {KEY: "a FaceSnap model. Choose it in Load FaceSnap Model"}
        other = next((what for key, what in others.items() if key in about), "")
        if other:
            raise CheckpointError(f"{name} is no landmark model, but {other}.")
        some = ", ".join(one_line(key, 60) for key in sorted(shapes)[:3]) or "no weights at all"
        raise CheckpointError(f"{name} is no landmark model: it has {some}. {REMEDY}")
    if about[KIND] != KIND_VERSION:
        raise CheckpointError(
            f"{name} is of version {shown(about[KIND])} of landmark models, this pack reads "
            f"version {KIND_VERSION}. Update ComfyUI-FlashFace."
        )
    version = config_of(name, about).get("landmarks", VERSION)
    if version != VERSION:
        raise CheckpointError(
            f"{name} has landmarks of the order {shown(version)}, this pack those of {VERSION}. "
            "Update ComfyUI-FlashFace."
        )
    for part in PARTS:
        shape = shapes.get(f"landmarks.{part}")
        many, wanted = ("", 2) if part == "mean" else ("K, ", 3)
        fits = shape is not None and shape[-2:] == (COUNT, 3) and len(shape) == wanted
        if shape is None or not fits or (len(shape) > 2 and shape[0] > MOST):
            raise CheckpointError(
                f"{name} is incomplete or of another form: landmarks.{part} should be "
                f"({many}{COUNT}, 3), and is {shown(shape)}. Copy the file again."
            )
    known = {f"landmarks.{part}" for part in PARTS}
    strange = [key for key in shapes if key not in known and not key.startswith(ENCODER)]
    if strange:
        raise CheckpointError(
            f"{name} has a weight {shown(strange[0])}, which this pack does not know. Update "
            "ComfyUI-FlashFace, or choose another file."
        )


def config_of(name: str, about: Mapping[str, str]) -> dict[str, Any]:
    """What a file says of itself; raises CheckpointError where nobody can read it."""
    try:
        text = about.get(CONFIG, "{}")
        found = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CheckpointError(f"What {name} says of itself cannot be read. Copy the file again.")
    return found


def _network(name: str, state: dict[str, torch.Tensor], shapes: int, expressions: int) -> Any:
    try:
        floats = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
        net = LandmarkNet.from_state(floats, shapes)
        if net.sizes[1] != expressions:
            raise ValueError(f"{net.sizes[1]} numbers of expression beside {expressions}")
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"The network of {name} is incomplete or of another form ({shown(str(error))}). Copy "
            "the file again."
        ) from error
    return net.requires_grad_(False)
