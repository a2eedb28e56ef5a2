"""The judges' photos, decoded once into memory, with all that is known about them.

Judges see people of splits of their own: whoever trained FlashFace or is painted by it must be a
stranger to them, or they would know the answer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..shards import Place, find_photos

TRAINED = range(2_000_000, 3_000_000)
MEASURED = range(3_000_000, 4_000_000)
"""Seeds of the people of the splits `judges` and `judges-held-out` (see training/people)."""
SIDE = 128
LOOKS_ASIDE = 18.0  # degrees of yaw from which captions speak of it
CLOSE_UP = 0.44  # of the frame's width, as in captions


@dataclass(frozen=True)
class Photos:
    """N photos. pictures: (N, 128, 128, 3) uint8. boxes: (N, 4), pixels. people: (N,) seeds.

    ages: (N,) years. identities: (N, K), the renderer's numbers. attributes: of each photo, words.
    """

    pictures: Tensor
    boxes: Tensor
    people: Tensor
    ages: Tensor
    identities: Tensor
    attributes: list[dict[str, str]]

    def owners(self) -> Tensor:
        """(N,) numbers of the people, from 0 on, in the order of their seeds."""
        return self.people.unique(return_inverse=True)[1]

    def of_first(self, people: int) -> Photos:
        """Only the photos of so many people, those of the lowest seeds."""
        rows = (self.owners() < people).nonzero().flatten()
        kept = {n: v[rows] for n, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **kept, attributes=[self.attributes[i] for i in rows.tolist()])

    def to(self, device: str) -> Photos:
        """The same with all tensors on a device."""
        moved = {n: v.to(device) for n, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)


def read_photos(folders: Sequence[Path], allowed: range | None = None) -> Photos:
    """All photos of some sets, at 128 px.

    Raises FileNotFoundError where there are none, ValueError for people who are not `allowed` and
    for photos without the renderer's numbers.
    """
    from tqdm import tqdm

    places = find_photos(folders)
    wrong = sorted({p.person for p in places if allowed is not None and p.person not in allowed})
    if wrong and allowed is not None:
        raise ValueError(
            f"Person {wrong[0]} is none of the seeds {allowed.start} to {allowed.stop - 1}: judges "
            "are trained and measured on people whom nothing else has seen. Draw the sets with "
            "--split judges and --split judges-held-out."
        )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = pool.map(_read, places)
        photos = list(tqdm(read, "photos read", len(places), unit="photo", mininterval=2))
    pictures, boxes, records = zip(*photos, strict=True)
    return Photos(
        pictures=torch.from_numpy(np.stack(pictures)),
        boxes=torch.tensor(boxes, dtype=torch.float32),
        people=torch.tensor([place.person for place in places]),
        ages=torch.tensor([record["age"] for record in records], dtype=torch.float32),
        identities=torch.tensor([record["identity"] for record in records], dtype=torch.float32),
        attributes=[words_of(record["attributes"]) for record in records],
    )


def words_of(known: dict[str, Any]) -> dict[str, str]:
    """What a record knows in words: all that is no number, and where captions speak of numbers."""
    words = {name: value for name, value in known.items() if isinstance(value, str)}
    words |= {n: "yes" if value else "no" for n, value in known.items() if isinstance(value, bool)}
    if "yaw" in known:
        aside = "left" if known["yaw"] < 0 else "right"
        words["looks"] = aside if abs(known["yaw"]) > LOOKS_ASIDE else "ahead"
    if "face_width" in known:
        words["close-up"] = "yes" if known["face_width"] > CLOSE_UP else "no"
    return words


def classes_of(photos: Photos) -> dict[str, list[str]]:
    """The words that occur, for every attribute that has two or more."""
    names = sorted({name for words in photos.attributes for name in words})
    found = {name: sorted({words[name] for words in photos.attributes}) for name in names}
    return {name: words for name, words in found.items() if len(words) > 1}


def targets_of(photos: Photos, classes: dict[str, list[str]]) -> dict[str, Tensor]:
    """(N,) numbers of the classes of each attribute; -1 for a word that is none of them."""
    number = {name: {word: i for i, word in enumerate(own)} for name, own in classes.items()}
    return {
        name: torch.tensor([own.get(words[name], -1) for words in photos.attributes])
        for name, own in number.items()
    }


def _read(place: Place) -> tuple[np.ndarray, list[float], dict[str, Any]]:
    picture, record = place.picture(), place.record()
    if missing := {"age", "box", "identity", "attributes"} - set(record):
        raise ValueError(
            f"{place.key}.json of {place.tar} has no {', '.join(sorted(missing))}: judges learn "
            "from drawn people, about whom all is known (python -m training.people set)."
        )
    scale = SIDE / len(picture)
    if scale != 1:
        image = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        picture = np.asarray(image)
    return picture, [scale * value for value in record["box"]], record
