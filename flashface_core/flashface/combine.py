"""Mixes people: a weighted sum of identities, the paper's ID mixing (supplement 3)."""

from __future__ import annotations

import math
from dataclasses import replace

from .reference import LARGEST_WEIGHT, Reference


def combine_references(*parts: tuple[Reference, float]) -> Reference:
    """One reference of everybody in `parts`, each person's weight times the part's.

    People of weight 0 are left out: they would change nothing. Features that were computed for a
    person are shared with the result. Raises ValueError when nobody is left, for weights that are
    no finite numbers, or for text tokens of different widths.
    """
    for reference, weight in parts:
        if not math.isfinite(weight):
            raise ValueError(f"A weight has to be a finite number, got {weight}.")
        if any(abs(identity.weight * weight) > LARGEST_WEIGHT for identity in reference.identities):
            raise ValueError(
                f"The weights of these people multiply to more than {LARGEST_WEIGHT:g}. Lower them."
            )
    identities = tuple(
        replace(identity, weight=identity.weight * weight)
        for reference, weight in parts
        for identity in reference.identities
        if identity.weight * weight != 0
    )
    if not identities:
        raise ValueError("All weights are 0, so nobody is left. Raise one of them.")
    widths = sorted({identity.text_width for identity in identities})
    if len(widths) > 1:
        raise ValueError(
            "These references were made with different text encoders (token widths "
            f"{' and '.join(map(str, widths))}). Make all of them with the SD1.5 CLIP (768)."
        )
    return Reference(identities)
