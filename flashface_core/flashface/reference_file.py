"""A reference kept as one small .safetensors, to be used again without VAE or photos.

`files.saved` has the rules for names, writing and versions. Person i has the tensors
`i.latents` (N, 4, h, w), `i.context` (1, T, C), `i.log_weights` (N,) and `i.weight` (), both
float64, and perhaps `i.thumbnails` (N, h, w, 3) uint8.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from ..errors import shown
from ..files.saved import (
    FLASHFACE_REFERENCE,
    SavedFileError,
    Tensors,
    open_person,
    save_person,
    tensor_words,
    within,
)
from .reference import LARGEST_WEIGHT, Identity, Reference

PARTS = ("latents", "context", "log_weights", "weight", "thumbnails")
# Beyond what any encoder gives, and within what 16 bits and the exponential function can hold.
LARGEST: dict[str, float] = {
    "latents": 6e4,
    "context": 6e4,
    "log_weights": 50.0,
    "weight": LARGEST_WEIGHT,
    "thumbnails": 255,
}
TEXT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def save_reference(
    reference: Reference, folder: str | Path, name: str, listed: Sequence[str | Path] = ()
) -> tuple[Path, bool]:
    """Write a reference into `folder`; its path, and whether a new file was made.

    Raises SavedFileError for values that `load_reference` refuses; see `save_person`, also for
    taken names and `listed`.
    """
    tensors = _to_tensors(reference)
    for i, identity in enumerate(reference.identities):
        for part in PARTS:
            tensor = tensors.get(f"{i}.{part}")
            if tensor is not None and not _fits(part, tensor, len(identity.latents)):
                raise SavedFileError(
                    f"This reference cannot be saved: the {part} of person {i + 1} have impossible "
                    f"values ({tensor_words(tensor)}), and Load Reference would refuse them. "
                    "Encode it again, with a VAE in bf16 or fp32."
                )
    return save_person(FLASHFACE_REFERENCE, tensors, folder, name, listed)


def load_reference(path: str | Path) -> Reference:
    """Read a reference that `save_reference` wrote, bit for bit the same, on the CPU.

    Raises SavedFileError for files that are damaged, foreign, or of a newer version.
    """
    path = Path(path)
    with open_person(FLASHFACE_REFERENCE, path) as file:
        people = _people(path, list(file.keys()))
        return Reference(tuple(_identity(path, i, file) for i in range(people)))


def _to_tensors(reference: Reference) -> Tensors:
    tensors: Tensors = {}
    for i, identity in enumerate(reference.identities):
        tensors[f"{i}.latents"] = identity.latents
        tensors[f"{i}.context"] = identity.context
        tensors[f"{i}.log_weights"] = torch.tensor(identity.log_weights, dtype=torch.float64)
        tensors[f"{i}.weight"] = torch.tensor(identity.weight, dtype=torch.float64)
        if identity.thumbnails is not None:
            tensors[f"{i}.thumbnails"] = identity.thumbnails
    return tensors


def _people(path: Path, names: list[str]) -> int:
    """How many people the file holds; its tensor names have to be exactly theirs."""
    found = [re.fullmatch(r"(0|[1-9][0-9]{0,3})\.(\w+)", name) for name in names]
    count = 1 + max((int(match[1]) for match in found if match), default=-1)
    needed = {f"{i}.{part}" for i in range(count) for part in PARTS[:-1]}
    possible = needed | {f"{i}.thumbnails" for i in range(count)}
    if not count or needed - set(names) or set(names) - possible:
        odd = sorted(needed - set(names)) or sorted(set(names) - possible) or ["0.latents"]
        what = "lacks" if odd[0] not in names else "has an unknown tensor"
        raise FLASHFACE_REFERENCE.foreign(path, f"it {what} {shown(odd[0], 66)}")
    return count


def _identity(path: Path, number: int, file: safe_open) -> Identity:
    parts: Tensors = {}
    for part in PARTS:
        name = f"{number}.{part}"
        if name in file.keys():
            # cloned: what is memory-mapped would fail when the file changes
            parts[part] = file.get_tensor(name).clone()
    count = len(parts["latents"]) if parts["latents"].ndim else 0
    for part, tensor in parts.items():
        if not _fits(part, tensor, count):
            raise FLASHFACE_REFERENCE.foreign(
                path, f"its '{number}.{part}' is {tensor_words(tensor)} or has impossible values"
            )
    return Identity(
        latents=parts["latents"],
        context=parts["context"],
        log_weights=tuple(parts["log_weights"].tolist()),
        weight=parts["weight"].item(),
        thumbnails=parts.get("thumbnails"),
    )


def _fits(part: str, tensor: torch.Tensor, count: int) -> bool:
    shape, dtype = tensor.shape, tensor.dtype
    if part == "thumbnails":
        right = dtype == torch.uint8 and len(shape) == 4 and (shape[0], shape[3]) == (count, 3)
    elif part == "latents":
        right = dtype == torch.float32 and len(shape) == 4 and shape[1] == 4
    elif part == "context":
        right = dtype in TEXT_DTYPES and len(shape) == 3 and shape[0] == 1
    else:
        right = dtype == torch.float64 and shape == (() if part == "weight" else (count,))
    return right and tensor.numel() > 0 and within(tensor, LARGEST[part])
