"""The photos of FaceSnap's sets as tensors, with all that the renderer knows of their faces."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import shards, text
from ..judges.photos import words_of

LATENT = 8  # pixels of a latent's field


@dataclass(frozen=True)
class Photos:
    """N photos of S pixels a side.

    pictures: (N, S, S, 3) uint8. heads: (N, 1, S / 8, S / 8) uint8, how much of each field the
    face covers. boxes: (N, 4), landmarks: (N, 72, 2), five: (N, 5, 2), solid: (N, 72, 3), in
    pixels. neutral, face: (N, 72, 3), the landmarks of the unturned head without and with the
    expression, in the renderer's units. tokens: (N, C, 77). people: (N,) seeds; numbers: (N, K),
    the renderer's. words: what is known of each in words.
    """

    pictures: Tensor
    heads: Tensor
    boxes: Tensor
    landmarks: Tensor
    five: Tensor
    solid: Tensor
    neutral: Tensor
    face: Tensor
    tokens: Tensor
    people: Tensor
    ages: Tensor
    numbers: Tensor
    words: list[dict[str, str]]

    def __len__(self) -> int:
        return len(self.people)

    def owners(self) -> Tensor:
        """(N,) numbers of the people, from 0 on, in the order of their seeds."""
        return self.people.unique(return_inverse=True)[1]


def read_photos(folders: Sequence[Path], training: bool, workers: int = 0) -> Photos:
    """All photos of some sets; call `host.enter` before, for the captions' tokens.

    Raises ValueError for held-out people where `training`, FileNotFoundError without shards.
    """
    places = shards.find_photos(folders)
    if training:
        shards.for_training(places)
    by_shard: dict[Path, list[shards.Place]] = {}
    for place in places:
        by_shard.setdefault(place.tar, []).append(place)
    jobs = list(by_shard.items())
    if workers > 1 and len(jobs) > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            parts = pool.map(_read_shard, jobs, chunksize=1)
    else:
        parts = [_read_shard(job) for job in jobs]
    return _joined(parts)


def _joined(parts: list[dict[str, Any]]) -> Photos:
    values: dict[str, Any] = {}
    for entry in fields(Photos):
        if entry.name == "words":
            values["words"] = [words for part in parts for words in part["words"]]
        elif entry.name == "tokens":
            known: dict[str, list[int]] = {}
            rows = [
                [known.setdefault(caption, text.tokenize(caption)) for caption in captions]
                for part in parts
                for captions in part["captions"]
            ]
            values["tokens"] = torch.tensor(rows)
        else:
            values[entry.name] = torch.from_numpy(np.concatenate([p[entry.name] for p in parts]))
    return Photos(**values)


def _read_shard(job: tuple[Path, list[shards.Place]]) -> dict[str, Any]:
    tar, places = job
    torch.set_num_threads(1)
    known = json.loads(tar.with_suffix(".json").read_bytes())["people"]
    neutral = {(p["person"], n["age"]): n["head"] for p in known for n in p["neutral"]}
    found: dict[str, list[Any]] = {}
    for place in places:
        for name, value in _of_photo(place, neutral).items():
            found.setdefault(name, []).append(value)
    arrays = {n: v if n in ("captions", "words") else np.stack(v) for n, v in found.items()}
    return arrays


def _of_photo(place: shards.Place, neutral: dict[tuple[int, float], Any]) -> dict[str, Any]:
    record = place.record()

    def numbers(value: Any) -> np.ndarray:
        return np.asarray(value, np.float32)

    return {
        "pictures": place.picture(),
        "heads": _head(place),
        "boxes": numbers(record["box"]),
        "landmarks": numbers(record["landmarks"]),
        "five": numbers(record["five"]),
        "solid": numbers(record["landmarks_3d"]),
        "neutral": numbers(neutral[place.person, record["age"]]),
        "face": numbers(record["head"]),
        "captions": record["captions"],
        "people": np.int64(place.person),
        "ages": np.float32(record["age"]),
        "numbers": numbers(record["identity"]),
        "words": words_of(record["attributes"]),
    }


def _head(place: shards.Place) -> np.ndarray:
    mask = torch.from_numpy(place.picture("mask.png")[..., 1].copy()).float()
    size = len(mask) // LATENT
    return F.interpolate(mask[None, None], (size, size), mode="area")[0].round().byte().numpy()
