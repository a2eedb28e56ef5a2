"""Everything that was painted and judged, as numbers a person: what claims are counted from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..config import Evaluate
from .conditions import Condition
from .judging import EMBEDDING, Verdicts
from .people import HeldOut
from .prompts import truths
from .statistics import Mean, mean_of


@dataclass(frozen=True)
class Judged:
    """One condition's verdicts. people: places in `held_out.people`."""

    condition: Condition
    people: list[int]
    verdicts: Verdicts


@dataclass(frozen=True)
class Found:
    """Where faces are, (P,) each: IoU with the target's, 0 where none was found; likeness of the
    found face, of the target's place where there is none; 1.0 in `seen` where there is one."""

    iou: np.ndarray
    target: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class Results:
    """levels: of each witness (same, strangers, auc), see `Bench.levels`. originals: verdicts on
    photos under the names of what they are. faces: by condition, for claim 2."""

    held_out: HeldOut
    own: Evaluate
    seed: int
    levels: dict[str, tuple[float, float, float]]
    told: list[str]
    painted: dict[str, Judged] = field(default_factory=dict)
    originals: dict[str, Verdicts] = field(default_factory=dict)
    faces: dict[str, Found] = field(default_factory=dict)

    def likeness(self, name: str, witness: str = EMBEDDING) -> np.ndarray:
        """Cosines to the target, (P,)."""
        return self.painted[name].verdicts.target[witness]

    def calibrated(self, values: np.ndarray, witness: str = EMBEDDING) -> np.ndarray:
        """Cosines as 0 for a stranger and 1 for another photo of the person."""
        same, strangers, _ = self.levels[witness]
        return (values - strangers) / (same - strangers)

    def right(self, name: str, attribute: str) -> np.ndarray:
        """Where a condition's pictures show what their prompts say, (P,) 1.0 or 0.0."""
        painted = self.painted[name]
        people = [self.held_out.people[i] for i in painted.people]
        wanted = truths(self.held_out, people, painted.condition.prompt, self.seed)
        return self._equal(painted.verdicts, wanted, attribute)

    def right_of_originals(self, name: str, attribute: str) -> np.ndarray:
        """The judge's own accuracy, on photos of the targets (see `originals`)."""
        wanted = truths(self.held_out, self.held_out.people, "own", self.seed)
        return self._equal(self.originals[name], wanted, attribute)

    def mean(self, values: np.ndarray) -> Mean:
        """Over people."""
        return mean_of(values, seed=self.seed)

    def _equal(self, verdicts: Verdicts, wanted: list[dict], attribute: str) -> np.ndarray:
        said = verdicts.said[attribute]
        return np.array([float(a == b[attribute]) for a, b in zip(said, wanted, strict=True)])
