"""What is asked for: the target's caption, other ages, and hair, glasses and scene at random."""

from __future__ import annotations

from typing import Any

from ..steps import random_of
from .conditions import ASKED, CHILD, OLD
from .people import HeldOut, Person

STAGE = 8  # of the random numbers
COLOURS = ("black", "brown", "light brown", "blond", "red", "grey")
TOLD = ("age_class", "hair", "glasses", "scene")
"""The attributes that a prompt decides and that are counted."""
GLASSES = {"round": "glasses", "square": "glasses"}
"""Captions say no more of them."""


def prompts_of(held_out: HeldOut, people: list[Person], seed: int) -> dict[str, list[str]]:
    """For each kind of prompt one for each person."""
    records = [held_out.records[person.target] for person in people]
    asked = [_asked(p, r, seed) for p, r in zip(people, records, strict=True)]
    return {
        "own": [record["captions"][0] for record in records],
        CHILD: [f"photo of a child, {_scene(record)}" for record in records],
        OLD: [f"photo of an old {_adult(record)}, {_scene(record)}" for record in records],
        ASKED: [text for text, _ in asked],
    }


def truths(held_out: HeldOut, people: list[Person], kind: str, seed: int) -> list[dict[str, str]]:
    """What each prompt of a kind says of TOLD."""
    records = [held_out.records[person.target] for person in people]
    if kind == ASKED:
        return [_asked(p, r, seed)[1] for p, r in zip(people, records, strict=True)]
    if kind in (CHILD, OLD):
        return [{"age_class": kind, "scene": r["attributes"]["scene"]} for r in records]
    return [said_of(record) for record in records]


def said_of(record: dict[str, Any]) -> dict[str, str]:
    """TOLD of a photo, in the words of captions."""
    known = record["attributes"]
    return {name: as_told(name, str(known[name])) for name in TOLD}


def as_told(name: str, word: str) -> str:
    """A word of an attribute, without what captions do not tell."""
    return GLASSES.get(word, word) if name == "glasses" else word


def neutral(record: dict[str, Any], scene: str) -> str:
    """A prompt that says nothing of a person but age and sex."""
    from ..people.captions import SCENES

    age = record["attributes"]["age_class"]
    child = {"male": "boy", "female": "girl"}.get(record["attributes"]["sex"], "child")
    who = child if age == CHILD else f"{age} {_adult(record)}"
    return f"photo of {_article(who)} {who}, {SCENES[scene][0]}"


def _asked(person: Person, record: dict[str, Any], seed: int) -> tuple[str, dict[str, str]]:
    """A prompt with hair, glasses and scene that have nothing to do with the person."""
    from ..people.captions import HAIR, SCENES

    random = random_of(seed, STAGE, person.number)
    known = record["attributes"]
    colour = COLOURS[int(random.integers(len(COLOURS)))]
    scene = list(SCENES)[int(random.integers(len(SCENES)))]
    glasses = bool(random.integers(2))
    style = known["style"] if known["style"] in HAIR else "short"
    who = "child" if known["age_class"] == CHILD else f"{known['age_class']} {_adult(record)}"
    parts = [f"{who} with {HAIR[style].format(colour)}", *(["glasses"] if glasses else [])]
    text = f"photo of {_article(who)} {', '.join([*parts, SCENES[scene][0], known['garment']])}"
    said = {"hair": colour, "glasses": "glasses" if glasses else "none", "scene": scene}
    return text, {"age_class": known["age_class"], **said}


def _adult(record: dict[str, Any]) -> str:
    return "man" if record["attributes"]["sex"] == "male" else "woman"


def _scene(record: dict[str, Any]) -> str:
    from ..people.captions import SCENES

    return SCENES[record["attributes"]["scene"]][0]


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"
