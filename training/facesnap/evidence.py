"""Counts what was judged: FaceSnap's claims with n, interval and verdict, and the ablations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..evaluation.statistics import mean_of, sign_flip
from .judging import Verdict
from .painting import BLACK, NOBODY, OTHER, OWN, PLAIN

Judged = dict[str, list[Verdict]]  # of each condition, a verdict for each seed


def figures(judged: Judged, whose: np.ndarray, strangers: np.ndarray) -> dict[str, Any]:
    """All figures of one model. whose, strangers: (P,), the people of own and other's reference."""
    found: dict[str, Any] = {"pictures": len(whose), "seeds": len(judged[OWN])}
    found["people"] = judged[OWN][0].cosines.shape[1]
    gap = _mean([a.of(whose) - b.of(whose) for a, b in _both(judged, OWN, OTHER)])
    found["own above other"] = _stated(gap, whose) | {
        "share": float(np.mean([a.of(whose) > b.of(whose) for a, b in _both(judged, OWN, OTHER)])),
        "p": sign_flip(_by_person(gap, whose)),
    }
    for name, verdicts in judged.items():
        found[name] = _of_condition(verdicts, whose)
    if OTHER in judged:
        ranks = _mean([v.rank(strangers) for v in judged[OTHER]])
        found[OTHER]["rank of who was given"] = _stated(ranks, whose)
    return found


def _of_condition(verdicts: list[Verdict], whose: np.ndarray) -> dict[str, Any]:
    names = verdicts[0].right
    return {
        "cosine": _stated(_mean([v.of(whose) for v in verdicts]), whose),
        "rank": _stated(_mean([v.rank(whose) for v in verdicts]), whose),
        "first": _stated(_mean([(v.rank(whose) == 1).astype(float) for v in verdicts]), whose),
        "landmark error": _stated(_mean([v.error for v in verdicts]), whose),
        "words": {n: _stated(_mean([v.right[n] for v in verdicts]), whose) for n in names},
    }


def verdicts_of(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The spec's lines with what was found and whether they hold."""
    own, black, plain = found[OWN], found[BLACK], found[PLAIN]
    share, gap = found["own above other"]["share"], found["own above other"]
    error = own["landmark error"]["mean"] / black["landmark error"]["mean"]
    losses = {n: plain["words"][n]["mean"] - own["words"][n]["mean"] for n in own["words"]}
    return {
        "the own reference brings the person nearer than another's, in 95 % of pictures": {
            "found": f"{share:.1%} of pictures; mean gap {_words(gap)}, {_p(gap['p'])}",
            "holds": share >= 0.95,
        },
        "points of painted faces: below half the error with a black hint": {
            "found": f"{_words(own['landmark error'])} % of the eyes' distance, "
            f"{_words(black['landmark error'])} % with a black hint: {error:.2f} of it",
            "holds": error < 0.5,
        },
        "the scene is told right as often as without FaceSnap, less 5 points": {
            "found": f"{own['words']['scene']['mean']:.1%}, without FaceSnap "
            f"{plain['words']['scene']['mean']:.1%}",
            "holds": losses["scene"] <= 0.05,
        },
        "the right person's rank: identity given, nobody's, another's": {
            "found": f"{_words(own['rank'], 1)}, {_words(found[NOBODY]['rank'], 1)}, "
            f"{_words(found[OTHER]['rank'], 1)} of {found['people']}",
            "holds": None,  # figures only
        },
    }


def _both(judged: Judged, a: str, b: str) -> list[tuple[Verdict, Verdict]]:
    return list(zip(judged[a], judged[b], strict=True))


def _mean(values: list[np.ndarray]) -> np.ndarray:
    return np.mean(values, 0)


def _by_person(values: np.ndarray, whose: np.ndarray) -> np.ndarray:
    return np.array([values[whose == person].mean() for person in np.unique(whose)])


def _stated(values: np.ndarray, whose: np.ndarray) -> dict[str, float]:
    mean = mean_of(_by_person(values, whose))
    return {"mean": mean.value, "low": mean.low, "high": mean.high}


def _words(stated: dict[str, Any], digits: int = 3) -> str:
    mean, low, high = (f"{stated[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"
