"""Weights in fp16, compressed without loss, for files that come with the pack.

An .npz of numpy's, with an array for each tensor. Of an fp16 tensor it has the low bytes of all
numbers, then the high ones, as uint8 (2, *shape): high bytes, which hold the exponents, resemble
each other, and deflate finds that only where they stand together. Small models become a sixth
smaller. Other tensors stand as they are; `__metadata__` is JSON as bytes.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import torch

from ..errors import file_name, reason
from .weights import CheckpointError, Shape

METADATA = "__metadata__"


class PackedSource:
    """A packed file, as `weights.Source`; tensors are read whole, not mapped."""

    def __init__(self, path: Path):
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                headers = {n.removesuffix(".npy"): _header(archive, n) for n in archive.namelist()}
            with np.load(path) as file:
                content = file[METADATA].tobytes()
            self.metadata: dict[str, str] = json.loads(content)
        except Exception as error:  # a damaged archive fails in the middle of anything
            raise _damaged(path, error) from error
        self.shapes: dict[str, Shape] = {n: s for n, s in headers.items() if n != METADATA}

    def load(self, names: list[str]) -> dict[str, torch.Tensor]:
        """The named tensors, on the CPU."""
        try:
            with np.load(self.path) as file:
                return {name: _as_tensor(file[name]) for name in names}
        except Exception as error:
            raise _damaged(self.path, error) from error


def write_packed(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write tensors under their names, the floating-point ones with a dimension as fp16."""
    arrays = {name: _as_array(tensor.detach().cpu()) for name, tensor in tensors.items()}
    arrays[METADATA] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _as_array(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.uint8:
        raise ValueError("A packed file tells fp16 by its bytes, and holds no tensors of uint8.")
    if not tensor.ndim or not tensor.is_floating_point():
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    pairs = tensor.half().contiguous().numpy().view(np.uint8).reshape(*tensor.shape, 2)
    return np.ascontiguousarray(np.moveaxis(pairs, -1, 0))


def _as_tensor(array: np.ndarray) -> torch.Tensor:
    if array.dtype != np.uint8:
        return torch.from_numpy(array)
    pairs = np.ascontiguousarray(np.moveaxis(array, 0, -1))
    return torch.from_numpy(pairs.view(np.float16).reshape(array.shape[1:]))


def _header(archive: zipfile.ZipFile, name: str) -> Shape:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(file)
    return tuple(shape[1:] if dtype == np.uint8 else shape)


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{file_name(path)} is not a readable file of this pack ({reason(error, path)}). It is "
        "incomplete or was changed: update or reinstall ComfyUI-FlashFace."
    )
