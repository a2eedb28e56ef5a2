"""Reads a FaceSnap model's file: names, shapes, validation. `model_config` has what it says.

mixer.*    the Facial Attribute Mixer        control.*    FFRNet, in a ControlNet's own names
face.*     the small face encoder, where one travels along

The prefix is `control.`, so that ComfyUI's ControlNet loader refuses the file instead of half using
it. Sizes come from shapes: small files take the same path as large ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..errors import file_name, one_line, shown
from ..files.weights import CheckpointError, Shape, Source, cast_weight, check_weight, open_source
from . import encoder
from .encoder import FaceEncoder
from .mixer import Mixer
from .model_config import Config, check_kind, metadata, read_config

__all__ = ["ModelFile", "compare_shapes", "metadata", "open_model"]

MIXER, CONTROL, FACE = "mixer.", "control.", "face."
COUNTER = "num_batches_tracked"
PROBES = ("mixer.queries", "control.zero_convs.0.0.weight", "control.input_hint_block.0.weight")
TO_CONTEXT = ".attn2.to_k.weight"
MOST_LAYERS, WIDEST = 64, 65536
AGAIN = "Copy or download the file again, or choose another one."


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A complete file of one set of sizes, whose weights are not yet read."""

    file: Source
    config: Config

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return file_name(self.file.path)

    @property
    def embedded(self) -> bool:
        """Whether the small face encoder is in the file."""
        return any(name.startswith(FACE) for name in self.file.shapes)

    def shapes(self, part: str) -> dict[str, Shape]:
        """The shapes of `MIXER`, `CONTROL` or `FACE`, by names without that prefix."""
        found = self.file.shapes.items()
        return {name.removeprefix(part): shape for name, shape in found if name.startswith(part)}

    def tensors(self, part: str, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """The weights of a part, on the CPU; those of the wanted dtype stay memory-mapped.

        dtype: None keeps the file's. Raises CheckpointError for values that are no finite floats.
        """
        names = [part + name for name in self.shapes(part)]
        found = {}
        for name, tensor in self.file.load(names).items():
            if not name.endswith(COUNTER):
                check_weight(self.file.path, name, tensor)
                if dtype is not None:
                    tensor = cast_weight(self.file.path, name, tensor, dtype)
            found[name.removeprefix(part)] = tensor
        return found

    def dtype(self, part: str) -> torch.dtype:
        """The dtype of a part's weights, as its largest one tells."""
        shapes = self.shapes(part)
        largest = part + max(shapes, key=lambda name: torch.Size(shapes[name]).numel())
        return self.file.load([largest])[largest].dtype

    @cached_property
    def face_fingerprint(self) -> str:
        """What tells one face encoder from another: by its weights, where it is in the file."""
        if not self.embedded:
            return self.config.face.fingerprint
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors(FACE).items()):
            if not name.endswith(COUNTER):
                digest.update(name.encode())
                digest.update(tensor.half().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def open_model(path: str | Path) -> ModelFile:
    """Open and validate a FaceSnap model; only metadata and shapes are read.

    Raises CheckpointError for files that are damaged, of another kind, or of a newer version.
    """
    file = open_source(Path(path))
    about: Mapping[str, str] = getattr(file, "metadata", {})
    name = file_name(file.path)
    check_kind(name, about, file.shapes)
    found = ModelFile(file, read_config(name, about))
    strange = [key for key in file.shapes if not key.startswith((MIXER, CONTROL, FACE))]
    if strange:
        raise CheckpointError(
            f"{name} has a weight {shown(strange[0])}, which this pack does not know. Update "
            "ComfyUI-FlashFace, or choose another file."
        )
    missing = [key for key in PROBES if key not in file.shapes]
    if missing:
        raise CheckpointError(f"{name} is incomplete: it lacks {missing[0]}. {AGAIN}")
    _check_mixer(found)
    _check_face(found)
    _check_context(found)
    return found


def compare_shapes(
    name: str, part: str, found: Mapping[str, Shape], expected: Mapping[str, Shape]
) -> None:
    """Raise CheckpointError where a part's weights are not those of the network it should be."""
    missing = [key for key in expected if key not in found]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        listed = ", ".join(part + key for key in missing[:3])
        raise CheckpointError(f"{name} is incomplete: it lacks {listed}{more}. {AGAIN}")
    for key, shape in found.items():
        if key not in expected:
            raise CheckpointError(
                f"{name} is of another network: it has a weight {shown(part + key)}, which "
                "FaceSnap has not. Choose another file, or update ComfyUI-FlashFace."
            )
        if shape != tuple(expected[key]):
            raise CheckpointError(
                f"{name} is of another network: weight {part + key} has shape {list(shape)}, "
                f"expected {list(expected[key])}. {AGAIN}"
            )


def _check_mixer(file: ModelFile) -> None:
    shapes, config = file.shapes(MIXER), file.config
    _, width = _sizes(file, MIXER, "queries", 2)
    has = {
        "reads faces of width": (_sizes(file, MIXER, "id_in.weight", 2)[1], config.face.width),
        "reads pictures of width": (
            _sizes(file, MIXER, "image_in.weight", 2)[1],
            config.image.width,
        ),
        "writes tokens of width": (_sizes(file, MIXER, "out.weight", 2)[0], config.text_width),
    }
    numbers = {name.split(".")[1] for name in shapes if name.startswith("layers.")}
    whole = numbers == {str(i) for i in range(len(numbers))} and 0 < len(numbers) <= MOST_LAYERS
    if not whole or width % 32:
        raise CheckpointError(
            f"{file.name} is of another network: its mixer is {width} wide, with layers "
            f"{one_line(', '.join(sorted(numbers)), 60) or 'none'}. {AGAIN}"
        )
    compare_shapes(file.name, MIXER, shapes, _shapes_like(Mixer, shapes))
    for part, (number, said) in has.items():
        if number != said:
            raise CheckpointError(
                f"{file.name} contradicts itself: its mixer {part} {number}, its config says "
                f"{said}. {AGAIN}"
            )


def _check_face(file: ModelFile) -> None:
    config, shapes = file.config, file.shapes(FACE)
    if bool(shapes) != config.embedded:
        has = "has one that nothing uses" if shapes else "has none"
        raise CheckpointError(
            f"{file.name} should carry a face encoder ({FACE}*) just where its config names "
            f"{encoder.NAME} or {encoder.MAP_NAME}; it {has}. {AGAIN}"
        )
    if not shapes:
        return
    _sizes(file, FACE, "stem.0.weight", 4)
    dims, _ = _sizes(file, FACE, "embedding.weight", 2)
    seen = _sizes(file, FACE, "map.weight", 4)[0]
    compare_shapes(file.name, FACE, shapes, _shapes_like(FaceEncoder, shapes))
    gives = {
        encoder.NAME: (config.face, (1, dims)),
        encoder.MAP_NAME: (config.image, (encoder.GRID**2, seen)),
    }
    for name, (said, (tokens, width)) in gives.items():
        if said.name == name and (said.tokens, said.width) != (tokens, width):
            raise CheckpointError(
                f"{file.name} contradicts itself: its face encoder gives {tokens} x {width} "
                f"numbers as {name}, its config says {said.tokens} x {said.width}. {AGAIN}"
            )


def _check_context(file: ModelFile) -> None:
    shapes = file.shapes(CONTROL)
    widths = {shape[-1] for name, shape in shapes.items() if name.endswith(TO_CONTEXT) and shape}
    if widths != {file.config.text_width}:
        raise CheckpointError(
            f"{file.name} contradicts itself: its FFRNet reads tokens of width {sorted(widths)}, "
            f"its config says {file.config.text_width}. {AGAIN}"
        )


def _sizes(file: ModelFile, part: str, name: str, dims: int) -> Shape:
    shape = file.file.shapes.get(part + name, ())
    if len(shape) != dims or not all(0 < size <= WIDEST for size in shape):
        raise CheckpointError(
            f"{file.name} is damaged or of another network: its weight {part + name} has shape "
            f"{list(shape)}, expected {dims} sizes. {AGAIN}"
        )
    return shape


def _shapes_like(kind: type[Mixer] | type[FaceEncoder], shapes: Mapping[str, Shape]) -> dict:
    """The shapes of a network whose sizes some weights' shapes say; it takes no memory."""
    with torch.device("meta"):
        net = kind.like({name: torch.empty(shape) for name, shape in shapes.items()})
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
