"""Encodes the sets of a recipe once: python -m training.latents RECIPE [KEY=VALUE ...]

For each photo: its latent, the latent of its face crop (the pack's own crop, eyes level), face
region and head mask on the latent's grid, the tokens of its captions, and a perceptual hash that
tells near-duplicates. One file a shard; shards that are there already are left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

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

MADE_BY = "autoencoder"


def encode_sets(config: Config) -> None:
    """Encode what is missing of all sets of a recipe."""
    from tqdm import tqdm

    host.enter(config.device == "cpu")
    host.start(config.threads)
    run = host.runs_folder() / config.run
    coder = load_coder(config, run)
    key = latents_key(coder.key, config.data)
    for names in (config.data.train, config.data.held_out):
        for source, target in latent_folders(run, names):
            photos = shards.find_photos([source])
            if names is config.data.train:
                shards.for_training(photos)
            by_shard: dict[str, list[Place]] = {}
            for photo in photos:
                by_shard.setdefault(photo.tar.stem, []).append(photo)
            for name, own in tqdm(by_shard.items(), unit="shard", desc=str(source.name)):
                path = target / f"{name}.safetensors"
                if not path.exists() or made_by(path) != key:
                    tensors = encode_shard(coder, own, config)
                    checkpoint.write_tensors(path, tensors, {MADE_BY: key})


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


def encode_shard(coder: Coder, photos: Sequence[Place], config: Config) -> dict[str, Tensor]:
    """All that training needs of the photos of one shard; see `data.Latents`.

    Raises ValueError for photos that are not square or have other numbers of captions.
    """
    pictures, faces, regions, heads, tokens, hashes = [], [], [], [], [], []
    size = config.data.size
    for photo in photos:
        record = photo.record()
        image = Image.fromarray(photo.picture())
        face = face_of(image, record, config.data.face_size)
        scale = size / image.width
        box = Box(*record["box"]).scaled(scale, scale)
        pictures.append(_scaled(image, size))
        faces.append(np.asarray(face))
        # Every 8th pixel, as the pack and the authors bring a region to the latent's size.
        regions.append(box_mask([region_extent(box, square=True)], size, size)[::8, ::8])
        heads.append(_head(photo, size // 8))
        tokens.append([text.tokenize(caption) for caption in record["captions"]])
        hashes.append(perceptual_hash(face))
    _check_captions(photos, [len(own) for own in tokens])
    return {
        "targets": _encoded(coder, pictures),
        "faces": _encoded(coder, faces),
        "regions": torch.stack(regions).unsqueeze(1).to(torch.uint8),
        "heads": torch.stack(heads).unsqueeze(1),
        "tokens": torch.tensor(tokens, dtype=torch.int32),
        "hashes": torch.tensor(hashes, dtype=torch.int64),
        "people": torch.tensor([photo.person for photo in photos], dtype=torch.int64),
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


def _encoded(coder: Coder, pictures: list[np.ndarray]) -> Tensor:
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return torch.cat([coder.encode(part) for part in pixels.split(16)]).half()


if __name__ == "__main__":
    sys.exit(host.run_stage("latents", (__doc__ or "").partition("\n")[0], encode_sets))
