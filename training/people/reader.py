"""Reading a set: people, and their photos by random access, without unpacking a shard.

photos = PhotoSet(folder)
for person in photos.people: ...            # identity, marks, neutral faces
sample = photos[i]                          # .image, .mask, .record (see record.py)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..shards import Place


@dataclass(frozen=True)
class Sample:
    """One photo: image and mask (S, S, 3) uint8; the mask's layers are head, face, person."""

    key: str
    image: np.ndarray
    mask: np.ndarray
    record: dict[str, Any]


class PhotoSet:
    """The finished shards of a folder, in the order of their numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.settings: dict[str, Any] = json.loads((self.folder / "set.json").read_bytes())
        self.people: list[dict[str, Any]] = []
        self.photos_of: dict[int, list[int]] = {}  # person -> places in this set
        self._places: list[Place] = []
        for path in sorted(self.folder.glob("shard-*.json")):
            shard = json.loads(path.read_bytes())
            self.people += shard["people"]
            for sample in shard["samples"]:
                self.photos_of.setdefault(sample["person"], []).append(len(self._places))
                tar = path.with_suffix(".tar")
                self._places.append(Place(sample["key"], sample["person"], tar, sample["files"]))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Sample:
        place = self._places[i]
        image, mask = (place.picture(ending) for ending in ("webp", "mask.png"))
        return Sample(place.key, image, mask, place.record())

    def record(self, i: int) -> dict[str, Any]:
        """What is known about photo i, without decoding its pictures."""
        return self._places[i].record()

    def file(self, i: int, ending: str) -> bytes:
        """The bytes of one file of photo i."""
        return self._places[i].read(ending)
