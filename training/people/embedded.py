"""Photos of the people whom the embedded default comes with: who they are, and which are taken.

They are held out, and later seeds than sets of held-out people to measure with are likely to have.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from flashface_core.demo.people import AGES, NAMES, PHOTOS, photo_file
from flashface_core.faces.boxes import Box
from flashface_core.faces.detection import Detector, load_detector

from .identity import person
from .look import make_look, usual_wear
from .photo import Photo, take_photo
from .shot import KINDS, draw_shot

SEEDS = (1_000_525, 1_000_647, 1_000_561, 1_000_747, 1_000_874, 1_000_596, 1_000_526, 1_000_552)
YEARS: dict[str, float] = dict(zip(AGES, (25.0, 70.0), strict=True))
SIZE, QUALITY = 256, 90
LOOKS = 2  # sets of clothes at each age
WIDEST_YAW = 20.0
THRESHOLD, AGREEMENT = 0.6, 0.4  # of Detect & Crop Faces; overlap of found and true box over union
MOST_SHOTS = 60


def draw_people(folder: Path) -> list[str]:
    """Draw the photos that are not there, delete those of nobody; the names of all.

    Raises ValueError where the built-in detector finds too few of somebody's photos.
    """
    folder.mkdir(parents=True, exist_ok=True)
    detector = load_detector("lbp")
    names: list[str] = []
    for name, seed in zip(NAMES, SEEDS, strict=True):
        for age in AGES:
            files = [folder / photo_file(name, age, i + 1) for i in range(PHOTOS)]
            if not all(file.exists() for file in files):
                for file, content in zip(files, _found(seed, age, detector), strict=True):
                    file.write_bytes(content)
            names += [file.name for file in files]
    for file in folder.iterdir():
        if file.name not in names:
            file.unlink()
    return names


def _found(seed: int, age: str, detector: Detector) -> list[bytes]:
    """The first photos of somebody that the built-in detector finds, half of them in each look."""
    chosen: list[bytes] = []
    for look in range(LOOKS):
        own = 0
        for photo in _photos(seed, age, look):
            stored = _encoded(photo)
            if _finds(detector, stored, Box(*map(float, photo.box))):
                chosen.append(stored)
                own += 1
            if own == PHOTOS // LOOKS:
                break
        else:
            raise ValueError(
                f"The built-in detector finds {own} of {MOST_SHOTS} photos of person {seed} "
                f"({age}), and {PHOTOS // LOOKS} are needed: take another person in SEEDS."
            )
    return chosen


def _photos(seed: int, age: str, look: int) -> Iterator[Photo]:
    p, years = person(seed), YEARS[age]
    wear = usual_wear(np.random.default_rng([14, seed, look]), p, years)
    shaped = make_look(p, years, replace(wear, hat="none"), look)
    for number in range(MOST_SHOTS):
        rng = np.random.default_rng([15, seed, int(years), look, number])
        shot = draw_shot(rng, KINDS["portraits"])
        if abs(shot.yaw) < WIDEST_YAW:
            yield take_photo(shaped, shot, SIZE)


def _encoded(photo: Photo) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo.image).save(file, "WEBP", quality=QUALITY, method=6)
    return file.getvalue()


def _finds(detector: Detector, stored: bytes, truth: Box) -> bool:
    with Image.open(io.BytesIO(stored)) as picture:
        faces = [f for f in detector.detect(picture.convert("RGB")) if f.score >= THRESHOLD]
    if len(faces) != 1:  # a second one would be somebody that is not there
        return False
    common = faces[0].box.overlap(truth)
    return common / (faces[0].box.area + truth.area - common) > AGREEMENT
