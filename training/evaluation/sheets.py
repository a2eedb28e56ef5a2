"""Sheets to answer by eye, blind: python -m training.evaluation.sheets RECIPE [KEY=VALUE ...]

With --answers B A D ..., one for each sheet, the key is opened and the answers are counted.

Each has pictures of a person, painted with all references and prompts that say age and sex only,
and four rows of photos: the person's own, none of which was shown, among three strangers' of the
same sex and age class where there are some. The key lies apart, in sheets-key.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from flashface_core.drawing import DARK, GAP, LIGHT, write

from .. import host
from ..config import ConfigError, load_config
from ..evaluate import FOLDER, show_progress
from ..steps import random_of
from . import conditions
from .faces import as_bytes
from .painter import paint
from .painting import Studio, decoded, open_studio, sitters_of
from .people import Person
from .prompts import neutral

log = logging.getLogger(__name__)
STAGE = 10  # of the random numbers
SCENES = ("plain", "park", "room", "beach")
ROWS, PHOTOS, SIDE = "ABCD", 3, 224
ALIKE = ("sex", "age_class")
SCORE = "sheets-score.json"


def make_sheets(studio: Studio, folder: Path, count: int, alike: Sequence[str] = ALIKE) -> Path:
    """Write the sheets, and their key apart from them; the key's path.

    alike: attributes that strangers share with the person, the first matter most.
    Raises ValueError where too few people have enough photos that were not shown.
    """
    people = [person for person in studio.held_out.people if len(person.unseen) >= PHOTOS]
    if len(people) < max(count, len(ROWS)):
        raise ValueError(
            f"{len(people)} of the people have {PHOTOS} photos of one age beside the references, "
            f"and {count} sheets need as many: ask for fewer sheets, or raise evaluate.people."
        )
    random = random_of(studio.config.seed, STAGE)
    chosen = [people[i] for i in random.permutation(len(people))[:count]]
    painted = paint_each(studio, chosen)
    key = {}
    folder.mkdir(parents=True, exist_ok=True)
    for number, (person, pictures) in enumerate(zip(chosen, painted, strict=True), start=1):
        rows = [person, *_strangers(studio, person, people, random, alike)]
        order = random.permutation(len(rows))
        name = f"sheet-{number:02d}"
        _draw(studio, pictures, [rows[i] for i in order]).save(folder / f"{name}.png")
        key[name] = {"own": ROWS[int(np.argmin(order))], "rows": [rows[i].number for i in order]}
    path = key_of(folder)
    (path.parent / SCORE).unlink(missing_ok=True)  # of other sheets
    path.write_text(json.dumps(key, indent=1), encoding="utf-8")
    return path


def key_of(folder: Path) -> Path:
    """Where the key of a folder of sheets lies."""
    return folder.with_name(f"{folder.name}-key.json")


def score(key: Path, answers: Sequence[str]) -> dict[str, Any]:
    """Count answers, in the sheets' order, and keep the count beside the key.

    Raises ValueError where answers are too few or too many, or are none of the rows.
    """
    own = {name: sheet["own"] for name, sheet in json.loads(key.read_bytes()).items()}
    given = [answer.upper() for answer in answers]
    if len(given) != len(own) or not set(given) <= set(ROWS):
        raise ValueError(
            f"The answers are {' '.join(answers)}, and there are {len(own)} sheets: give one of "
            f"{', '.join(ROWS)} for each, in their order."
        )
    wrong = [name for (name, row), said in zip(own.items(), given, strict=True) if row != said]
    found = {"right": len(own) - len(wrong), "sheets": len(own), "rows": len(ROWS), "wrong": wrong}
    (key.parent / SCORE).write_text(json.dumps(found), encoding="utf-8")
    return found


def read_score(folder: Path) -> dict[str, Any] | None:
    """What `score` kept in the folder of an evaluation, if anything."""
    path = folder / SCORE
    return json.loads(path.read_bytes()) if path.exists() else None


def paint_each(studio: Studio, people: Sequence[Person]) -> list[np.ndarray]:
    """Pictures (scenes, S, S, 3), uint8, of each person, at the start template's settings."""
    own, held_out = studio.config.evaluate, studio.held_out
    start = dataclasses.replace(conditions.start(own), prompt="neutral")
    latents = []
    for again, scene in enumerate(SCENES, start=1):
        prompts = {"neutral": [neutral(held_out.records[p.target], scene) for p in people]}
        sitters = dataclasses.replace(sitters_of(studio, people, again), prompts=prompts)
        latents.append(paint(studio.model, sitters, [start], own)[0])
        log.info("painted %d of %d", again, len(SCENES))
    return [as_bytes(decoded(studio, own)) for own in torch.stack(latents, 1)]


def _strangers(
    studio: Studio, person: Person, people: list[Person], random: np.random.Generator, alike
) -> list[Person]:
    """As like as there are, by the attributes of their targets."""
    known = {p.number: studio.held_out.records[p.target]["attributes"] for p in people}
    mine = known[person.number]

    def rank(other: Person) -> tuple:
        return *(known[other.number][name] != mine[name] for name in alike), random.random()

    others = [other for other in people if other.number != person.number]
    return sorted(others, key=rank)[: len(ROWS) - 1]


def _draw(studio: Studio, painted: np.ndarray, rows: Sequence[Person]) -> Image.Image:
    step = SIDE + GAP
    image = Image.new("RGB", (40 + len(SCENES) * step, 40 + (len(ROWS) + 1) * step + 40), DARK)
    write(image, (40, 10), "Painted. Whose photos are these below?", LIGHT, 18)
    _place(image, painted, 40)
    for i, person in enumerate(rows):
        top = 80 + (i + 1) * step
        write(image, (10, top + SIDE // 2), ROWS[i], LIGHT, 24)
        _place(image, studio.held_out.pictures(person.unseen[:PHOTOS]).numpy(), top)
    return image


def _place(image: Image.Image, pictures: np.ndarray, top: int) -> None:
    for i, picture in enumerate(pictures):
        scaled = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        image.paste(scaled, (40 + i * (SIDE + GAP), top))


def main(arguments: list[str] | None = None) -> int:
    """Write sheets; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluation.sheets",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("config", type=Path, help="a recipe")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--count", type=int, default=12, help="how many sheets")
    parser.add_argument("--answers", nargs="+", metavar="A|B|C|D", help="count these, in order")
    parser.add_argument("--alike", nargs="*", default=ALIKE, help="attributes of strangers")
    given = parser.parse_args(arguments)
    show_progress()
    try:
        config = load_config(given.config, given.changes)
        folder = host.runs_folder() / config.run / FOLDER / "sheets"
        if given.answers:
            log.info("%s", score(key_of(folder), given.answers))
            return 0
        studio = open_studio(config)
        log.info("%s", make_sheets(studio, folder, given.count, given.alike))
    except (ConfigError, FileNotFoundError, ValueError) as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
