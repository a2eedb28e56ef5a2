"""Two kinds of weight file behind one interface: shapes first, tensors in groups, memory-mapped.

A group's tensors map the file; when they are dropped (because they were cast, or copied to a
device) their pages go with them, so that reading a large file never needs more memory than one
group.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open

from ..errors import file_name, for_users, one_line, reason, shown

Shape = tuple[int, ...]

ZIP_START = b"PK"
"""Torch has saved zip archives since 1.6; what came before cannot be memory-mapped."""


@for_users
class CheckpointError(ValueError):
    """A model file that cannot be used; the text says which, why, and what to do."""


class Source(Protocol):
    """A weight file that can be read in parts."""

    path: Path
    shapes: dict[str, Shape]

    def load(self, names: list[str]) -> dict[str, torch.Tensor]:
        """The named tensors, on the CPU, in the file's own dtype."""
        ...


class SafetensorsSource:
    """A .safetensors file."""

    def __init__(self, path: Path):
        self.path = path
        with self._open() as file:
            self.shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            self.metadata: dict[str, str] = file.metadata() or {}

    def load(self, names: list[str]) -> dict[str, torch.Tensor]:
        with self._open() as file:
            return {name: file.get_tensor(name) for name in names}

    @contextlib.contextmanager
    def _open(self) -> Iterator[safe_open]:
        try:
            with safe_open(self.path, framework="pt") as file:
                yield file
        except Exception as error:  # also dtypes that this torch has not, names beyond UTF-8
            raise CheckpointError(
                f"{file_name(self.path)} is not a readable .safetensors file "
                f"({reason(error, self.path)}). It is incomplete or of another format: compare its "
                "size with the original's and download it again."
            ) from error


class PickleSource:
    """A torch checkpoint (.ckpt, .pt, .pth, .bin), read with weights_only: no code of it runs.

    What is not a tensor under a name is left out.
    """

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            if file.read(len(ZIP_START)) != ZIP_START:
                raise CheckpointError(
                    f"{file_name(path)} is not a torch checkpoint, or one of the old format of "
                    "torch before 1.6, which cannot be read in parts. Use the file of the authors' "
                    "release or a .safetensors file."
                )
        self.shapes = {
            # a nested tensor has no shape
            name: () if value.is_nested else tuple(value.shape)
            for name, value in self._read().items()
        }

    def load(self, names: list[str]) -> dict[str, torch.Tensor]:
        tensors = self._read()
        for name in names:
            kind = _odd_kind(tensors[name])
            if kind:
                raise CheckpointError(
                    f"{file_name(self.path)} cannot be used: its weight {shown(name)} is a {kind} "
                    "tensor, not plain numbers. Use the file of the authors' release or a "
                    ".safetensors file."
                )
        return {name: tensors[name] for name in names}

    def _read(self) -> dict[str, torch.Tensor]:
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"{file_name(self.path)} holds Python objects that are not weights, and code from "
                "a model file is never run. Use the file of the authors' release or a .safetensors "
                "file."
            ) from error
        except Exception as error:  # a damaged pickle fails in the middle of anything
            raise CheckpointError(
                f"{file_name(self.path)} is not a readable torch checkpoint "
                f"({reason(error, self.path)}). It is incomplete or of another format: compare its "
                "size with the original's and download it again."
            ) from error
        if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
            content = content["state_dict"]
        if not isinstance(content, dict):
            raise CheckpointError(
                f"{file_name(self.path)} holds a {type(content).__name__}, not a table of named "
                "weights. Use the file of the authors' release or a .safetensors file."
            )
        return {
            name: value
            for name, value in content.items()
            if isinstance(name, str) and isinstance(value, torch.Tensor)
        }


def _odd_kind(tensor: torch.Tensor) -> str:
    """What keeps a tensor from being plain numbers in memory, "" for nothing."""
    if tensor.is_nested:
        return "nested"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.is_quantized:
        return "quantized"
    return "" if tensor.device.type == "cpu" else f"{tensor.device.type} (empty)"


FLOATS = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.float8_e4m3fn, torch.float8_e5m2,
)  # fmt: skip


def check_weight(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Raise CheckpointError for a weight that is no floats, or has NaN or infinite values."""
    if tensor.dtype not in FLOATS:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{file_name(path)} cannot be used: its weight {shown(name)} holds {kind}, not "
            "floating-point numbers. Use the file of the authors' release or one converted from it."
        )
    if not torch.isfinite(_ends(tensor)).all():
        raise CheckpointError(
            f"{file_name(path)} is damaged: its weight {shown(name)} has NaN or infinite values. "
            "Download it again, or convert it again from the original."
        )


def cast_weight(
    path: Path,
    name: str,
    tensor: torch.Tensor,
    dtype: torch.dtype,
    device: torch.device | None = None,
) -> torch.Tensor:
    """A finite weight in another dtype, on `device`; the very same where nothing changes.

    Raises CheckpointError for values that are too large for it.
    """
    if torch.finfo(dtype).max < torch.finfo(tensor.dtype).max:
        ends = _ends(tensor)
        if not torch.isfinite(ends.to(dtype).float()).all():
            kind = str(dtype).removeprefix("torch.")
            raise CheckpointError(
                f"Weight {shown(name)} of {file_name(path)} has values too large for {kind} (up to "
                f"{float(ends.abs().max()):.3g}). Choose bf16 or fp32."
            )
    return tensor.to(device or tensor.device, dtype)


def _ends(tensor: torch.Tensor) -> torch.Tensor:
    """The least and the greatest value (2,), both NaN where one is: one pass, and no copy."""
    if not tensor.numel():
        return torch.zeros(2)
    wide = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # torch lacks it for 8 bits
    return torch.stack(torch.aminmax(wide)).double()


def open_source(path: Path) -> Source:
    """The reader for a file, chosen by its extension.

    Raises CheckpointError for a missing, empty, unreadable or unknown kind of file.
    """
    if not path.is_file():
        raise CheckpointError(
            f"There is no file {one_line(path, 400)}. Check the name and the folder."
        )
    if path.stat().st_size == 0:
        raise CheckpointError(f"{file_name(path)} is empty (0 bytes). Download or copy it again.")
    suffix = path.suffix.lower()
    if suffix in (".safetensors", ".sft"):
        return SafetensorsSource(path)
    if suffix in (".ckpt", ".pt", ".pth", ".bin"):
        return PickleSource(path)
    if suffix == ".npz":
        from .packed import PackedSource

        return PackedSource(path)
    raise CheckpointError(
        f"{file_name(path)} ends in {one_line(suffix) or 'no extension'}; a model file of this "
        "pack ends in .safetensors, .ckpt or .pt. Rename it if it only lost its ending."
    )
