"""Who is painted: held-out people, for each a target, the references shown, and further photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..config import Config
from ..data import DUPLICATE_BITS, Latents, load_latents
from ..latents import latent_folders, latents_key, made_by
from ..shards import HELD_OUT_FROM, Place, find_photos
from ..steps import random_of

STAGE = 6  # of the random numbers
ONE_AGE = 8.0  # years within which photos show one age
ADULT_FROM, OLD_FROM = 18, 60


@dataclass(frozen=True)
class Person:
    """One held-out person; all others are places of their photos.

    target: whose caption and region are painted, and which is never shown. shown: the references,
    the best first. rest: further photos of the target's age, not shown either.
    """

    number: int
    target: int
    shown: tuple[int, ...]
    rest: tuple[int, ...]
    adult: bool

    @property
    def unseen(self) -> tuple[int, ...]:
        """Photos of the target's age that are not shown."""
        return (self.target, *self.rest)


@dataclass(frozen=True)
class HeldOut:
    """All photos of the held-out sets, and the people who are painted. size: pixels of a side."""

    places: list[Place]
    records: list[dict[str, Any]]
    latents: Latents
    people: list[Person]
    size: int

    def pictures(self, photos: Sequence[int]) -> Tensor:
        """(B, size, size, 3), uint8."""
        found = [self.places[photo].picture() for photo in photos]
        scaled = [
            p if len(p) == self.size else np.asarray(
                Image.fromarray(p).resize((self.size, self.size), Image.Resampling.LANCZOS)
            )
            for p in found
        ]  # fmt: skip
        return torch.from_numpy(np.stack(scaled))

    def boxes(self, photos: Sequence[int]) -> Tensor:
        """(B, 4): left, top, right, bottom of the faces, in pixels of `pictures`."""
        return torch.tensor([self.records[photo]["box"] for photo in photos], dtype=torch.float32)


def read_people(config: Config, run: Path, coder_key: str) -> HeldOut:
    """The recipe's held-out photos, and the first `evaluate.people` people with enough of them.

    Raises FileNotFoundError where there are none, and ValueError where latents are of other
    photos, of other people than held-out ones, or too few people are there.
    """
    places: list[Place] = []
    parts = []
    for source, folder in latent_folders(run, config.data.held_out):
        by_shard: dict[str, list[Place]] = {}
        for place in find_photos([source]):
            by_shard.setdefault(place.tar.stem, []).append(place)
        for file in sorted(folder.glob("*.safetensors")):
            if made_by(file) != latents_key(coder_key, config.data):
                raise ValueError(f"{file} is of another recipe: run python -m training.latents.")
            places += by_shard.get(file.stem, [])
        parts.append(folder)
    latents = load_latents(parts, training=False)
    if latents.people.tolist() != [place.person for place in places]:
        raise ValueError(
            "The latents of the held-out people are not those of their photos: delete "
            f"{', '.join(map(str, parts))} and run python -m training.latents again."
        )
    records = [_at_size(place, config.data.size) for place in places]
    people = choose(latents, records, config)
    return HeldOut(places, records, latents, people, config.data.size)


def choose(latents: Latents, records: Sequence[dict[str, Any]], config: Config) -> list[Person]:
    """The people who are painted, in the order of their numbers."""
    count = config.evaluate.references
    own = latents.photos_of()
    if seen := [number for number in own if number < HELD_OUT_FROM]:
        raise ValueError(f"Person {seen[0]} is no held-out person: evidence is about strangers.")
    enough = [number for number, photos in own.items() if len(photos) > count]
    if len(enough) < config.evaluate.people:
        raise ValueError(
            f"{len(enough)} held-out people have more than {count} photos, and evaluate.people "
            f"asks for {config.evaluate.people}: draw more, or ask for fewer."
        )
    chosen = enough[: config.evaluate.people]
    return [_person(number, own[number], latents, records, config) for number in chosen]


def _person(
    number: int, photos: np.ndarray, latents: Latents, records: Sequence[dict], config: Config
) -> Person:
    random = random_of(config.seed, STAGE, number)
    ages = {int(photo): float(records[photo].get("age", 30)) for photo in photos}
    usual = max(ages.values(), key=lambda age: sum(abs(a - age) < ONE_AGE for a in ages.values()))
    of_usual = [photo for photo, age in ages.items() if abs(age - usual) < ONE_AGE]
    target = of_usual[int(random.integers(len(of_usual)))]
    hashes = latents.hashes.numpy().view(np.uint64)

    def rank(photo: int) -> tuple[bool, bool, float]:
        double = int(hashes[photo] ^ hashes[target]).bit_count() <= DUPLICATE_BITS
        return double, abs(ages[photo] - ages[target]) > ONE_AGE, float(random.random())

    others = sorted((int(photo) for photo in photos if photo != target), key=rank)
    shown, rest = others[: config.evaluate.references], others[config.evaluate.references :]
    same = [photo for photo in rest if abs(ages[photo] - ages[target]) <= ONE_AGE]
    adult = all(ADULT_FROM <= ages[photo] < OLD_FROM for photo in (target, *shown))
    return Person(number, target, tuple(shown), tuple(same), adult)


def _at_size(place: Place, size: int) -> dict[str, Any]:
    """A record whose box is in pixels of `size`."""
    record = place.record()
    scale = size / len(place.picture())
    return {**record, "box": [scale * value for value in record["box"]]}
