"""Two kinds of weight file behind one interface: shapes first, tensors in groups, memory-mapped.

A group's tensors map the file; when they are dropped (because they were cast, or copied to a
device) their pages go with them, so that reading a large file never needs more memory than one
group.
"""

import pickle
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from ..errors import for_users

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
        """Return the named tensors, on the CPU, in the file's own dtype."""
        ...


class SafetensorsSource:
    """A .safetensors file."""

    def __init__(self, path: Path):
        self.path = path
        try:
            with safe_open(path, framework="pt") as file:
                self.shapes = {
                    name: tuple(file.get_slice(name).get_shape()) for name in file.keys()
                }
                self.metadata: dict[str, str] = file.metadata() or {}
        except SafetensorError as error:
            raise CheckpointError(
                f"{path.name} is not a readable .safetensors file ({error}). It is incomplete or "
                "of another format: compare its size with the original's and download it again."
            ) from error

    def load(self, names: list[str]) -> dict[str, torch.Tensor]:
        with safe_open(self.path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}


class PickleSource:
    """A torch checkpoint (.ckpt, .pt, .pth, .bin), read with weights_only: no code of it runs."""

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            if file.read(len(ZIP_START)) != ZIP_START:
                raise CheckpointError(
                    f"{path.name} is not a torch checkpoint, or one of the old format of torch "
                    "before 1.6, which cannot be read in parts. Use the file of the authors' "
                    "release or a .safetensors file."
                )
        self.shapes = {
            name: tuple(value.shape)
            for name, value in self._read().items()
            if isinstance(value, torch.Tensor)
        }

    def load(self, names: list[str]) -> dict[str, torch.Tensor]:
        tensors = self._read()
        return {name: tensors[name] for name in names}

    def _read(self) -> dict[str, Any]:
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"{self.path.name} holds Python objects that are not weights, and code from a "
                "model file is never run. Use the file of the authors' release or a .safetensors "
                "file."
            ) from error
        except (RuntimeError, EOFError, OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.path.name} is not a readable torch checkpoint ({_first_line(error)}). It "
                "is incomplete or of another format: compare its size with the original's and "
                "download it again."
            ) from error
        if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
            content = content["state_dict"]
        if not isinstance(content, dict):
            raise CheckpointError(
                f"{self.path.name} holds a {type(content).__name__}, not a table of named weights. "
                "Use the file of the authors' release or a .safetensors file."
            )
        return content


def open_source(path: Path) -> Source:
    """Return the reader for a file, chosen by its extension.

    Raises CheckpointError for a missing, empty, unreadable or unknown kind of file.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}. Check the name and the folder.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path.name} is empty (0 bytes). Download or copy it again.")
    suffix = path.suffix.lower()
    if suffix in (".safetensors", ".sft"):
        return SafetensorsSource(path)
    if suffix in (".ckpt", ".pt", ".pth", ".bin"):
        return PickleSource(path)
    raise CheckpointError(
        f"{path.name} ends in {suffix or 'no extension'}; a model file of this pack ends "
        "in .safetensors, .ckpt or .pt. Rename it if it only lost its ending."
    )


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
