"""The cascade's candidates and the network's, weighed together.

The cascade knows plain faces of photos better, the network covered ones. A candidate of strength s
of the cascade, where the network is sure of a face by p (0..1), has the strength

    s (1/2 + 3/2 p^2) (1 - w) + n(p),    n(p) = 30 p^6

w is how sure the network is of a face of which the candidate is a part, such as an eye above a
mask. The network alone has n: 0.3 at p = 2/3 is noise, and from 0.82 on a face counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..boxes import Box
from .face_net import Seen

UNSEEN, SEEN = 0.5, 1.5  # of the formula: of the cascade's strength, without and with the network
ALONE, STEEP = 30.0, 6  # of n
SAME = 0.4  # shared area over that of both: a face of both
PART, TWICE = 0.7, 2.0  # of a candidate that lies in a face, and how much larger that is
TALL = 1.28  # height to width of a face, see lbp
SHARED = 0.4  # of the smaller one: of two boxes one is left


@dataclass(frozen=True)
class Candidate:
    """What may be a face. strength: s of lbp's formula; box: a square, or a whole face."""

    box: Box
    strength: float


def weighed(candidates: Sequence[Candidate], seen: Sequence[Seen]) -> list[Candidate]:
    """The candidates of both, strongest first, each face once; boxes are whole faces."""
    found = [replace(c, strength=_strength(c, seen)) for c in candidates]
    boxes = [c.box for c in candidates]
    alone = [s for s in seen if all(overlap(s.box, box) < SAME for box in boxes)]
    return merged([*found, *(Candidate(_upright(s.box), _alone(s.score)) for s in alone)])


def merged(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Strongest first, without those that mostly cover, or lie in, a stronger one."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: (-c.strength, -c.box.area)):
        smaller = (min(candidate.box.area, other.box.area) for other in kept)
        shared = (candidate.box.overlap(other.box) for other in kept)
        if all(s <= SHARED * a for s, a in zip(shared, smaller, strict=True)):
            kept.append(candidate)
    return kept


def overlap(one: Box, other: Box) -> float:
    """Shared area over that of both together."""
    shared = one.overlap(other)
    return shared / (one.area + other.area - shared)


def _strength(candidate: Candidate, seen: Sequence[Seen]) -> float:
    box = candidate.box
    sure = max((s.score for s in seen if overlap(s.box, box) >= SAME), default=0.0)
    wholes = (s for s in seen if s.box.area > TWICE * box.area and s.score > sure)
    whole = max((s.score for s in wholes if s.box.overlap(box) > PART * box.area), default=0.0)
    return candidate.strength * (UNSEEN + SEEN * sure**2) * (1 - whole) + _alone(sure)


def _alone(score: float) -> float:
    return ALONE * score**STEEP


def _upright(box: Box) -> Box:
    """The box with the same middle and area, of the shape that all of this detector's have."""
    wide, (x, y) = (box.area / TALL) ** 0.5, box.centre
    return Box(x - wide / 2, y - TALL * wide / 2, x + wide / 2, y + TALL * wide / 2)
