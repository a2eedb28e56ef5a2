"""Converts an official checkpoint to a compact one: what is needed, once, in the wanted dtype."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
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
    (unless `overwrite`), a target of another format, values that do not fit `dtype`, or a full
    disk.
    """
    _check_target(source, target, overwrite)
    checkpoint = open_checkpoint(source)
    numbers = sum(torch.Size(shape).numel() for shape in checkpoint.shapes.values())
    _check_space(target, numbers * dtype.itemsize)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        tensors = _cast_all(checkpoint, dtype, numbers, progress)
        _write(tensors, partial, target)
        partial.chmod(mode)  # safetensors 0.8 leaves a file that only its owner can read
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        if not overwrite:
            _reserve(target)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _write(tensors: dict[str, torch.Tensor], partial: Path, target: Path) -> None:
    try:
        save_file(tensors, partial, metadata={"format": "pt", FORMAT_KEY: FORMAT_VERSION})
    except (SafetensorError, OSError) as error:  # the disk may have filled since the start
        raise CheckpointError(
            f"{target.name} could not be written in {target.parent}: {reason(error, partial)}. "
            "Check that the folder can be written and its disk has room."
        ) from error


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
