"""Numbers that people type, and shares made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import shown

LARGEST = 1e30  # of numbers that are typed


def parse_numbers(text: str, what: str) -> list[float]:
    """Numbers separated by commas, blanks or line breaks; raises ValueError naming `what`.

    Also for numbers beyond `LARGEST`, whose sums and float32 copies would be infinite.
    """
    found = []
    for word in text.replace(",", " ").replace(";", " ").split():
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if not abs(number) <= LARGEST:  # NaN is not
            raise ValueError(
                f"{what} should be numbers separated by commas, such as 1, 0.5; got "
                f"{shown(word, 40)}."
            )
        found.append(number)
    return found


def shares_of(weights: Sequence[float], count: int) -> list[float]:
    """Each of `count` faces' share of the whole, by weights, or alike where there are none.

    Raises ValueError for another number of weights, negative ones, and nothing but zeros.
    """
    if not weights:
        return [1 / count] * count
    if len(weights) != count:
        raise ValueError(
            f"weights has {len(weights)} numbers for {count} faces. Give one for each face that is "
            "used, or leave it empty to count all alike."
        )
    if min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(
            f"weights should not be negative, and not all 0, got {shown(list(weights))}. Leave out "
            "a photo with the weight 0."
        )
    return [weight / sum(weights) for weight in weights]
