"""Reads the two released files, `msid` and `mapping`: names, shapes, validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import file_name, one_line, shown
from ..files.weights import CheckpointError, Shape, Source, cast_weight, check_weight, open_source

MSID, MAPPING = "msid", "mapping"
TITLES = {MSID: "the identity encoder (msid)", MAPPING: "the mapping network (mapping)"}
PROBES = {MSID: "patch_embed.proj.weight", MAPPING: "i2t_first.fc_out.weight"}
UNUSED = ("norm.weight", "norm.bias")
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class WeightFile:
    """A complete, validated file of one network, whose weights are not yet read."""

    kind: str
    file: Source
    shapes: dict[str, Shape]

    def tensors(self, dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
        """The weights by their official names, on the CPU, in memory of their own.

        dtype: None keeps the file's. Raises CheckpointError for values that are no finite floats.
        """
        found = {}
        for name, tensor in self.file.load(list(self.shapes)).items():
            check_weight(self.file.path, name, tensor)
            cast = cast_weight(self.file.path, name, tensor, dtype or _stored(tensor.dtype))
            # its own: what is memory-mapped would fail when the file changes
            found[name] = cast.clone() if cast is tensor else cast
        return found


def open_weights(path: str | Path, kind: str) -> WeightFile:
    """Open and validate a file (.pt, .safetensors) as `MSID` or `MAPPING`; no weight is read yet.

    Raises CheckpointError, in words for the person who chose the file.
    """
    file = open_source(Path(path))
    _check_kind(file, kind)
    expected = expected_shapes(kind)
    name = file_name(file.path)
    missing = [key for key in expected if key not in file.shapes]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise CheckpointError(
            f"{name} is incomplete: {TITLES[kind]} of Face2Diffusion has {', '.join(missing[:3])}"
            f"{more}, this file has not. Download it again."
        )
    for key, shape in expected.items():
        if file.shapes[key] != shape:
            raise CheckpointError(
                f"{name} is of another network: weight {key!r} has shape "
                f"{list(file.shapes[key])}, {TITLES[kind]} of Face2Diffusion has {list(shape)}. "
                "Choose the file that the authors released."
            )
    unknown = [
        key
        for key in file.shapes
        if key not in expected and key not in UNUSED and not key.endswith(COUNTER)
    ]
    if unknown:
        raise CheckpointError(
            f"{name} is of another network: it has a weight {shown(unknown[0])}, which "
            f"{TITLES[kind]} of Face2Diffusion has not. Choose the file that the authors released."
        )
    return WeightFile(kind, file, expected)


def expected_shapes(kind: str) -> dict[str, Shape]:
    """Every weight of `MSID` or `MAPPING` that is used, by its official name."""
    return dict(_msid() if kind == MSID else _mapping())


def _check_kind(file: Source, kind: str) -> None:
    """Tell swapped files, and files of anything else, before anything is said of details."""
    other = MAPPING if kind == MSID else MSID
    if PROBES[other] in file.shapes and PROBES[kind] not in file.shapes:
        raise CheckpointError(
            f"{file_name(file.path)} is {TITLES[other]}, but {TITLES[kind]} is needed here. Swap "
            "the two files."
        )
    if not any(key.split(".")[0] in _TOPS[kind] for key in file.shapes):
        some = (
            ", ".join(one_line(key, 100) for key in sorted(file.shapes)[:3]) or "no weights at all"
        )
        raise CheckpointError(
            f"{file_name(file.path)} is not {TITLES[kind]} of Face2Diffusion, which has "
            f"{PROBES[kind]!r}; this file has {some}. Choose {kind}.pt of the authors' release, or "
            "a .safetensors file made from it."
        )


def _stored(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype in (torch.float16, torch.bfloat16) else torch.float32


Named = Iterator[tuple[str, Shape]]

_TOPS = {
    MSID: ("cls_token", "pos_embed", "patch_embed", "blocks", "norms"),
    MAPPING: ("null_exp", "i2t_first", "i2t_last"),
}


def _layer(name: str, *weight: int) -> Named:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def _msid() -> Named:
    yield "cls_token", (1, 1, 384)
    yield "pos_embed", (1, 197, 384)
    yield from _layer("patch_embed.proj", 384, 3, 8, 8)
    for i in range(12):
        yield from _layer(f"blocks.{i}.norm1", 384)
        yield from _layer(f"blocks.{i}.attn.qkv", 1152, 384)
        yield from _layer(f"blocks.{i}.attn.proj", 384, 384)
        yield from _layer(f"blocks.{i}.norm2", 384)
        yield from _layer(f"blocks.{i}.mlp.fc1", 1536, 384)
        yield from _layer(f"blocks.{i}.mlp.fc2", 384, 1536)
    for depth in (2, 5, 8, 11):
        yield from _layer(f"norms.layer_{depth}.0", 384)
        yield f"norms.layer_{depth}.0.running_mean", (384,)
        yield f"norms.layer_{depth}.0.running_var", (384,)
        yield from _layer(f"norms.layer_{depth}.1", 384)


def _mapping() -> Named:
    yield "null_exp", (64,)
    for word in ("first", "last"):
        yield from _layer(f"i2t_{word}.layers.0.0", 1536, 1600)
        yield from _layer(f"i2t_{word}.layers.1.0", 1536, 1536)
        yield from _layer(f"i2t_{word}.fc_out", 768, 1536)
