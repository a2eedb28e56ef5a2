"""FACESNAP_IDENTITY: a person as what two encoders say of photos of the face.

f_id, general: the mean of the photos' embeddings, f_id = sqrt(d) v / |v| when the mixer reads it.
f_clip, specific: the feature maps of all photos, one after the other, whose order says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import for_users, shown
from ..numbers import shares_of
from .model_config import Encoder


@for_users
class IdentityError(ValueError):
    """An identity that cannot be made or used here; the text says why, and what to do."""


@dataclass(frozen=True)
class Encoders:
    """What made f_id and f_clip. fingerprint: of the face encoder's weights, "" for unknown."""

    face: Encoder
    image: Encoder
    fingerprint: str = ""

    def check(self, wanted: Encoders, model: str) -> None:
        """Raise IdentityError where a model, of that name, reads what other encoders make."""
        for ours, theirs in ((self.face, wanted.face), (self.image, wanted.image)):
            if _words(ours) != _words(theirs):
                raise IdentityError(
                    f"This identity was made by {_words(ours)}, but {model} reads "
                    f"{_words(theirs)}. Encode the photos again with Encode Face (FaceSnap) and "
                    "this model."
                )
        prints = {self.fingerprint, wanted.fingerprint} - {""}
        if len(prints) > 1:
            raise IdentityError(
                f"This identity was made by another {self.face.name} ({shown(self.fingerprint)}) "
                f"than {model} reads ({shown(wanted.fingerprint)}). Encode the photos again with "
                "Encode Face (FaceSnap) and this model."
            )


@dataclass(frozen=True, eq=False)
class Identity:
    """One person, or a mix of people.

    face: (d_id) float32, the mean of the embeddings. image: (T, d_clip) fp16, the maps of all
    photos. crops: (N, 112, 112, 3) uint8, to show only. likeness: of every crop, the cosine of its
    embedding with the mean; empty where it is not known. All on the CPU.
    """

    encoders: Encoders
    face: Tensor = field(repr=False)
    image: Tensor = field(repr=False)
    crops: Tensor = field(repr=False)
    likeness: tuple[float, ...] = ()

    @property
    def spread(self) -> float:
        """How far the photo farthest from the mean is, 1 - cosine; 0 for a single photo."""
        return 1 - min(self.likeness, default=1.0)

    def __str__(self) -> str:
        count = len(self.crops)
        photos = "1 photo" if count == 1 else f"{count} photos"
        spread = f", spread {self.spread:.3f}" if len(self.likeness) > 1 else ""
        return f"FaceSnap identity of {photos}{spread}"


def make_identity(
    encoders: Encoders,
    embeddings: Tensor,
    maps: Tensor,
    crops: Tensor,
    weights: Sequence[float] = (),
) -> Identity:
    """The person on crops (N, 112, 112, 3) uint8, N at least 1.

    embeddings: (N, d_id). maps: (N, T, d_clip). weights: of the photos in the mean embedding, not
    negative; none for equal ones. The map of a photo of weight 0 is left out; of others it counts
    whole, since attention takes from each what it looks for.
    Raises ValueError for weights that do not fit, IdentityError for numbers that are not finite.
    """
    shares = torch.tensor(shares_of(weights, len(crops)), dtype=torch.float64)
    mean = (embeddings.double() * shares[:, None]).sum(0).float()
    image = maps[shares > 0].flatten(0, 1).half()
    if not (torch.isfinite(mean).all() and torch.isfinite(image).all()):
        raise IdentityError(
            f"{encoders.face.name} or {encoders.image.name} gives numbers that are not finite for "
            "these faces. Load the models in fp32, or copy their files again."
        )
    alike = torch.cosine_similarity(embeddings.float(), mean[None]).clamp(-1, 1)
    likeness = tuple(alike.tolist()) if len(crops) > 1 else (1.0,)
    return Identity(encoders, mean, image, crops, likeness)


def blend(one: Identity, two: Identity, factor: float) -> Identity:
    """The identity between two people: `one` at factor 0, `two` at factor 1.

    Embeddings are mixed, and maps place by place: faces are aligned, so that eyes meet eyes. Where
    one has fewer photos they are taken again. Raises IdentityError for identities of different
    encoders.
    """
    if not 0 <= factor <= 1:
        raise ValueError(f"factor has to be between 0 and 1, got {shown(factor)}.")
    one.encoders.check(two.encoders, "identity_2's model")
    if factor in (0, 1):
        return two if factor else one
    face = one.face.double() * (1 - factor) + two.face.double() * factor
    tokens = one.encoders.image.tokens
    maps = [each.image.unflatten(0, (-1, tokens)) for each in (one, two)]
    count = max(map(len, maps))
    first, second = (m[[i % len(m) for i in range(count)]].float() for m in maps)
    image = torch.lerp(first, second, factor).half().flatten(0, 1)
    crops = torch.cat([one.crops, two.crops])
    return Identity(one.encoders, face.float(), image, crops)


def _words(encoder: Encoder) -> str:
    tokens = f"{encoder.tokens} x " if encoder.tokens > 1 else ""
    return f"{encoder.name} ({tokens}{encoder.width})"
