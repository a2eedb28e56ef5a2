"""Sets as indexed tar shards: any number of processes, resumable, the same bytes for a seed.

A folder holds set.json (what the set was made from), shard-NNNNN.tar (webdataset's samples
KEY.webp, KEY.mask.png, KEY.json), shard-NNNNN.json (its people, and where each file lies in the
tar) and index.json (the finished shards, in the form of webdataset's `wids` too).
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing
import os
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..places import set_up
from .expressions import units
from .look import Look
from .photo import take_photo
from .plan import SPLITS, look_of, sittings
from .record import dumped, person_record, photo_files
from .vector import vector_names

log = logging.getLogger(__name__)
FORMAT = 1
COMPILING = 3  # people, who between them have hair, clothes, hats and glasses of most kinds
RENDERER = 2  # raised whenever the same seed gives other pictures


@dataclass(frozen=True)
class SetSettings:
    """What a set is made from; the same settings give the same bytes."""

    kind: str = "portraits"
    split: str = "train"
    first: int = 0  # of the split's people
    people: int = 3000
    photos: int = 8
    size: int = 128
    people_per_shard: int = 50

    def __post_init__(self) -> None:
        room = min(b - a for a, b in pairwise(sorted(SPLITS.values())))
        if not 0 <= self.first <= self.first + self.people <= room:
            raise ValueError(
                f"People {self.first} to {self.first + self.people} were asked for; a split has "
                f"the people 0 to {room}. Ask for fewer, or begin earlier."
            )
        if min(self.people, self.photos, self.people_per_shard) < 1 or not 16 <= self.size <= 2048:
            raise ValueError(
                f"A set has people, photos and shards, and pictures of 16 to 2048 pixels; {self} "
                "was asked for."
            )

    @property
    def shards(self) -> int:
        """How many shards the set has."""
        return -(-self.people // self.people_per_shard)

    def seeds(self, shard: int) -> range:
        """The seeds of a shard's people."""
        start = SPLITS[self.split] + self.first
        low = shard * self.people_per_shard
        return range(start + low, start + min(low + self.people_per_shard, self.people))


def render_set(
    folder: Path, settings: SetSettings, processes: int = 1, most: int | None = None
) -> None:
    """Draw what is missing of a set, at most `most` shards of it; call again to go on.

    Raises ValueError when `folder` holds a set of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A second call on the same folder would draw the same shards.
    with set_up("environment").lock(folder / "set.lock"):
        _render(folder, settings, processes, most)


def _render(folder: Path, settings: SetSettings, processes: int, most: int | None) -> None:
    _claim(folder, settings)
    for left in folder.glob("*.half-*"):  # of a call that was stopped
        left.unlink()
    missing = [i for i in range(settings.shards) if not (folder / _name(i, "json")).exists()]
    log.info("%s: %d of %d shards to draw", folder, len(missing), settings.shards)
    missing = missing[:most]
    _write_index(folder, settings)
    for shard in _drawn(folder, settings, missing, processes):
        log.info("shard %d", shard)
        _write_index(folder, settings)


def shard_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a set but the index."""
    names = sorted(path.name for path in folder.glob("shard-*"))
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def _name(shard: int, ending: str) -> str:
    return f"shard-{shard:05d}.{ending}"


def _claim(folder: Path, settings: SetSettings) -> None:
    path = folder / "set.json"
    wanted = {
        "format": FORMAT,
        "renderer": RENDERER,
        "settings": asdict(settings),
        "expression": list(units()),
        "identity": vector_names(),
    }
    if not path.exists():
        _replace(path, json.dumps(wanted, indent=1).encode())
        return
    found = json.loads(path.read_bytes())
    if found != wanted:
        raise ValueError(
            f"{folder} holds a set made from {found.get('settings')}, this one is made from "
            f"{wanted['settings']}. Name another folder, or delete that one."
        )


def _drawn(folder: Path, settings: SetSettings, shards: list[int], processes: int) -> Iterator[int]:
    jobs = [(folder, settings, shard) for shard in shards]
    if processes <= 1 or len(jobs) <= 1:
        yield from map(_draw_shard, jobs)
        return
    for seed in settings.seeds(0)[:COMPILING]:  # compiles for all, before they start together
        for sitting in sittings(seed, settings.photos, settings.kind):
            take_photo(look_of(seed, sitting), sitting.shot, 16)
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        yield from pool.imap_unordered(_draw_shard, jobs)


def _draw_shard(job: tuple[Path, SetSettings, int]) -> int:
    folder, settings, shard = job
    people, samples = [], []
    half = folder / (_name(shard, "tar") + f".half-{os.getpid()}")
    with tarfile.open(half, "w", format=tarfile.USTAR_FORMAT) as tar:
        for seed in settings.seeds(shard):
            looks: dict[int, Look] = {}
            for index, sitting in enumerate(sittings(seed, settings.photos, settings.kind)):
                if sitting.look not in looks:
                    looks[sitting.look] = look_of(seed, sitting)
                look = looks[sitting.look]
                photo = take_photo(look, sitting.shot, settings.size)
                files = photo_files(seed, index, look, sitting, photo)
                samples.append(_add(tar, f"{seed:07d}-{index:02d}", seed, files))
            people.append(person_record(seed, looks))
    half.replace(folder / _name(shard, "tar"))
    # Written last: a shard counts as finished when this is there.
    _replace(folder / _name(shard, "json"), dumped({"people": people, "samples": samples}))
    return shard


def _add(tar: tarfile.TarFile, key: str, seed: int, files: dict[str, bytes]) -> dict[str, Any]:
    places = {}
    for ending, content in files.items():
        header = tarfile.TarInfo(f"{key}.{ending}")
        header.size = len(content)
        tar.addfile(header, io.BytesIO(content))
        places[ending] = [tar.offset - -(-len(content) // 512) * 512, len(content)]
    return {"key": key, "person": seed, "files": places}


def _write_index(folder: Path, settings: SetSettings) -> None:
    shards = []
    for path in sorted(folder.glob("shard-*.json")):
        seeds = settings.seeds(int(path.stem.partition("-")[2]))
        count = len(seeds) * settings.photos
        shards.append({"url": path.with_suffix(".tar").name, "nsamples": count})
    index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "shardlist": shards}
    _replace(folder / "index.json", json.dumps(index, indent=1).encode())


def _replace(path: Path, content: bytes) -> None:
    half = path.with_name(path.name + f".half-{os.getpid()}")
    half.write_bytes(content)
    half.replace(path)
