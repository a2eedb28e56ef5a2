"""Converts an official checkpoint to a compact one: what is needed, once, in the wanted dtype."""

import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from ...files.weights import CheckpointError, cast_weight
from .reader import FORMAT_KEY, FORMAT_VERSION, open_checkpoint

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def convert(source: Path, target: Path, dtype: torch.dtype, overwrite: bool = False) -> None:
    """Write `source` as a compact .safetensors file `target` with weights of `dtype`.

    The file appears under its name only when it is whole. A progress bar goes to stderr.
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
        tensors = _cast_all(checkpoint, dtype, numbers)
        save_file(tensors, partial, metadata={"format": "pt", FORMAT_KEY: FORMAT_VERSION})
        partial.chmod(mode)  # safetensors 0.8 leaves a file that only its owner can read
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _cast_all(checkpoint, dtype: torch.dtype, numbers: int) -> dict[str, torch.Tensor]:
    from tqdm import tqdm

    tensors = {}
    with tqdm(total=numbers, unit=" weights", unit_scale=True, desc="converting") as bar:
        for name, tensor in checkpoint.tensors():
            cast = cast_weight(checkpoint.file.path, name, tensor, dtype)
            tensors[name] = cast.contiguous()
            bar.update(tensor.numel())
    return tensors


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
