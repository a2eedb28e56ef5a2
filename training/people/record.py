"""A photo and a person as files and JSON: what a set stores, and how exactly."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from PIL import Image

from .captions import attributes, captions
from .identity import person
from .look import Look
from .marks import Mark
from .photo import Photo, SeenMark, neutral_head
from .plan import Sitting
from .vector import identity_vector

QUALITY = 92


def photo_files(
    seed: int, index: int, look: Look, sitting: Sitting, photo: Photo
) -> dict[str, bytes]:
    """The files of one sample, by extension."""
    shot = sitting.shot
    rng = np.random.default_rng([13, seed, index])
    record = {
        "person": seed,
        "index": index,
        "age": sitting.years,
        "look": sitting.look,
        "captions": captions(rng, look, shot),
        "attributes": attributes(look, shot),
        "box": numbers(photo.box, 2),
        "landmarks": numbers(photo.landmarks, 2),
        "landmarks_3d": numbers(photo.landmarks_3d, 3),
        "head": numbers(photo.head, 4),
        "five": numbers(photo.five, 2),
        "five_3d": numbers(photo.five_3d, 3),
        "pose": {
            "rotation": numbers(photo.pose.rotation, 6),
            "scale": round(photo.pose.scale, 4),
            "shift": numbers(photo.pose.shift, 3),
        },
        "expression": numbers(shot.units, 3),
        "marks": [_seen(mark) for mark in photo.marks],
        "identity": numbers(identity_vector(look.person), 4),
    }
    return {
        "webp": _encoded(photo.image, "WEBP", quality=QUALITY, method=4),
        "mask.png": _encoded(photo.mask, "PNG", optimize=False),
        "json": dumped(record),
    }


def person_record(seed: int, looks: dict[int, Look]) -> dict[str, Any]:
    """What is stored of a person, with the neutral face of every age that was drawn."""
    p = person(seed)
    ages = {look.years: look for _, look in sorted(looks.items(), reverse=True)}
    return {
        "person": seed,
        "sex": p.sex,
        "ancestry": p.ancestry,
        "identity": numbers(identity_vector(p), 4),
        "marks": [_mark(mark) for mark in p.marks],
        "neutral": [
            {"age": years, "head": numbers(neutral_head(look), 4)}
            for years, look in sorted(ages.items())
        ],
    }


def numbers(values: np.ndarray, digits: int) -> list:
    """Values as JSON lists with that many digits after the point."""
    return np.round(np.asarray(values, np.float64), digits).tolist()


def dumped(record: Any) -> bytes:
    """JSON without blanks, keys in the order of the record."""
    return json.dumps(record, separators=(",", ":")).encode()


def _mark(mark: Mark) -> dict[str, Any]:
    place = [mark.x, mark.y, mark.x2, mark.y2] if mark.kind == "scar" else [mark.x, mark.y]
    return {
        "kind": mark.kind,
        "template": [round(value, 4) for value in place],
        "radius": round(mark.radius, 4),
    }


def _seen(seen: SeenMark) -> dict[str, Any]:
    place = [round(float(seen.x), 2), round(float(seen.y), 2)]
    return {"kind": seen.mark.kind, "place": place, "visible": seen.visible}


def _encoded(image: np.ndarray, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()
