"""Pictures of people by random access: the sets that `python -m training.people set` writes.

A set is a folder of shard-NNNNN.tar with KEY.webp, KEY.mask.png and KEY.json, and of
shard-NNNNN.json, which says whose they are and where they lie in the tar.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HELD_OUT_FROM = 1_000_000
"""Seeds of people that no training may see start here (see training/people)."""


@dataclass(frozen=True)
class Place:
    """Where one photo lies: its tar, and offset and size of each of its files."""

    key: str
    person: int
    tar: Path
    files: dict[str, list[int]] = field(hash=False)

    def read(self, ending: str) -> bytes:
        """The bytes of one of its files, such as `webp` or `json`."""
        offset, size = self.files[ending]
        with open(self.tar, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def picture(self, ending: str = "webp") -> np.ndarray:
        """One of its pictures, (S, S, 3) uint8; raises ValueError where it is not square."""
        with Image.open(io.BytesIO(self.read(ending))) as image:
            if image.width != image.height:
                raise ValueError(
                    f"{self.key}.{ending} of {self.tar} is {image.width} x {image.height} pixels: "
                    "photos and their masks must be square. Crop them before they are packed."
                )
            return np.array(image.convert("RGB"))

    def record(self) -> dict[str, Any]:
        """What is known about it: box, landmarks, captions, attributes."""
        return json.loads(self.read("json"))


def find_photos(folders: Sequence[Path]) -> list[Place]:
    """All photos of the finished shards of some sets, in a fixed order.

    Raises FileNotFoundError for a folder that has none.
    """
    photos = []
    for folder in folders:
        indices = sorted(folder.glob("shard-*.json"))
        if not indices:
            raise FileNotFoundError(
                f"{folder} has no finished shards. Draw some: python -m training.people set."
            )
        for index in indices:
            tar = index.with_suffix(".tar")
            for sample in json.loads(index.read_bytes())["samples"]:
                photos.append(Place(sample["key"], sample["person"], tar, sample["files"]))
    return photos


def for_training(photos: Sequence[Place]) -> list[Place]:
    """The photos as they are; raises ValueError where a held-out person is among them."""
    wrong = sorted({photo.person for photo in photos if photo.person >= HELD_OUT_FROM})
    if wrong:
        raise ValueError(
            f"Person {wrong[0]} is held out for tests (seeds from {HELD_OUT_FROM} on), and must "
            "not be trained on. Take a set of the split 'train'."
        )
    return list(photos)


def resolve(folders: Sequence[str], beside: Path) -> list[Path]:
    """Folders of sets; relative ones lie in `beside`."""
    return [beside / Path(folder).expanduser() for folder in folders]
