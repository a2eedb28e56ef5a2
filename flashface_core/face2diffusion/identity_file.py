"""An identity kept as one small .safetensors, to be used again without photos or face detector.

A sister of saved references (`reference_file`), under the same rules for names and writing. The
metadata entry `face2diffusion_identity` holds the format's version; the tensors are `vector`
(1536), `crops` (N, 112, 112, 3) uint8, `likeness` (N or 0) float64, and with an expression
`expression` (64) and `expression_strength` () float64. The words are made anew when it is loaded.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .. import reference_file
from ..reference_file import ReferenceFileError, checked_name
from .align import SIZE
from .identity import Identity, restore_identity
from .model import Face2DiffusionModel
from .networks import EXPRESSION, VECTOR

FORMAT_KEY = "face2diffusion_identity"
VERSION = 1
REQUIRED = ("vector", "crops", "likeness")
OPTIONAL = ("expression", "expression_strength")


def save_identity(identity: Identity, folder: str | Path, name: str) -> tuple[Path, bool]:
    """Write an identity into `folder`; its path, and whether a new file was made.

    Nothing is overwritten: where `name` is taken, name_00002 and so on is used, unless that file
    holds the very same identity. Raises ReferenceFileError for a bad name or folder.
    """
    stem = checked_name(name)
    tensors = {
        "vector": identity.vector,
        "crops": identity.crops,
        "likeness": torch.tensor(identity.likeness, dtype=torch.float64),
    }
    if identity.expression is not None:
        tensors["expression"] = identity.expression
        tensors["expression_strength"] = torch.tensor(
            identity.expression_strength, dtype=torch.float64
        )
    content = save(
        {key: tensor.contiguous() for key, tensor in tensors.items()}, {FORMAT_KEY: str(VERSION)}
    )
    try:
        return reference_file.write_without_overwriting(Path(folder), stem, content)
    except OSError as error:
        raise ReferenceFileError(
            f"The identity could not be saved in {folder}: {error}. Check that the folder can be "
            "written and its disk has room."
        ) from error


def load_identity(path: str | Path, model: Face2DiffusionModel) -> Identity:
    """Read an identity that `save_identity` wrote; `model` makes its words.

    Raises ReferenceFileError for files that are damaged, foreign, or of a newer version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > reference_file.LARGEST_BYTES:
            raise _foreign(path, f"it has {path.stat().st_size / 1024**2:.0f} MB")
        with safe_open(path, framework="pt", device="cpu") as file:
            _check_version(path, file.metadata() or {})
            names = set(file.keys())
            if not names.issuperset(REQUIRED) or not names.issubset(REQUIRED + OPTIONAL):
                raise _foreign(path, f"its tensors are {', '.join(sorted(names))[:80]}")
            # cloned: what is memory-mapped would fail when the file changes
            parts = {name: file.get_tensor(name).clone() for name in names}
    except (OSError, SafetensorError, UnicodeError) as error:
        raise ReferenceFileError(
            f"{path.name} cannot be read: {error}. It is damaged, cut off, or no safetensors file; "
            "save the identity again, or choose another one."
        ) from error
    _check_parts(path, parts)
    return restore_identity(
        model,
        parts["vector"],
        parts["crops"],
        tuple(parts["likeness"].tolist()),
        parts.get("expression"),
        float(parts.get("expression_strength", torch.zeros(()))),
    )


def _check_version(path: Path, metadata: dict[str, str]) -> None:
    if FORMAT_KEY not in metadata:
        kind = "a FlashFace reference" if reference_file.FORMAT_KEY in metadata else "foreign"
        raise _foreign(path, f"it is {kind}, its metadata lack {FORMAT_KEY!r}")
    version = metadata[FORMAT_KEY]
    if version != str(VERSION):
        raise ReferenceFileError(
            f"{path.name} is a saved identity of version {version[:20]!r}; this pack reads version "
            f"{VERSION}. Update the pack, or save the identity again with this one."
        )


def _check_parts(path: Path, parts: dict[str, torch.Tensor]) -> None:
    count = len(parts["crops"]) if parts["crops"].ndim else 0
    forms = {
        "vector": (torch.float32, (VECTOR,)),
        "crops": (torch.uint8, (count, SIZE, SIZE, 3)),
        "likeness": (torch.float64, (count if parts["likeness"].numel() else 0,)),
        "expression": (torch.float32, (EXPRESSION,)),
        "expression_strength": (torch.float64, ()),
    }
    if len(parts.keys() & set(OPTIONAL)) == 1 or not count:
        raise _foreign(path, "it has no crops" if not count else "half of its expression is gone")
    for name, tensor in parts.items():
        fits = (tensor.dtype, tuple(tensor.shape)) == forms[name]
        if not fits or not torch.isfinite(tensor.double()).all():
            form = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            raise _foreign(path, f"its {name!r} is {form} or has impossible values")


def _foreign(path: Path, why: str) -> ReferenceFileError:
    return ReferenceFileError(
        f"{path.name} is not a saved Face2Diffusion identity: {why}. Choose a file that Save "
        "Identity made."
    )
