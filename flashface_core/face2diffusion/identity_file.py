"""An identity kept as one small .safetensors, to be used again without photos or face detector.

`files.saved` has the rules for names, writing and versions. The tensors are `vector` (1536),
`crops` (N, 112, 112, 3) uint8, `likeness` (N or 0) float64, and with an expression `expression`
(64) and `expression_strength` () float64. The words are made anew when it is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..errors import one_line
from ..faces.align import SIZE
from ..files.saved import (
    FACE2DIFFUSION_IDENTITY,
    SavedFileError,
    Tensors,
    open_person,
    save_person,
    tensor_words,
    within,
)
from .identity import Identity, NotFiniteError, restore_identity
from .model import Face2DiffusionModel
from .networks import EXPRESSION, VECTOR

REQUIRED = ("vector", "crops", "likeness")
OPTIONAL = ("expression", "expression_strength")
LARGEST = {"crops": 255.0, "likeness": 1.001, "expression_strength": 1.0}


def save_identity(
    identity: Identity, folder: str | Path, name: str, listed: Sequence[str | Path] = ()
) -> tuple[Path, bool]:
    """Write an identity into `folder`; its path, and whether a new file was made.

    Raises SavedFileError for values that `load_identity` refuses; see `save_person`, also for
    taken names and `listed`.
    """
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
    fault = _fault(tensors)
    if fault:
        raise SavedFileError(
            f"This identity cannot be saved: {fault}, and Load Identity would refuse it. Encode "
            "the face again."
        )
    return save_person(FACE2DIFFUSION_IDENTITY, tensors, folder, name, listed)


def load_identity(path: str | Path, model: Face2DiffusionModel) -> Identity:
    """Read an identity that `save_identity` wrote; `model` makes its words.

    Raises SavedFileError for files that are damaged, foreign, or of a newer version.
    """
    path = Path(path)
    with open_person(FACE2DIFFUSION_IDENTITY, path) as file:
        names = set(file.keys())
        if not names.issuperset(REQUIRED) or not names.issubset(REQUIRED + OPTIONAL):
            raise FACE2DIFFUSION_IDENTITY.foreign(
                path, f"its tensors are {one_line(', '.join(sorted(names)), 80)}"
            )
        parts = {name: file.get_tensor(name).clone() for name in names}
    fault = _fault(parts)
    if fault:
        raise FACE2DIFFUSION_IDENTITY.foreign(path, fault)
    try:
        return restore_identity(
            model,
            parts["vector"],
            parts["crops"],
            tuple(parts["likeness"].tolist()),
            parts.get("expression"),
            float(parts.get("expression_strength", torch.zeros(()))),
        )
    except NotFiniteError as error:
        raise FACE2DIFFUSION_IDENTITY.foreign(path, one_line(error)) from error


def _fault(parts: Tensors) -> str:
    """Why the parts are no identity's, "" where they are."""
    count = len(parts["crops"]) if parts["crops"].ndim else 0
    forms = {
        "vector": (torch.float32, (VECTOR,)),
        "crops": (torch.uint8, (count, SIZE, SIZE, 3)),
        "likeness": (torch.float64, (count if parts["likeness"].numel() else 0,)),
        "expression": (torch.float32, (EXPRESSION,)),
        "expression_strength": (torch.float64, ()),
    }
    if not count:
        return "it has no crops"
    if len(parts.keys() & set(OPTIONAL)) == 1:
        return "half of its expression is gone"
    for name, tensor in parts.items():
        fits = (tensor.dtype, tuple(tensor.shape)) == forms[name]
        if not fits or not within(tensor, LARGEST.get(name, 1e30)):
            return f"its {name!r} is {tensor_words(tensor)} or has impossible values"
    return ""
