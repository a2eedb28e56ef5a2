"""FACE2DIFFUSION_IDENTITY: a person as one identity vector, and the two words made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..errors import for_users, shown
from ..faces.align import network_input
from ..numbers import parse_numbers, shares_of
from .model import Face2DiffusionModel
from .networks import EXPRESSION


@for_users
class NotFiniteError(ValueError):
    """The networks answered with NaN or infinite values; the text says what to do."""


@dataclass(frozen=True, eq=False)
class Identity:
    """One person, or a mix of people.

    vector: (1536) float32 on the CPU, the weighted mean of the photos'. words: (2, 768), the first
    and the last word of `model` for it. expression: (64) and its share in 0..1, or None and 0.
    crops: (N, 112, 112, 3) uint8, to show only. likeness: of every crop, the cosine of its vector
    with the mean; empty where it is not known.
    """

    model: Face2DiffusionModel = field(repr=False)
    vector: torch.Tensor = field(repr=False)
    words: torch.Tensor = field(repr=False)
    crops: torch.Tensor = field(repr=False)
    likeness: tuple[float, ...] = ()
    expression: torch.Tensor | None = None
    expression_strength: float = 0.0

    @property
    def spread(self) -> float:
        """How far the photo farthest from the mean is, 1 - cosine; 0 for a single photo."""
        return 1 - min(self.likeness, default=1.0)

    def __str__(self) -> str:
        count = len(self.crops)
        photos = "1 photo" if count == 1 else f"{count} photos"
        spread = f", spread {self.spread:.3f}" if len(self.likeness) > 1 else ""
        face = f", expression at {self.expression_strength:g}" if self.expression_strength else ""
        return f"Face2Diffusion identity of {photos}{spread}{face}"


def make_identity(
    model: Face2DiffusionModel,
    crops: torch.Tensor,
    weights: Sequence[float] = (),
    expression: torch.Tensor | None = None,
    expression_strength: float = 1.0,
) -> Identity:
    """The person on aligned crops (N, 112, 112, 3) uint8, N at least 1.

    weights: of the crops in the mean, not negative; none for equal ones. expression: (64) or None.
    Raises ValueError for weights or an expression that do not fit.
    """
    vectors = model.vectors(network_input(crops))
    if not torch.isfinite(vectors).all():
        raise NotFiniteError(
            "Face2Diffusion's encoder gives vectors that are not finite numbers for these faces. "
            "Load the model with weight_dtype fp32, or download its files again."
        )
    shares = torch.tensor(shares_of(weights, len(crops)), dtype=torch.float64)
    mean = (vectors.double() * shares[:, None]).sum(0).float()
    likeness = torch.cosine_similarity(vectors, mean[None]).tolist() if len(crops) > 1 else [1.0]
    return _complete(model, mean, crops, tuple(likeness), expression, expression_strength)


def restore_identity(
    model: Face2DiffusionModel,
    vector: torch.Tensor,
    crops: torch.Tensor,
    likeness: tuple[float, ...],
    expression: torch.Tensor | None,
    expression_strength: float,
) -> Identity:
    """An identity from its saved parts; the words are made anew by `model`."""
    return _complete(model, vector, crops, likeness, expression, expression_strength)


def blend(one: Identity, two: Identity, factor: float) -> Identity:
    """The identity between two people: `one` at factor 0, `two` at factor 1.

    Vectors are mixed, and the words are made of the mix, so that halfway between two photos of a
    person is what encoding both photos together gives. What an identity without an expression
    gives to the mix is the neutral one. Raises ValueError for identities of different models.
    """
    if not 0 <= factor <= 1:
        raise ValueError(f"factor has to be between 0 and 1, got {shown(factor)}.")
    if one.model.fingerprint != two.model.fingerprint:
        raise ValueError(
            f"These identities were made with different models ({one.model.name}; "
            f"{two.model.name}). Make both with one Load Face2Diffusion Model."
        )
    parts = [(one, 1 - factor), (two, factor)]
    vector = torch.stack([part.vector.double() * share for part, share in parts]).sum(0)
    strength = sum(part.expression_strength * share for part, share in parts)
    faces = [
        part.expression.double() * (part.expression_strength * share / strength)
        for part, share in parts
        if part.expression is not None and strength > 0
    ]
    expression = torch.stack(faces).sum(0).float() if faces else None
    crops = torch.cat([part.crops for part, share in parts if share > 0])
    return _complete(one.model, vector.float(), crops, (), expression, strength)


def parse_expression(text: str) -> torch.Tensor | None:
    """(64) float32 of a text, None of an empty one; raises ValueError for another count."""
    numbers = parse_numbers(text, "expression")
    if not numbers:
        return None
    if len(numbers) != EXPRESSION:
        raise ValueError(
            f"expression should be {EXPRESSION} numbers of a 3D face reconstruction, got "
            f"{len(numbers)}. Leave it empty for the neutral expression that the authors paint "
            "with."
        )
    return torch.tensor(numbers, dtype=torch.float32)


def _complete(
    model: Face2DiffusionModel,
    vector: torch.Tensor,
    crops: torch.Tensor,
    likeness: tuple[float, ...],
    expression: torch.Tensor | None,
    strength: float,
) -> Identity:
    if not 0 <= strength <= 1:
        raise ValueError(f"expression_strength has to be between 0 and 1, got {shown(strength)}.")
    used = expression is not None and strength > 0
    expression, strength = (expression, strength) if used else (None, 0.0)
    words = model.words(vector, expression, strength)
    if not torch.isfinite(words).all():
        raise NotFiniteError(
            "Face2Diffusion gives words that are not finite numbers for this face. Load the model "
            "with weight_dtype fp32, or download its files again."
        )
    return Identity(model, vector, words, crops, likeness, expression, strength)
