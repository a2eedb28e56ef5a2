"""Reading a set: people, and their photos by random access, without unpacking a shard.

photos = PhotoSet(folder)
for person in photos.people: ...            # identity, marks, neutral faces
sample = photos[i]                          # .image, .mask, .record (see record.py)
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


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
        self._places: list[tuple[str, dict[str, Any]]] = []
        for path in sorted(self.folder.glob("shard-*.json")):
            shard = json.loads(path.read_bytes())
            self.people += shard["people"]
            for sample in shard["samples"]:
                self.photos_of.setdefault(sample["person"], []).append(len(self._places))
                self._places.append((path.with_suffix(".tar").name, sample))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, i: int) -> Sample:
        _, sample = self._places[i]
        image, mask = (self._picture(i, ending) for ending in ("webp", "mask.png"))
        return Sample(sample["key"], image, mask, self.record(i))

    def record(self, i: int) -> dict[str, Any]:
        """What is known about photo i, without decoding its pictures."""
        return json.loads(self.file(i, "json"))

    def file(self, i: int, ending: str) -> bytes:
        """The bytes of one file of photo i."""
        shard, sample = self._places[i]
        offset, size = sample["files"][ending]
        with open(self.folder / shard, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def _picture(self, i: int, ending: str) -> np.ndarray:
        with Image.open(io.BytesIO(self.file(i, ending))) as image:
            return np.array(image.convert("RGB"))
