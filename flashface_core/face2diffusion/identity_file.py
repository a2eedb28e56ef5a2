"""An identity kept as one small .safetensors, to be used again without photos or face detector.

`files.saved` has the rules for names, writing and versions. The tensors are `vector` (1536),
`crops` (N, 112, 112, 3) uint8, `likeness` (N or 0) float64, and with an expression `expression`
(64) and `expression_strength` () float64. The words are made anew when it is loaded.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..faces.align import SIZE
from ..files.saved import FACE2DIFFUSION_IDENTITY, open_person, save_person
from .identity import Identity, restore_identity
from .model import Face2DiffusionModel
from .networks import EXPRESSION, VECTOR

REQUIRED = ("vector", "crops", "likeness")
OPTIONAL = ("expression", "expression_strength")


def save_identity(identity: Identity, folder: str | Path, name: str) -> tuple[Path, bool]:
    """Write an identity into `folder`; its path, and whether a new file was made.

    Raises SavedFileError; see `save_person`, also for names that are taken.
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
    return save_person(FACE2DIFFUSION_IDENTITY, tensors, folder, name)


def load_identity(path: str | Path, model: Face2DiffusionModel) -> Identity:
    """Read an identity that `save_identity` wrote; `model` makes its words.

    Raises SavedFileError for files that are damaged, foreign, or of a newer version.
    """
    path = Path(path)
    with open_person(FACE2DIFFUSION_IDENTITY, path) as file:
        names = set(file.keys())
        if not names.issuperset(REQUIRED) or not names.issubset(REQUIRED + OPTIONAL):
            raise FACE2DIFFUSION_IDENTITY.foreign(
                path, f"its tensors are {', '.join(sorted(names))[:80]}"
            )
        parts = {name: file.get_tensor(name).clone() for name in names}
    _check_parts(path, parts)
    return restore_identity(
        model,
        parts["vector"],
        parts["crops"],
        tuple(parts["likeness"].tolist()),
        parts.get("expression"),
        float(parts.get("expression_strength", torch.zeros(()))),
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
        raise FACE2DIFFUSION_IDENTITY.foreign(
            path, "it has no crops" if not count else "half of its expression is gone"
        )
    for name, tensor in parts.items():
        fits = (tensor.dtype, tuple(tensor.shape)) == forms[name]
        if not fits or not torch.isfinite(tensor.double()).all():
            form = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            raise FACE2DIFFUSION_IDENTITY.foreign(
                path, f"its {name!r} is {form} or has impossible values"
            )
