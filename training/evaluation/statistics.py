"""Statistics over people: pictures of one person are not independent, people are.

Every function takes one number a person, a difference for paired conditions; nan is a person
without one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..steps import random_of

DRAWS = 10_000
STAGE = 7  # of the random numbers


@dataclass(frozen=True)
class Mean:
    """A mean over people with its 95 % interval; n people."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean_of(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Mean:
    """The mean of (P,) and its interval by the bootstrap: people drawn anew with replacement."""
    known = _known(values)
    if not len(known):
        return Mean(float("nan"), float("nan"), float("nan"), 0)
    chosen = random_of(seed, STAGE, 1).integers(len(known), size=(draws, len(known)))
    low, high = np.percentile(known[chosen].mean(1), (2.5, 97.5))
    return Mean(float(known.mean()), float(low), float(high), len(known))


def sign_flip(values: np.ndarray, draws: int = DRAWS, seed: int = 0) -> float:
    """p of (P,) differences, two-sided: how often chance signs give as large a mean.

    At least 1 / (draws + 1): what so many draws can tell.
    """
    known = _known(values)
    if not len(known):
        return 1.0
    signs = random_of(seed, STAGE, 2).choice([-1.0, 1.0], size=(draws, len(known)))
    flipped = np.abs((signs * known).mean(1))
    # What differs by rounding only is as large.
    as_large = flipped >= abs(known.mean()) * (1 - 1e-9)
    return float((1 + as_large.sum()) / (draws + 1))


def slopes(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Least-squares slope of each person's values (P, K) over `at` (K,): (P,)."""
    centred = at - at.mean()
    return values @ centred / (centred @ centred)


def auc(same: np.ndarray, strangers: np.ndarray) -> float:
    """The chance that a value of `same` lies above one of `strangers`; ties count half."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(same, strangers).statistic / (len(same) * len(strangers)))


def _known(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[~np.isnan(values)]
