"""The file of a landmark model: its tensors, and the network that reads faces, where there is one.

landmarks.mean (72, 3), landmarks.shape (K_s, 72, 3), landmarks.expression (K_e, 72, 3)
encoder.*                                                                    optional
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import file_name, shown
from ..files.weights import CheckpointError, check_weight, open_source
from ..loaded import file_stamp
from .landmark_model import LandmarkModel
from .landmark_net import LandmarkNet
from .landmarks import COUNT, VERSION

KIND, KIND_VERSION = "facesnap_landmarks", "1"
CONFIG = "facesnap.config"
PARTS = ("mean", "shape", "expression")
ENCODER = "encoder."
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
        if tensor.is_floating_point():
            check_weight(source.path, key, tensor)
    parts = {n: tensors[f"landmarks.{n}"].double().numpy() for n in PARTS}
    model = LandmarkModel(**parts)
    state = {n.removeprefix(ENCODER): t for n, t in tensors.items() if n.startswith(ENCODER)}
    net = _network(name, state, len(model.shape), len(model.expression)) if state else None
    return LandmarkFile(name, str(file_stamp(str(path))), model, net, config_of(name, about))


def check_kind(name: str, about: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise CheckpointError where a file is no landmark model that this version reads."""
    if "facesnap" in about:
        raise CheckpointError(
            f"{name} is a FaceSnap model, not a landmark model: choose it in Load FaceSnap Model. "
            + REMEDY
        )
    if KIND not in about:
        some = ", ".join(sorted(shapes)[:3]) or "no weights at all"
        raise CheckpointError(f"{name} is no landmark model: it has {shown(some)}. {REMEDY}")
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
        if shape is None or shape[-2:] != (COUNT, 3) or len(shape) != wanted:
            raise CheckpointError(
                f"{name} is incomplete: landmarks.{part} should be ({many}{COUNT}, 3), and is "
                f"{shown(shape)}. Copy the file again."
            )


def config_of(name: str, about: Mapping[str, str]) -> dict[str, Any]:
    """What a file says of itself; raises CheckpointError where nobody can read it."""
    try:
        found = json.loads(about.get(CONFIG, "{}"))
    except ValueError:
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
    except (RuntimeError, KeyError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"The network of {name} is incomplete or of another form ({shown(str(error))}). Copy "
            "the file again."
        ) from error
    return net.requires_grad_(False)
