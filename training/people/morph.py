"""Weights of the shape targets: macro (age, sex, ancestry, weight), local axes, growing and ageing.

MakeHuman's four age corners lie at about 1, 10, 25 and 90 years; between them weights are linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from .body import body
from .formulas import smoothstep
from .source import AGES, GROUPS, RACES

AGE_CORNERS = (1, 10, 25, 90)
OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
)
HEAD_SHAPES = (
    "oval",
    "round",
    "square",
    "rectangular",
    "triangular",
    "invertedtriangular",
    "diamond",
)
# Without these an eight-year-old is a shrunk adult.
CHILD = {
    "head:head-age-decr": 0.8,
    "eyes:l-eye-scale-incr": 0.45,
    "eyes:r-eye-scale-incr": 0.45,
    "nose:nose-scale-vert-decr": 0.35,
    "nose:nose-volume-decr": 0.35,
    "nose:nose-scale-depth-decr": 0.3,
    "chin:chin-height-decr": 0.3,
    "chin:chin-prominent-decr": 0.3,
    "cheek:l-cheek-volume-incr": 0.35,
    "cheek:r-cheek-volume-incr": 0.35,
    "mouth:mouth-scale-horiz-decr": 0.25,
    "forehead:forehead-scale-vert-incr": 0.3,
    "neck:neck-scale-horiz-decr": 0.3,
}


@dataclass(frozen=True)
class Axis:
    """A pair of opposite shape changes; two targets on each end where there are two sides."""

    group: str
    name: str
    less: tuple[str, ...]
    more: tuple[str, ...]


def childhood(years: float) -> float:
    """1 for small children, 0 for adults."""
    return float(1 - smoothstep(7, 17, years))


def macro_weights(years: float, male: float, race: np.ndarray, fat: float) -> dict[str, float]:
    """Macro target weights; `race`: of african, asian, caucasian; `fat` in -1..1."""
    place = float(np.interp(years, AGE_CORNERS, range(4)))
    corner = min(int(place), 2)
    part = place - corner
    heavy = {"minweight": max(0, -fat), "averageweight": 1 - abs(fat), "maxweight": max(0, fat)}
    weights = {}
    for age, of_age in ((AGES[corner], 1 - part), (AGES[corner + 1], part)):
        for sex, of_sex in (("male", male), ("female", 1 - male)):
            for name, of_race in zip(RACES, race, strict=True):
                weights[f"macro:{name}-{sex}-{age}"] = of_age * of_sex * of_race
            for name, of_fat in heavy.items():
                key = f"macro:universal-{sex}-{age}-averagemuscle-{name}"
                weights[key] = of_age * of_sex * of_fat
    return {key: weight for key, weight in weights.items() if weight > 1e-4}


@cache
def local_axes() -> tuple[Axis, ...]:
    """The 123 local axes, in the order of the targets."""
    names = list(body().target_index)
    known, found = set(names), {}
    for target in names:
        group, _, stem = target.partition(":")
        if group == "asym" and stem.endswith("-l"):
            found[group, stem[:-2]] = Axis(group, stem[:-2], (target,), (target[:-2] + "-r",))
        elif group in GROUPS and (axis := _axis(group, stem, known)):
            found.setdefault((group, axis.name), axis)
    return tuple(found.values())


def _axis(group: str, stem: str, known: set[str]) -> Axis | None:
    for less, more in OPPOSITES:
        base = stem.removesuffix(f"-{less}")
        if base == stem or f"{group}:{base}-{more}" not in known or base.startswith("r-"):
            continue
        sides = ("l-", "r-") if base.startswith("l-") else ("",)
        name = base.removeprefix("l-")
        # "in" and "out" of an unsided part shift it sideways: that is no shape of a face.
        if less == "in" and sides == ("",) and "trans" in name:
            return None
        ends = (tuple(f"{group}:{side}{name}-{end}" for side in sides) for end in (less, more))
        return Axis(group, name, *ends)
    return None


def aged(local: dict[str, float], years: float) -> dict[str, float]:
    """A person's local target weights at an age: fainter in children, with what years add."""
    grown = np.interp(years, (5, 16, 25), (0.55, 0.85, 1.0))
    weights = {name: weight * grown for name, weight in local.items()}
    child = childhood(years)
    for name, weight in CHILD.items():
        weights[name] = weights.get(name, 0.0) + weight * child
    old = float(smoothstep(45, 80, years))
    if old > 0:
        double = "neck:neck-double-incr"
        weights["head:head-age-incr"] = weights.get("head:head-age-incr", 0.0) + 0.55 * old
        weights[double] = max(weights.get(double, 0.0), 0.3 * old)
    return weights
