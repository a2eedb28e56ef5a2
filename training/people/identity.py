"""A person: everything that is drawn from the seed once, and no more is drawn later.

Shapes are many small differences and a few traits of their own (`SIGNATURES`): wide axes alone gave
caricatures, narrow ones people who cannot be told apart in a small picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from .formulas import colour, mix
from .marks import Mark, draw_marks
from .morph import HEAD_SHAPES, local_axes
from .palette import ANCESTRIES, FRAMES, HAIR, one_of

SPREAD = {
    "head": 0.30,
    "forehead": 0.36,
    "eyebrows": 0.36,
    "eyes": 0.33,
    "nose": 0.32,
    "mouth": 0.29,
    "ears": 0.30,
    "chin": 0.33,
    "cheek": 0.40,
    "neck": 0.22,
    "asym": 0.12,
}
QUIET = (
    *("head-age", "head-trans", "neck-trans", "nose-trans", "mouth-trans", "eye-trans"),
    *("head-angle", "eye-push1", "eye-push2", "eye-scale", "nose-septumangle"),
    *("head-back-scale-depth", "eyebrows-angle", "nose-hump", "nose-compression", "chin-cleft"),
    *("chin-jaw-drop", "nose-base", "mouth-laugh-lines", "eye-bag", "neck-double"),
    *("forehead-nubian", "forehead-scale-vert", "ear-flap", "ear-wing"),
)
SIGNATURES = (
    *("head-fat", "head-scale-horiz", "eyebrows-trans", "mouth-scale-vert", "eye-scale"),
    *("eye-trans", "eye-corner1", "nose-scale-horiz", "nose-scale-vert", "nose-volume"),
    *("nose-width3", "mouth-scale-horiz", "mouth-lowerlip-height", "mouth-upperlip-height"),
    *("chin-width", "chin-height", "chin-prominent", "cheek-bones", "cheek-volume", "ear-scale"),
)
# The template's face is sleepy and sullen; people before a camera are not.
USUAL = {"eye-height1": 0.12, "eye-height2": 0.25, "eye-height3": 0.12, "mouth-angles": 0.18}
STYLES_OF = {
    "female": {
        "long": 0.19,
        "wavy": 0.16,
        "bob": 0.18,
        "curly": 0.12,
        "ponytail": 0.13,
        "bun": 0.11,
        "short": 0.11,
    },
    "male": {
        "short": 0.28,
        "side": 0.22,
        "buzz": 0.13,
        "curly": 0.12,
        "bald": 0.08,
        "slick": 0.11,
        "bob": 0.06,
    },
}
AFRICAN_STYLES = {
    "female": {"curly": 0.5, "bun": 0.25, "buzz": 0.25},
    "male": {"buzz": 0.5, "curly": 0.5},
}
STYLES = (
    "long",
    "wavy",
    "bob",
    "short",
    "side",
    "slick",
    "buzz",
    "curly",
    "ponytail",
    "bun",
    "bald",
)
BEARDS = {"none": 0.42, "stubble": 0.18, "beard": 0.18, "moustache": 0.11, "goatee": 0.11}
GLASSES = {"none": 0.66, "round": 0.17, "square": 0.17}


@dataclass(frozen=True)
class Brows:
    """The brows' shape in the template's x, y: thickness, height, arch, slope, ends, density."""

    thickness: float
    height: float
    arch: float
    slope: float
    inner: float
    outer: float
    density: float


@dataclass(frozen=True, eq=False)
class Person:
    """Who somebody is. `axes` are signed numbers in -1..1 in the order of `local_axes`."""

    seed: int
    sex: str
    ancestry: str
    gender: float
    race: np.ndarray
    fat: float
    axes: np.ndarray
    sides: np.ndarray
    head_shape: str
    head_shape_weight: float
    skin: np.ndarray
    hair_name: str
    hair: np.ndarray
    iris: np.ndarray
    brows: Brows
    marks: tuple[Mark, ...]
    lips: float
    lip_colour: int
    blush: float
    style: str
    parting: float
    fringe: bool
    wave: float
    hairline: float
    length: float
    baldness: float
    greying: float
    beard: str
    glasses: str
    frame: np.ndarray
    earrings: bool
    paint_seed: int
    male: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "male", self.sex == "male")

    def local_weights(self) -> dict[str, float]:
        """Weights of the local targets of the adult."""
        weights = {"head:head-" + self.head_shape: self.head_shape_weight}
        for axis, x, side in zip(local_axes(), self.axes, self.sides, strict=True):
            for i, target in enumerate(axis.more if x > 0 else axis.less):
                uneven = side * (1, -1)[i] if len(axis.more) == 2 and abs(x) > 0.1 else 0.0
                weights[target] = abs(float(x)) + float(uneven)
        return weights


@lru_cache(64)
def person(seed: int) -> Person:
    """The person of a seed."""
    rng = np.random.default_rng([1, seed])
    sex = ("female", "male")[int(rng.random() < 0.5)]
    male = sex == "male"
    ancestry = one_of(rng, {name: a.chance for name, a in ANCESTRIES.items()})
    kind = ANCESTRIES[ancestry]
    race = np.array(kind.race) + 0.35 * rng.dirichlet([0.6] * 3)
    skin = mix(colour(rng.choice(kind.skin)), colour(rng.choice(kind.skin)), rng.random())
    hair_name = one_of(rng, kind.hair)
    hair = colour(rng.choice(HAIR[hair_name])) * rng.uniform(0.85, 1.2)
    axes = _axes(rng)
    return Person(
        seed=seed,
        sex=sex,
        ancestry=ancestry,
        gender=float(np.clip(0.82 * male + 0.09 + rng.normal(0, 0.06), 0, 1)),
        race=race / race.sum(),
        fat=float(np.clip(rng.normal(0, 0.42), -0.8, 0.9)),
        axes=axes,
        sides=rng.normal(0, 0.04, len(axes)),
        head_shape=HEAD_SHAPES[rng.integers(len(HEAD_SHAPES))],
        head_shape_weight=float(rng.uniform(0.15, 0.65)),
        skin=skin * rng.uniform(0.86, 1.06),
        hair_name=hair_name,
        hair=hair + 0.004 * (hair_name == "black"),
        iris=colour(rng.choice(kind.iris)) * rng.uniform(0.8, 1.25),
        brows=_brows(rng, male),
        marks=draw_marks(rng, 0.35 if ancestry == "caucasian" else 0.07),
        lips=float(rng.uniform(0.1, 0.75) * (0.3 if male else 1)),
        lip_colour=int(rng.integers(3)),
        blush=float(rng.uniform(0, 0.35)),
        style=_style(rng, sex, ancestry),
        parting=float(rng.choice([-0.35, 0, 0.35])),
        fringe=bool(rng.random() < (0.2 if male else 0.4)),
        wave=float(rng.uniform(0, 0.08)),
        hairline=float(rng.normal(0, 3)),
        length=float(rng.uniform(0.75, 1.25)),
        baldness=float(rng.random()) if male else 0.0,
        greying=float(rng.normal(54, 7)),
        beard=one_of(rng, BEARDS) if male else "none",
        glasses=one_of(rng, GLASSES),
        frame=colour(rng.choice(FRAMES)),
        earrings=bool(rng.random() < (0.08 if male else 0.4)),
        paint_seed=int(rng.integers(1 << 30)),
    )


def _axes(rng: np.random.Generator) -> np.ndarray:
    own = rng.choice(SIGNATURES, 4, replace=False)
    numbers = []
    for axis in local_axes():
        x = float(np.clip(rng.normal(0, SPREAD[axis.group]), -0.75, 0.75))
        x = (0.4 if axis.name in QUIET else 1.0) * x + USUAL.get(axis.name, 0.0)
        strong = float(rng.uniform(0.5, 0.8) * rng.choice([-1, 1]))
        numbers.append(strong if axis.name in own else x)
    return np.array(numbers)


def _brows(rng: np.random.Generator, male: bool) -> Brows:
    thickness = rng.normal(0.046 + 0.014 * male, 0.013)
    return Brows(
        thickness=float(np.clip(thickness, 0.022, 0.085)),
        height=float(rng.normal(7.562, 0.022)),
        arch=float(np.clip(rng.normal(0.030, 0.020), 0, 0.08)),
        slope=float(rng.normal(-0.025, 0.03)),
        inner=float(rng.normal(0.13, 0.025)),
        outer=float(rng.normal(0.58, 0.035)),
        density=float(rng.uniform(0.7, 1.0)),
    )


def _style(rng: np.random.Generator, sex: str, ancestry: str) -> str:
    style = one_of(rng, STYLES_OF[sex])
    curls = one_of(rng, AFRICAN_STYLES[sex])
    straight = style in ("long", "wavy", "side", "slick", "bob", "ponytail")
    return curls if ancestry == "african" and straight and rng.random() < 0.75 else style
