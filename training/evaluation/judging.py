"""What the judges say of pictures: whose they are, and what they show.

Witnesses of who it is: the embedding, and the renderer's numbers of a person, centred and scaled by
what people differ in, which share a trunk and are no independent ones; where it is installed dlib's
encoder, which was trained by others on photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .people import HeldOut, Person
from .prompts import TOLD, as_told
from .statistics import auc

EMBEDDING, NUMBERS, DLIB = "embedding", "numbers", "dlib"


class Judges(Protocol):
    """What is asked of judges; pictures (B, S, S, 3), uint8 or 0..1, boxes (B, 4) in pixels."""

    classes: dict[str, list[str]]

    def embed(self, pictures: Tensor, boxes: Tensor) -> Tensor: ...

    def identity(self, pictures: Tensor, boxes: Tensor) -> Tensor: ...

    def attributes(self, pictures: Tensor) -> dict[str, Tensor]: ...


class Outside(Protocol):
    """A judge of who it is that this project has no part in."""

    def embed(self, pictures: Tensor, boxes: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Verdicts:
    """Of one picture of each of P people.

    target: cosine to the target, (P,) by witness. shown: the largest to a reference that was shown,
    nan without. nearest: 1.0 where nobody else's unseen photos are nearer. said: of TOLD, P words.
    """

    target: dict[str, np.ndarray]
    shown: dict[str, np.ndarray]
    nearest: dict[str, np.ndarray]
    said: dict[str, list[str]]


class Bench:
    """The judges, with all originals of the people who are painted before them."""

    def __init__(self, judges: Judges, held_out: HeldOut, outside: Outside | None = None) -> None:
        self.judges, self.held_out, self.outside = judges, held_out, outside
        people = held_out.people
        self.photos = sorted({i for p in people for i in (*p.unseen, *p.shown)})
        self._row = {photo: row for row, photo in enumerate(self.photos)}
        pictures, boxes = held_out.pictures(self.photos), held_out.boxes(self.photos)
        numbers = judges.identity(pictures, boxes).float()
        self._centre, self._spread = numbers.mean(0), numbers.std(0) + 1e-6
        self.known = self.vectors(pictures, boxes)
        unseen = [self._rows(person.unseen) for person in people]
        self.gallery = {
            name: F.normalize(torch.stack([own[rows].mean(0) for rows in unseen]), dim=1)
            for name, own in self.known.items()
        }

    def vectors(self, pictures: Tensor, boxes: Tensor, outside: bool = True) -> dict[str, Tensor]:
        """Unit vectors (B, D) by witness. outside: whether the slow one is asked too."""
        numbers = (self.judges.identity(pictures, boxes).float() - self._centre) / self._spread
        embedding = F.normalize(self.judges.embed(pictures, boxes).float(), dim=1)
        found = {EMBEDDING: embedding, NUMBERS: F.normalize(numbers, dim=1)}
        if self.outside and outside:
            found[DLIB] = F.normalize(self.outside.embed(pictures, boxes).float(), dim=1)
        return found

    def judge(
        self,
        pictures: Tensor,
        boxes: Tensor,
        people: Sequence[int],
        references: int,
        outside: bool = True,
    ) -> Verdicts:
        """Verdicts on a picture of each of some people, places in `held_out.people`."""
        found = self.vectors(pictures, boxes, outside)
        own = [self.held_out.people[i] for i in people]
        said = self.judges.attributes(pictures)
        target, shown, nearest = {}, {}, {}
        for name, vectors in found.items():
            known = self.known[name]
            target[name] = (vectors * known[self._rows([p.target for p in own])]).sum(1).numpy()
            shown[name] = np.array(
                [self._largest(v, p, known, references) for v, p in zip(vectors, own, strict=True)]
            )
            winner = (vectors @ self.gallery[name].T).argmax(1)
            nearest[name] = (winner == torch.tensor(people)).double().numpy()
        return Verdicts(target, shown, nearest, {n: self._words(n, said) for n in self.told})

    @property
    def told(self) -> list[str]:
        """The attributes of prompts that the judges know."""
        return [name for name in TOLD if name in self.judges.classes]

    def levels(self, name: str) -> tuple[float, float, float]:
        """Mean cosine of the target to its person's other photos and to strangers' targets, AUC."""
        known = self.known[name]
        people = self.held_out.people
        targets = known[self._rows([person.target for person in people])]
        others = [known[self._rows((*p.rest, *p.shown))] for p in people]
        same = torch.cat([o @ t for o, t in zip(others, targets, strict=True)]).numpy()
        apart = ~torch.eye(len(people), dtype=torch.bool)
        strangers = (targets @ targets.T)[apart].numpy()
        # One person has no strangers.
        level = float(strangers.mean()) if len(strangers) else float("nan")
        return float(same.mean()), level, auc(same, strangers) if len(strangers) else float("nan")

    def _rows(self, photos: Sequence[int]) -> list[int]:
        return [self._row[photo] for photo in photos]

    def _largest(self, vector: Tensor, person: Person, known: Tensor, count: int) -> float:
        if not count:
            return float("nan")
        return float((known[self._rows(person.shown[:count])] @ vector).max())

    def _words(self, name: str, said: dict[str, Any]) -> list[str]:
        classes = self.judges.classes[name]
        return [as_told(name, classes[int(number)]) for number in said[name]]
