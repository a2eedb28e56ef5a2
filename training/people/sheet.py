"""Contact sheets: people, one person a row, ages, variations; for looking at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .expressions import NAMED, named
from .garments import GARMENTS
from .hats import HATS
from .identity import BEARDS, STYLES, Person, person
from .light import draw_light
from .look import Wear, changed_wear, fitting, make_look, usual_wear
from .photo import Photo, take_photo
from .shot import KINDS, Shot, draw_shot

FIRST = 5000  # the seed of the first person on a sheet


def _shot(seed: int, kind: str = "portraits") -> Shot:
    return draw_shot(np.random.default_rng([7, seed]), KINDS[kind])


def _calm(seed: int, yaw: float = 0.0) -> Shot:
    light = draw_light(np.random.default_rng(seed), "soft light")
    quiet = replace(_shot(seed), yaw=yaw, pitch=0.0, roll=0.0, scene="plain", scene_seed=seed)
    return replace(
        quiet, expression="neutral", units=named("neutral"), light=light, face_width=0.36
    )


def _wear(p: Person, seed: int, years: float) -> Wear:
    return usual_wear(np.random.default_rng([8, p.seed, seed]), p, years)


def people(size: int) -> Iterator[list[Photo]]:
    """Many people, a portrait each."""
    rng = np.random.default_rng(1)
    for row in range(6):
        photos = []
        for column in range(8):
            p = person(FIRST + 8 * row + column)
            years = float(rng.choice([8, 22, 30, 42, 60, 75], p=[0.1, 0.25, 0.25, 0.18, 0.12, 0.1]))
            look = make_look(p, years, _wear(p, 0, years), 0)
            photos.append(take_photo(look, _shot(100 * row + column), size))
        yield photos


def same(size: int) -> Iterator[list[Photo]]:
    """A person a row: five photos of a look, three of another."""
    for row in range(6):
        p = person(FIRST + 100 + row)
        rng = np.random.default_rng([9, row])
        looks = [
            make_look(p, 30.0, wear(rng, p, 30.0), i)
            for i, wear in enumerate((usual_wear, changed_wear))
        ]
        yield [take_photo(looks[i > 4], _shot(1000 + 10 * row + i), size) for i in range(8)]


def poses(size: int) -> Iterator[list[Photo]]:
    """The same for the other kind of set."""
    for row in range(4):
        p = person(FIRST + 150 + row)
        look = make_look(p, 35.0, _wear(p, 0, 35.0), 0)
        yield [take_photo(look, _shot(4000 + 10 * row + i, "poses"), size) for i in range(8)]


def ages(size: int) -> Iterator[list[Photo]]:
    """The same people at 8, 18, 30, 55 and 75."""
    for row in range(5):
        p = person(FIRST + 200 + row)
        photos = []
        for years in (8.0, 18.0, 30.0, 55.0, 75.0):
            look = make_look(p, years, replace(_wear(p, 0, years), hat="none"), 0)
            photos.append(take_photo(look, _calm(row), size))
        yield photos


def variations(size: int) -> Iterator[list[Photo]]:
    """Hair styles, glasses, hats, garments, beards and expressions."""
    for p in (person(FIRST + 303), person(FIRST + 304)):
        base = replace(_wear(p, 0, 30.0), hat="none", glasses="none", beard="none")
        styles = [replace(base, style=style) for style in STYLES]
        yield _dressed(p, styles[:8], -18, size)
        worn = [replace(base, hat=kind) for kind in HATS[1:]]
        specs = [replace(base, glasses=kind) for kind in ("round", "square", "sunglasses")]
        yield _dressed(p, [*styles[8:], *worn, *specs][:8], 20, size)
        beards = [replace(base, beard=kind, style="short") for kind in BEARDS if kind != "none"]
        clothes = [
            replace(base, garment=replace(base.garment, kind=kind)) for kind in list(GARMENTS)[1:]
        ]
        yield _dressed(p, [*specs[-1:], *beards, *clothes][:8], 8, size)
    p = person(FIRST + 305)
    look = make_look(p, 30.0, replace(_wear(p, 0, 30.0), hat="none", glasses="none"), 0)
    shots = [replace(_calm(3), expression=e, units=named(e)) for e in NAMED]
    yield [take_photo(look, shot, size) for shot in [*shots, shots[0]]]


def _dressed(p: Person, wears: list[Wear], yaw: float, size: int) -> list[Photo]:
    return [
        take_photo(make_look(p, 30.0, fitting(wear, 30.0), 0), _calm(p.seed, yaw), size)
        for wear in wears
    ]


SHEETS: dict[str, Callable[[int], Iterator[list[Photo]]]] = {
    "people": people,
    "same": same,
    "poses": poses,
    "ages": ages,
    "variations": variations,
}


def draw_sheet(name: str, size: int, path: Path, marked: bool = False) -> None:
    """Draw the sheet `name` of `SHEETS` into a PNG; `marked`: with landmarks and box."""
    rows = []
    for photos in SHEETS[name](size):
        pictures = [_marked(photo) if marked else photo.image for photo in photos]
        rows.append(np.concatenate(pictures, 1))
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def _marked(photo: Photo) -> np.ndarray:
    image = Image.fromarray(photo.image)
    draw = ImageDraw.Draw(image)
    draw.rectangle([float(x) for x in photo.box], outline=(255, 255, 0))
    draw.point([(float(x), float(y)) for x, y in photo.landmarks], fill=(255, 0, 0))
    draw.point([(float(x), float(y)) for x, y in photo.five], fill=(0, 255, 255))
    return np.array(image)
