"""Encodes the sets of a recipe once: python -m training.latents RECIPE [KEY=VALUE ...]

For each photo: its latent, the latent of its face crop (the pack's own crop, eyes level), face
region and head mask on the latent's grid, the tokens of its captions, and a perceptual hash that
tells near-duplicates. One file a shard; shards that are there already are left alone.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from flashface_core.faces.boxes import Box
from flashface_core.faces.geometry import (
    box_mask,
    crop_cut,
    face_cut,
    pad_to_square,
    region_extent,
)

from . import checkpoint, host, shards, text
from .coder import Coder, load_coder
from .config import Config, Data
from .shards import Place

if TYPE_CHECKING:
    from multiprocessing.pool import AsyncResult, Pool

Done = TypeVar("Done")
MADE_BY = "autoencoder"


def encode_sets(config: Config) -> None:
    """Encode what is missing of all sets of a recipe."""
    from tqdm import tqdm

    host.enter(config.device == "cpu")
    host.start(config.threads)
    run = host.runs_folder() / config.run
    coder = load_coder(config, run)
    key = latents_key(coder.key, config.data)
    work = list(_missing(config, run, key))
    jobs = [(photos, config.data) for _, photos in work]
    with _mapped(config.workers) as map_jobs:
        read = map_jobs(read_shard, jobs)
        for (path, _), shard in tqdm(zip(work, read, strict=True), total=len(work), unit="shard"):
            checkpoint.write_tensors(path, encode_shard(coder, shard), {MADE_BY: key})


def _missing(config: Config, run: Path, key: str) -> Iterator[tuple[Path, list[Place]]]:
    """Files of latents to make, each with the photos of its shard."""
    for names in (config.data.train, config.data.held_out):
        for source, target in latent_folders(run, names):
            photos = shards.find_photos([source])
            if names is config.data.train:
                shards.for_training(photos)
            by_shard: dict[str, list[Place]] = {}
            for photo in photos:
                by_shard.setdefault(photo.tar.stem, []).append(photo)
            for name, own in by_shard.items():
                path = target / f"{name}.safetensors"
                if not path.exists() or made_by(path) != key:
                    yield path, own


@contextmanager
def _mapped(workers: int) -> Iterator[Callable[..., Iterator[Shard]]]:
    """`map`, in this process or in several."""
    if not workers:
        yield map
        return
    # Before any of this process's threads is in the way: the workers use none of torch's.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield lambda read, jobs: in_order(pool, read, jobs, 2 * workers)


def in_order(
    pool: Pool, read: Callable[[Any], Done], jobs: Iterable[Any], most: int
) -> Iterator[Done]:
    """`map` in a pool, of which at most `most` results are in work or wait to be taken.

    The pool's own `imap` reads on while its results wait: whole sets, where encoding is slower.
    """
    waiting: deque[AsyncResult[Done]] = deque()
    for job in jobs:
        if len(waiting) == most:
            yield waiting.popleft().get()
        waiting.append(pool.apply_async(read, (job,)))
    while waiting:
        yield waiting.popleft().get()


def latent_folders(run: Path, names: Sequence[str]) -> list[tuple[Path, Path]]:
    """Folders of sets, each with the folder of its latents in the run."""
    sources = shards.resolve(names, run.parent)
    targets = [run / "latents" / name.replace("/", "-").strip("-") for name in names]
    return list(zip(sources, targets, strict=True))


def latents_key(coder_key: str, sizes: Data) -> str:
    """What the latents of a shard depend on besides its photos."""
    return f"{coder_key} {sizes.size} {sizes.face_size}"


def made_by(path: Path) -> str:
    """The key that a file of latents was made with; see `latents_key`."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get(MADE_BY, "")


@dataclass(frozen=True)
class Shard:
    """What a shard's M photos are before they are encoded; S, f: sizes in pixels.

    pictures: (M, S, S, 3) and faces: (M, f, f, 3) uint8. regions: 0 or 1, heads: 0..255, both
    (M, 1, S / 8, S / 8) uint8.
    """

    pictures: np.ndarray
    faces: np.ndarray
    regions: Tensor
    heads: Tensor
    captions: list[list[str]]
    hashes: list[int]
    people: list[int]


def read_shard(job: tuple[Sequence[Place], Data]) -> Shard:
    """All that training needs of the photos of one shard, which may be done in another process.

    Raises ValueError for photos that are not square or have other numbers of captions.
    """
    photos, sizes = job
    pictures, faces, regions, heads, captions = [], [], [], [], []
    size = sizes.size
    for photo in photos:
        record = photo.record()
        image = Image.fromarray(photo.picture())
        scale = size / image.width
        box = Box(*record["box"]).scaled(scale, scale)
        pictures.append(_scaled(image, size))
        faces.append(face_of(image, record, sizes.face_size))
        # Every 8th pixel, as the pack and the authors bring a region to the latent's size.
        regions.append(box_mask([region_extent(box, square=True)], size, size)[::8, ::8])
        heads.append(_head(photo, size // 8))
        captions.append(record["captions"])
    _check_captions(photos, [len(own) for own in captions])
    return Shard(
        pictures=np.stack(pictures),
        faces=np.stack([np.asarray(face) for face in faces]),
        regions=torch.stack(regions).unsqueeze(1).to(torch.uint8),
        heads=torch.stack(heads).unsqueeze(1),
        captions=captions,
        hashes=[perceptual_hash(face) for face in faces],
        people=[photo.person for photo in photos],
    )


def encode_shard(coder: Coder, shard: Shard) -> dict[str, Tensor]:
    """The tensors of a shard; see `data.Latents`."""
    tokens = [[text.tokenize(caption) for caption in own] for own in shard.captions]
    return {
        "targets": _encoded(coder, shard.pictures),
        "faces": _encoded(coder, shard.faces),
        "regions": shard.regions,
        "heads": shard.heads,
        "tokens": torch.tensor(tokens, dtype=torch.int32),
        "hashes": torch.tensor(shard.hashes, dtype=torch.int64),
        "people": torch.tensor(shard.people, dtype=torch.int64),
    }


def _check_captions(photos: Sequence[Place], counts: Sequence[int]) -> None:
    for photo, count in zip(photos, counts, strict=True):
        if not count or count != counts[0]:
            raise ValueError(
                f"{photo.key}.json of {photo.tar} has {count} captions, {photos[0].key}.json has "
                f"{counts[0]}: all photos need the same number of them, one or more."
            )


def face_of(image: Image.Image, record: dict, size: int) -> Image.Image:
    """The face crop of a photo as the pack's node makes it, at `size` pixels."""
    eyes = record.get("five")
    return pad_to_square(crop_cut(image, face_cut(Box(*record["box"]), eyes)), size)


def perceptual_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from each of 8 x 8 fields to the next (signed)."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = (grey[:, 1:] > grey[:, :-1]).flatten()
    return int(np.packbits(bits).view(">i8")[0])


def _head(photo: Place, size: int) -> Tensor:
    """How much of each field of the latent's grid the head covers, 0..255, uint8."""
    mask = torch.from_numpy(photo.picture("mask.png")[..., 0].copy()).float()
    return F.interpolate(mask[None, None], (size, size), mode="area")[0, 0].round().to(torch.uint8)


def _scaled(image: Image.Image, size: int) -> np.ndarray:
    same = image.width == size
    return np.asarray(image if same else image.resize((size, size), Image.Resampling.LANCZOS))


def _encoded(coder: Coder, pictures: np.ndarray) -> Tensor:
    parts = torch.from_numpy(pictures).permute(0, 3, 1, 2).split(16)
    return torch.cat([coder.encode(part.float() / 255) for part in parts]).half()


if __name__ == "__main__":
    sys.exit(host.run_stage("latents", (__doc__ or "").partition("\n")[0], encode_sets))
