"""Judges what was painted: who, where the face is, and whether the words still hold.

Identity and words are told by networks of the judges' own people; points by the landmark network,
which is the one that the hints come from, in the square of the wanted face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..judges.judge import Judges
from .landmarks import Seen
from .photos import Photos

TOLD = ("scene", "hair", "glasses", "expression", "looks")


@dataclass(frozen=True)
class Verdict:
    """Of P pictures. cosines: (P, people), to the mean of each person's photos; error: (P,), % of
    the eyes' distance; right: for each word (P,), 1.0 where the picture shows it."""

    cosines: np.ndarray
    error: np.ndarray
    right: dict[str, np.ndarray]

    def of(self, people: np.ndarray) -> np.ndarray:
        """(P,) cosines to certain people, one for each picture."""
        return self.cosines[np.arange(len(people)), people]

    def rank(self, people: np.ndarray) -> np.ndarray:
        """(P,) ranks of certain people among all, 1 is the nearest."""
        return 1 + (self.cosines > self.of(people)[:, None]).sum(1)


class Bench:
    """The judges, and what they say of the held-out people's photos."""

    def __init__(self, judges: Judges, photos: Photos, seen: Seen, net: Any) -> None:
        self.judges, self.photos, self.seen, self.net = judges, photos, seen, net
        embedded = judges.embed(photos.pictures, photos.boxes)
        owners = photos.owners()
        sums = torch.zeros(int(owners.max()) + 1, embedded.shape[1])
        self.people = torch.nn.functional.normalize(sums.index_add_(0, owners, embedded), dim=1)
        self.owners = owners.numpy()

    def judge(self, pictures: Tensor, points: Tensor, target: Tensor) -> Verdict:
        """Judge pictures (P, S, S, 3) uint8 in which faces were asked for at `points`.

        target: rows of the photos whose box and words were asked for.
        """
        boxes = self.photos.boxes[target]
        cosines = self.judges.embed(pictures, boxes) @ self.people.T
        return Verdict(cosines.numpy(), self._error(pictures, points, target),
                       self._right(pictures, target))  # fmt: skip

    @torch.no_grad()
    def _error(self, pictures: Tensor, points: Tensor, target: Tensor) -> np.ndarray:
        device = self.seen.pictures.device
        found = []
        for part in torch.arange(len(pictures)).split(256):
            rows = target[part].to(device)
            crops, truth, middle, side = self.seen.look_at(pictures[part].to(device), rows)
            said = self.net(crops).landmarks.float()
            wanted = (points[part].to(device) - middle[:, None]) / side[:, None, None]
            d = truth.log_scale.exp()[:, None]
            found.append(100 * ((said - wanted).norm(dim=2) / d).mean(1))
        return torch.cat(found).cpu().numpy()

    def _right(self, pictures: Tensor, target: Tensor) -> dict[str, np.ndarray]:
        said = self.judges.attributes(pictures)
        found = {}
        for name in TOLD:
            if name in said:
                words = self.judges.classes[name]
                wanted = [self.photos.words[row].get(name) for row in target.tolist()]
                pairs = zip(said[name].tolist(), wanted, strict=True)
                found[name] = np.array([float(words[number] == word) for number, word in pairs])
        return found
