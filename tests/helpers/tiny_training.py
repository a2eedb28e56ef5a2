"""Tiny networks, latents and runs for the tests of training/."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from training import autoencoder, base, checkpoint, config, graph, record, stage, taesd, text
from training.coder import load_coder
from training.data import Latents
from training.latents import MADE_BY, latent_folders, latents_key
from training.shards import Place, find_photos
from training.steps import torch_random_of

SMOKE = Path(record.__file__).with_name("configs") / "smoke.toml"
HELD_OUT = 1_000_000
GRID, FACE = 8, 6


def tiny_config(*changes: str) -> config.Config:
    """The smoke recipe with changes."""
    return config.load_config(SMOKE, changes)


def tiny_flashface(seed: int = 0) -> graph.FlashFace:
    """A network in which every weight matters: none is zero or one any more."""
    torch.manual_seed(seed)
    net = graph.FlashFace(stage.sizes_of(config.Network(32, (1, 2, 2, 2))))
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.add_(torch.randn(tensor.shape) * (0.2 if tensor.ndim == 1 else 0.05))
    return net.eval()


def tiny_latents(people: int, photos: int, first: int = 0) -> Latents:
    """Photos whose latents are their person's own pattern, with a little noise, and so the faces.

    All captions are empty: only references tell who it is.
    """
    count = people * photos
    random = torch_random_of(first)
    owners = torch.arange(people).repeat_interleave(photos)
    patterns = torch.randn(people, 4, GRID, GRID, generator=random)
    noise = torch.randn(count, 4, GRID, GRID, generator=random)
    targets = (patterns[owners] + 0.1 * noise) / 1.01**0.5
    return Latents(
        targets=targets.half(),
        faces=targets[..., :FACE, :FACE].half(),
        regions=torch.ones(count, 1, GRID, GRID, dtype=torch.uint8),
        heads=torch.full((count, 1, GRID, GRID), 255, dtype=torch.uint8),
        tokens=torch.tensor(text.tokenize("")).repeat(count, 2, 1).int(),
        hashes=torch.from_numpy(random_hashes(count)),
        people=owners + first,
    )


def random_hashes(count: int) -> np.ndarray:
    """Hashes of photos that are all different."""
    return np.random.default_rng(0).integers(-(2**62), 2**62, count)


def make_run(runs: Path, settings: config.Config, latents: Latents, held_out: Latents) -> Path:
    """A run whose latents, autoencoder, base and words are there: FlashFace can be trained."""
    run = runs / settings.run
    torch.manual_seed(0)
    net = taesd.Autoencoder(3).eval()
    exported = {"half_blocks": "3"}
    checkpoint.write_tensors(run / autoencoder.EXPORT, taesd.as_taesd(net), exported)
    words = text.Words(latents.tokens.unique().tolist())
    base.export(run, text.Captioned(graph.Plain(stage.sizes_of(settings.network)), words))
    made_by = {MADE_BY: latents_key(load_coder(settings, run).key, settings.data)}
    for names, own in ((settings.data.train, latents), (settings.data.held_out, held_out)):
        for _, folder in latent_folders(run, names):
            checkpoint.write_tensors(folder / "shard-00000.safetensors", tensors_of(own), made_by)
    return run


def tensors_of(latents: Latents) -> dict[str, Tensor]:
    """Latents by the names of their fields."""
    return {field.name: getattr(latents, field.name) for field in dataclasses.fields(latents)}


def make_set(
    folder: Path,
    people: int,
    photos: int,
    size: int,
    first: int = 0,
    about: dict[str, Any] | None = None,
) -> list[Place]:
    """A set of shards as `training.people` writes them, of coloured noise with a box as face.

    about: what else all records say.
    """
    folder.mkdir(parents=True)
    random = np.random.default_rng(first)
    samples = []
    with tarfile.open(folder / "shard-00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number in range(people * photos):
            person, key = first + number // photos, f"{number:07d}"
            box = [size * 0.25, size * 0.2, size * 0.7, size * 0.8]
            five = [[size * 0.4, size * 0.4], [size * 0.6, size * 0.45]]
            record = {
                "person": person,
                "box": box,
                "five": five,
                "captions": ["an old man", "a man"],
                **(about or {}),
            }
            pictures = {"webp": "WEBP", "mask.png": "PNG"}
            files = {n: _picture(random, size, kind) for n, kind in pictures.items()}
            files["json"] = json.dumps(record).encode()
            places = {}
            for ending, content in files.items():
                header = tarfile.TarInfo(f"{key}.{ending}")
                header.size = len(content)
                tar.addfile(header, io.BytesIO(content))
                places[ending] = [tar.offset - -(-len(content) // 512) * 512, len(content)]
            samples.append({"key": key, "person": person, "files": places})
    index = {"people": [], "samples": samples}
    (folder / "shard-00000.json").write_text(json.dumps(index))
    return find_photos([folder])


def _picture(random: np.random.Generator, size: int, kind: str) -> bytes:
    file = io.BytesIO()
    small = random.integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(small).resize((size, size)).save(file, kind)
    return file.getvalue()
