"""Reads a FlashFace checkpoint, official or compact, under the names of `keys`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ...errors import file_name, one_line, shown
from ...files.weights import CheckpointError, Shape, Source, check_weight, open_source
from .keys import FIRST_CONV, MASK_CONV, OFFICIAL_FIRST_CONV, from_official
from .layout import Sizes, expected_shapes

FORMAT_KEY = "flashface_format"
FORMAT_VERSION = "1"
GROUP_BYTES = 384 * 1024**2

UNET = "unet."
TEXT_PROBE = "unet.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
LEVEL_PROBES = tuple(f"unet.input_blocks.{index}.0.out_layers.3.weight" for index in (1, 4, 7, 10))


@dataclass(frozen=True)
class Checkpoint:
    """A validated FlashFace checkpoint: complete, of one set of sizes, not yet read.

    shapes: our name -> shape of every weight. `sources`: our name -> name in the file.
    """

    file: Source
    sizes: Sizes
    shapes: dict[str, Shape]
    sources: dict[str, str]

    def tensors(self, prefixes: tuple[str, ...] = ("",)) -> Iterator[tuple[str, torch.Tensor]]:
        """Yield (our name, tensor) for the names that start with a prefix, in the file's dtype.

        The first convolution comes without its mask channel, which comes as `mask_conv.weight`.
        Memory-mapped: drop a tensor, or cast it, before asking for many more.
        Raises CheckpointError where a tensor is no floats, or has NaN or infinite values.
        """
        wanted = [name for name in self.shapes if name.startswith(prefixes)]
        for group in self._groups(wanted):
            loaded = self.file.load(sorted({self.sources[name] for name in group}))
            for name in group:
                tensor = loaded[self.sources[name]]
                if self.sources[name] == OFFICIAL_FIRST_CONV:
                    channels = self.sizes.channels
                    tensor = tensor[:, channels:] if name == MASK_CONV else tensor[:, :channels]
                    tensor = tensor.contiguous()
                check_weight(self.file.path, self.sources[name], tensor)
                yield name, tensor
            del loaded

    def dtype(self) -> torch.dtype:
        """The dtype of the file's weights, as told by the first convolution."""
        source = self.sources[FIRST_CONV]
        return self.file.load([source])[source].dtype

    def _groups(self, names: list[str]) -> Iterator[list[str]]:
        group: list[str] = []
        size = 0
        for name in names:
            group.append(name)
            size += 4 * torch.Size(self.shapes[name]).numel()
            if size >= GROUP_BYTES:
                yield group
                group, size = [], 0
        if group:
            yield group


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open and validate a FlashFace checkpoint; no weight is read yet.

    Accepts the official .ckpt and .safetensors and this project's compact .safetensors. Sizes are
    read from the tensors' shapes.
    Raises CheckpointError, in words for the person who chose the file.
    """
    file = open_source(Path(path))
    sources = _our_names(file)
    shapes = {name: file.shapes[source] for name, source in sources.items()}
    _check_ranks(file, shapes, sources)
    channels_in = shapes[FIRST_CONV][1]
    if sources[FIRST_CONV] == OFFICIAL_FIRST_CONV:
        width = shapes[FIRST_CONV][0]
        shapes[FIRST_CONV] = (width, channels_in - 1, 3, 3)
        shapes[MASK_CONV] = (width, 1, 3, 3)
        sources[MASK_CONV] = OFFICIAL_FIRST_CONV
    sizes = _read_sizes(file, shapes)
    _check_complete(file, shapes, sources, expected_shapes(sizes))
    expected = expected_shapes(sizes)
    return Checkpoint(file, sizes, expected, {name: sources[name] for name in expected})


def open_unet(path: str | Path) -> Checkpoint:
    """Open a file of the same names that holds a plain UNet, `unet.*`, and need hold no more.

    Raises CheckpointError as `open_checkpoint` does.
    """
    file = open_source(Path(path))
    shapes = {name: shape for name, shape in file.shapes.items() if name.startswith(UNET)}
    names = {name: name for name in shapes}
    if FIRST_CONV not in shapes:
        raise _missing(file, [FIRST_CONV])
    _check_ranks(file, shapes, names)
    sizes = _read_sizes(file, shapes)
    expected = {n: shape for n, shape in expected_shapes(sizes).items() if n.startswith(UNET)}
    _check_complete(file, shapes, names, expected)
    return Checkpoint(file, sizes, expected, {name: name for name in expected})


def _our_names(file: Source) -> dict[str, str]:
    if OFFICIAL_FIRST_CONV in file.shapes:
        names = {}
        for source in file.shapes:
            try:
                name = from_official(source)
            except KeyError:
                continue  # training states and the like beside the weights
            if name is not None:
                names[name] = source
        return names
    if FIRST_CONV in file.shapes and MASK_CONV in file.shapes:
        _check_version(file)
        return {name: name for name in file.shapes}
    some = ", ".join(one_line(name, 100) for name in sorted(file.shapes)[:3]) or "no weights at all"
    raise CheckpointError(
        f"{file_name(file.path)} is not a FlashFace checkpoint: a FlashFace checkpoint has "
        f"{OFFICIAL_FIRST_CONV!r} (official) or {MASK_CONV!r} (compact), this file has {some}. "
        f"{_advice(file)}"
    )


def _advice(file: Source) -> str:
    if any(name.startswith("model.diffusion_model.") for name in file.shapes):
        return (
            "It holds a Stable Diffusion model, such as Save Checkpoint writes of a MODEL. Load it "
            "with Load Checkpoint or Load Diffusion Model, and take FLASHFACE_MODEL from the "
            "original FlashFace file, as before."
        )
    return "Choose flashface.ckpt, flashface.safetensors or a file converted from them."


def _check_version(file: Source) -> None:
    version = getattr(file, "metadata", {}).get(FORMAT_KEY, FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{file_name(file.path)} is a compact FlashFace file of format "
            f"{one_line(version, 20)}; this version of the pack reads format {FORMAT_VERSION}. "
            "Update the pack, or convert the original again."
        )


def _check_ranks(file: Source, shapes: dict[str, Shape], sources: dict[str, str]) -> None:
    """Refuse what sizes cannot be read from."""
    for name in (FIRST_CONV, TEXT_PROBE, *LEVEL_PROBES):
        shape = shapes.get(name, (1, 1, 1, 1))
        if len(shape) < 2 or 0 in shape:
            raise CheckpointError(
                f"{file_name(file.path)} is not a FlashFace checkpoint for SD1.5: weight "
                f"{shown(sources[name])} has shape {list(shape)}. Choose another file."
            )


def _read_sizes(file: Source, shapes: dict[str, Shape]) -> Sizes:
    missing = [name for name in (TEXT_PROBE, *LEVEL_PROBES) if name not in shapes]
    if missing:
        raise _missing(file, missing)
    width, channels = shapes[FIRST_CONV][:2]
    multipliers = tuple(shapes[name][0] // width for name in LEVEL_PROBES)
    return Sizes(width, shapes[TEXT_PROBE][1], multipliers, channels)


def _check_complete(
    file: Source, shapes: dict[str, Shape], sources: dict[str, str], expected: dict[str, Shape]
) -> None:
    missing = [name for name in expected if name not in shapes]
    if missing:
        raise _missing(file, missing)
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise CheckpointError(
                f"{file_name(file.path)} is not a FlashFace checkpoint for SD1.5: weight "
                f"{shown(sources[name])} has shape {list(shapes[name])}, expected {list(shape)}. "
                "Choose another file."
            )


def _missing(file: Source, names: list[str]) -> CheckpointError:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return CheckpointError(
        f"{file_name(file.path)} is incomplete: it lacks {', '.join(names[:3])}{more}. "
        "Download it again, or convert it again from the original."
    )
