"""Grids of painted people, a person a row, with a caption over each column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from flashface_core.drawing import DARK, GAP, LIGHT, text_width, write

from . import conditions
from .conditions import START, with_references
from .faces import as_bytes
from .painting import Pictures, Studio, decoded

ROWS = 8
HEAD = 26
SMALLEST = 112  # pixels of a column, so that captions fit


def grids_of(studio: Studio, painted: Sequence[Pictures]) -> dict[str, Image.Image]:
    """By name: photos beside what references give, and beside other prompts."""
    own = {pictures.condition.name: pictures for pictures in painted}
    count = studio.config.evaluate.references
    numbers = [n for n in (0, 1, count) if with_references(n, studio.config.evaluate) in own]
    shown = [(f"N = {n}", with_references(n, studio.config.evaluate)) for n in numbers]
    found = {"references": _grid(studio, own, shown, count)}
    prompts = [("own caption", START), ("asked at random", conditions.ASKED)]
    prompts += [(f"a {age}" if age == conditions.CHILD else "an old", age)
                for age in conditions.AGES if age in own]  # fmt: skip
    return found | {"prompts": _grid(studio, own, prompts, 2)}


def _grid(
    studio: Studio, own: dict[str, Pictures], columns: Sequence[tuple[str, str]], photos: int
) -> Image.Image:
    held_out = studio.held_out
    both = set.intersection(*(set(own[name].people) for _, name in columns))
    who = sorted(both)
    who = who[:: max(1, len(who) // ROWS)][:ROWS]
    people = [held_out.people[i] for i in who]
    named = [
        (f"photo {i + 1}" if photos > 1 else "photo",
         held_out.pictures([person.shown[i % len(person.shown)] for person in people]))
        for i in range(photos)
    ]  # fmt: skip
    for title, name in columns:
        places = [own[name].people.index(i) for i in who]
        named.append((title, decoded(studio, own[name].latents[places])))
    named.append(("target", held_out.pictures([person.target for person in people])))
    return sheet([(title, as_bytes(pictures)) for title, pictures in named])


def sheet(columns: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Columns of pictures (R, S, S, 3), uint8, each under its name."""
    rows, side = columns[0][1].shape[:2]
    shown = max(side, SMALLEST)
    image = Image.new(
        "RGB", (len(columns) * (shown + GAP) + GAP, rows * (shown + GAP) + HEAD), DARK
    )
    for i, (title, pictures) in enumerate(columns):
        x = GAP + i * (shown + GAP)
        write(image, (x + max(0, (shown - text_width(title, 14)) // 2), 4), title, LIGHT, 14)
        for j, picture in enumerate(pictures):
            scaled = Image.fromarray(picture).resize((shown, shown), Image.Resampling.LANCZOS)
            image.paste(scaled, (x, HEAD + j * (shown + GAP)))
    return image
