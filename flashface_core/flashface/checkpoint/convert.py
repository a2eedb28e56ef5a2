"""Converts an official checkpoint to a compact one: what is needed, once, in the wanted dtype."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ...errors import reason
from ...files.weights import CheckpointError, cast_weight
from .reader import FORMAT_KEY, FORMAT_VERSION, open_checkpoint

Progress = Callable[[int, int], None]
"""Told after every weight how many numbers are done, and of how many."""

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def convert(
    source: Path,
    target: Path,
    dtype: torch.dtype,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `source` as a compact .safetensors file `target` with weights of `dtype`.

    The file appears under its name only when it is whole; what `progress` raises ends it without.
    Raises CheckpointError for a source that is no FlashFace checkpoint, a target that exists
    (unless `overwrite`), a target of another format, values that do not fit `dtype`, a folder that
    cannot be written, or a full disk.
    """
    _check_target(source, target, overwrite)
    checkpoint = open_checkpoint(source)
    numbers = sum(torch.Size(shape).numel() for shape in checkpoint.shapes.values())
    _check_space(target, numbers * dtype.itemsize)
    partial = _beside(target)
    try:
        tensors = _cast_all(checkpoint, dtype, numbers, progress)
        with _in_words(target):
            save_file(tensors, partial, metadata={"format": "pt", FORMAT_KEY: FORMAT_VERSION})
            with open(partial, "rb+") as file:
                os.fsync(file.fileno())
            _put(partial, target, overwrite)
    finally:
        partial.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """A new file to write, made before anything is read: a folder may not be for writing.

    Not by the process's number: in containers that share a folder, all may be number 1.
    """
    with _in_words(target):
        handle, name = tempfile.mkstemp(prefix=".converting-", suffix=".partial", dir=target.parent)
        os.close(handle)
        return Path(name)


@contextlib.contextmanager
def _in_words(target: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError) as error:  # the disk may have filled since the start
        raise CheckpointError(
            f"{target.name} could not be written in {target.parent}: {reason(error, target)}. "
            "Check that the folder can be written and its disk has room, or give another one."
        ) from error


def _put(partial: Path, target: Path, overwrite: bool) -> None:
    """Give the whole file its name, and the rights that a new file has, or the old one had."""
    new = not target.exists()
    if new or not overwrite:
        _reserve(target)
    try:
        partial.chmod(target.stat().st_mode & 0o777)
        os.replace(partial, target)
    except BaseException:
        if new:
            target.unlink(missing_ok=True)
        raise


def _cast_all(
    checkpoint, dtype: torch.dtype, numbers: int, progress: Progress | None
) -> dict[str, torch.Tensor]:
    tensors, done = {}, 0
    for name, tensor in checkpoint.tensors():
        cast = cast_weight(checkpoint.file.path, name, tensor, dtype)
        tensors[name] = cast.contiguous()
        done += tensor.numel()
        if progress is not None:
            progress(done, numbers)
    return tensors


def _reserve(target: Path) -> None:
    """Take the name, for the whole file to replace; somebody may have since the start."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise CheckpointError(
            f"{target} has come to exist while this was converted. Give another name."
        ) from None


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    if target.suffix.lower() != ".safetensors":
        raise CheckpointError(
            f"The compact file is a .safetensors file, but the target is {target.name}. "
            f"Give a name such as {target.with_suffix('.safetensors').name}."
        )
    if target.exists() and (not overwrite or target.samefile(source)):
        hint = (
            "Give another name" if not overwrite else "Source and target are one file; rename one"
        )
        extra = ", or --overwrite to replace it." if not overwrite else "."
        raise CheckpointError(f"{target} exists already. {hint}{extra}")
    if not target.parent.is_dir():
        raise CheckpointError(f"There is no folder {target.parent}. Make it, or give another one.")


def _check_space(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise CheckpointError(
            f"{target.parent} has {free / 1e9:.1f} GB free, the compact file needs "
            f"{needed / 1e9:.1f} GB. Free some space, or give a folder on another disk."
        )
