"""Captions and attributes: what a photo shows, in words that a small text encoder learns.

One colour word a caption (the hair's): such an encoder binds no colour to its thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .identity import Person
from .look import Look
from .regions import greyness
from .shot import Shot

CHILD_UNTIL, YOUNG_UNTIL, OLD_FROM = 13, 32, 60
SCENES = {
    "plain": ("plain background", "simple background"),
    "studio": ("in a studio", "studio portrait"),
    "park": ("in a park", "outdoors in a park"),
    "street": ("in a street", "outdoors in a street"),
    "beach": ("on a beach", "outdoors on a beach"),
    "room": ("in a room", "indoors in a room"),
}
OLD = ("old", "elderly", "aged", "senior")
HAIR = {
    "long": "long {} hair",
    "wavy": "wavy {} hair",
    "bob": "medium {} hair",
    "short": "short {} hair",
    "side": "parted {} hair",
    "slick": "slick {} hair",
    "buzz": "cropped {} hair",
    "curly": "curly {} hair",
    "ponytail": "{} hair in a ponytail",
    "bun": "{} hair in a bun",
}
STARTS = ("photo of ", "portrait of ", "")


def age_class(years: float) -> str:
    """child, young, middle-aged or old."""
    if years < CHILD_UNTIL:
        return "child"
    if years < YOUNG_UNTIL:
        return "young"
    return "middle-aged" if years < OLD_FROM else "old"


def hair_colour(p: Person, years: float) -> str:
    """The colour that one sees: grey when most hair is."""
    return "grey" if greyness(years, p.greying) > 0.6 else p.hair_name


def attributes(look: Look, shot: Shot) -> dict[str, Any]:
    """What a classifier may be asked about a photo; JSON values."""
    p, wear = look.person, look.wear
    bald = wear.style == "bald"
    return {
        "sex": p.sex,
        "ancestry": p.ancestry,
        "age_class": age_class(look.years),
        "hair": "none" if bald else hair_colour(p, look.years),
        "style": wear.style,
        "beard": wear.beard,
        "glasses": wear.glasses,
        "hat": wear.hat,
        "earrings": wear.earrings,
        "freckles": any(mark.kind == "freckle" for mark in p.marks),
        "garment": wear.garment.kind,
        "garment_colour": wear.garment.colour,
        "expression": shot.expression,
        "scene": shot.scene,
        "light": shot.light.name,
        "yaw": round(shot.yaw, 2),
        "pitch": round(shot.pitch, 2),
        "roll": round(shot.roll, 2),
        "face_width": round(shot.face_width, 4),
    }


def captions(rng: np.random.Generator, look: Look, shot: Shot) -> list[str]:
    """Three captions: everything, some of it in other words, and little."""
    known = attributes(look, shot)
    who = _who(rng, look)
    hair = _hair(known)
    extras = _extras(known)
    scene = SCENES[shot.scene]
    light = [shot.light.name] if shot.light.name != "daylight" or rng.random() < 0.5 else []
    full = [f"{who} with {', '.join([hair, *extras])}", scene[0], *light, known["garment"]]
    kept = [extra for extra in extras if rng.random() < 0.7]
    last = [*light, known["garment"]]
    last = [last[rng.integers(len(last))]]
    some = [f"{_who(rng, look)} with {', '.join([hair, *kept])}", scene[1], *last]
    few = [_who(rng, look), *_some_of(rng, [*extras, scene[rng.integers(2)]], 2)]
    texts = (full, some, few)
    return [_begun(start, ", ".join(parts)) for start, parts in zip(STARTS, texts, strict=True)]


def _begun(start: str, text: str) -> str:
    article = "an" if text[0] in "aeiou" else "a"
    return f"{start}{article} {text}"


def _who(rng: np.random.Generator, look: Look) -> str:
    male, years = look.person.male, look.years
    if years < CHILD_UNTIL:
        return str(rng.choice(["boy" if male else "girl", "child"], p=[0.7, 0.3]))
    adult = "man" if male else "woman"
    word = age_class(years)
    if word == "old":
        word = str(rng.choice(OLD, p=[0.55, 0.15, 0.15, 0.15]))
    return f"{word} {adult}"


def _hair(known: dict[str, Any]) -> str:
    if known["style"] == "bald":
        return "a bald head"
    return HAIR[known["style"]].format(known["hair"])


def _extras(known: dict[str, Any]) -> list[str]:
    words = [
        known["beard"] if known["beard"] != "none" else "",
        "freckles" if known["freckles"] else "",
        {"none": "", "sunglasses": "sunglasses"}.get(known["glasses"], "glasses"),
        known["hat"] if known["hat"] != "none" else "",
        "earrings" if known["earrings"] else "",
        known["expression"] if known["expression"] != "neutral" else "",
        "close-up" if known["face_width"] > 0.44 else "",
        "looking left" if known["yaw"] < -18 else "looking right" if known["yaw"] > 18 else "",
    ]
    return [word for word in words if word]


def _some_of(rng: np.random.Generator, words: Sequence[str], most: int) -> list[str]:
    count = min(len(words), int(rng.integers(1, most + 1)))
    chosen = sorted(rng.choice(len(words), count, replace=False))
    return [str(words[i]) for i in chosen]
