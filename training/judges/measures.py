"""How well answers tell people apart, and how far numbers follow the truth."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def auc(same: np.ndarray, different: np.ndarray) -> float:
    """The chance that a pair of `same` scores above one of `different`; ties count half."""
    scores = np.concatenate([same, different])
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    n, m = len(same), len(different)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def pairs_of(vectors: Tensor, people: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every pair of rows (i < j): the cosine, (2, pairs) which they are, whether one person."""
    unit = F.normalize(vectors.float(), dim=1)
    which = torch.triu_indices(len(unit), len(unit), 1)
    cosines = (unit @ unit.T)[which[0], which[1]]
    same = people[which[0]] == people[which[1]]
    return cosines.numpy(), which.numpy(), same.numpy()


def nearest_right(vectors: Tensor, people: Tensor) -> float:
    """How often a photo is nearest to its own person, known by the mean of their other photos."""
    unit = F.normalize(vectors.float(), dim=1)
    owners = people.unique(return_inverse=True)[1]
    sums = torch.zeros(int(owners.max()) + 1, unit.shape[1]).index_add_(0, owners, unit)
    cosines = unit @ F.normalize(sums, dim=1).T
    rest = F.normalize(sums[owners] - unit, dim=1)
    cosines[torch.arange(len(unit)), owners] = (unit * rest).sum(1)
    return float((cosines.argmax(1) == owners).float().mean())


def correlations(found: Tensor, true: Tensor) -> Tensor:
    """Pearson's correlation of each column (N, K) -> (K,); nan where a column does not vary."""
    found, true = found.double() - found.double().mean(0), true.double() - true.double().mean(0)
    both = (found * true).sum(0)
    return both / (found.square().sum(0) * true.square().sum(0)).sqrt()


def accuracy(found: Tensor, true: Tensor, count: int) -> dict[str, float]:
    """Accuracy and mean accuracy of the classes that occur, each with its chance beside it.

    Chance is the commonest class's part, and one of the classes that occur.
    """
    right = found == true
    seen = [i for i in range(count) if bool((true == i).any())]
    each = torch.stack([right[true == i].float().mean() for i in seen])
    common = max(float((true == i).float().mean()) for i in seen)
    return {
        "accuracy": float(right.float().mean()),
        "commonest": common,
        "balanced": float(each.mean()),
        "chance": 1 / len(seen),
    }
