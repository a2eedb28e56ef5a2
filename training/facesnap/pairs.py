"""Draws photos person by person: the rows of a step, and others of the same people."""

from __future__ import annotations

import numpy as np
from torch import Tensor


class People:
    """Whose photos lie where; rows are those of `Photos`."""

    def __init__(self, owners: Tensor) -> None:
        self.owners = owners.numpy()
        order = np.argsort(self.owners, kind="stable")
        self.counts = np.bincount(self.owners)
        starts = np.cumsum(self.counts) - self.counts
        self.rows = [order[i : i + n] for i, n in zip(starts, self.counts, strict=True)]
        self.table = np.zeros((len(self.rows), self.counts.max()), np.int64)
        self.place = np.zeros(len(order), np.int64)
        for person, own in enumerate(self.rows):
            self.table[person, : len(own)] = own
            self.place[own] = np.arange(len(own))

    def __len__(self) -> int:
        return len(self.rows)

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """(count,) rows: people alike often, whatever their photos' number."""
        people = random.integers(len(self), size=count)
        return self.of(random, people)

    def of(self, random: np.random.Generator, people: np.ndarray) -> np.ndarray:
        """A row of each of some people."""
        return self.table[people, (random.random(len(people)) * self.counts[people]).astype(int)]

    def other(self, random: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        """For every row another photo of the same person; the same where there is only one."""
        people = self.owners[rows]
        count = self.counts[people]
        turn = 1 + (random.random(len(rows)) * np.maximum(count - 1, 0)).astype(int)
        return self.table[people, (self.place[rows] + turn) % count]
