"""Untrained stand-in weights from a fixed seed, so that everything runs where real ones are absent.

Writes a FlashFace checkpoint with the official file's names (narrower), a text encoder and a VAE in
formats that ComfyUI's own CLIPLoader and VAELoader read. Pictures made with them are noise.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from setup.environment import cache_folder, key_of, lock, read_stamp, remove, write_stamp
from setup.host import PACK
from setup.leftovers import note_use, remove_unused

from .shapes import Shape, clip_shapes, official_shapes, vae_shapes

FLASHFACE = "flashface/flashface_standin.safetensors"
CLIP = "text_encoders/clip_standin.safetensors"
VAE = "vae/vae_standin.safetensors"


def fill(shapes: dict[str, Shape], seed: int) -> dict:
    """Random tensors: matrices and kernels scaled by 1/sqrt(fan in), norms one, biases zero."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith(".bias"):
            tensors[name] = torch.zeros(shape)
        elif len(shape) == 1:
            tensors[name] = torch.ones(shape)
        else:
            fan_in = math.prod(shape[1:])
            tensors[name] = torch.randn(shape, generator=generator) / math.sqrt(fan_in or 1)
    return tensors


def save(tensors: dict, path: Path) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def make_flashface(path: Path, width: int = 32, context: int = 768, seed: int = 0) -> None:
    """Write an untrained FlashFace checkpoint with the official file's 2142 names."""
    tensors = fill(official_shapes(width, context), seed)
    tensors["head.2.weight"] *= 1.7  # undoes SiLU's damping: predicted noise of about unit std
    for name in tensors:
        top, rest = name.split(".", 1)
        if top in ("encoder", "middle", "decoder"):
            tensors[name] = tensors[f"ori_{top}.{rest}"].clone()
    save(tensors, path)


def make_clip(path: Path, seed: int = 1) -> None:
    """Write an untrained CLIP-L text encoder in fp16 (246 MB)."""
    tensors = fill(clip_shapes(), seed)
    save({name: tensor.half() for name, tensor in tensors.items()}, path)


def make_vae(path: Path, seed: int = 2) -> None:
    """Write an untrained autoencoder whose latents and pictures are in the usual range."""
    import torch

    tensors = fill(vae_shapes(), seed)
    for last in ("taesd_encoder.14", "taesd_decoder.19"):
        # ReLU features are all positive; without their mean the output does not saturate.
        weight = tensors[f"{last}.weight"]
        tensors[f"{last}.weight"] = weight - weight.mean(dim=1, keepdim=True)
    tensors["taesd_encoder.14.weight"] *= 5.0  # scaled latents of about unit std
    tensors["taesd_decoder.19.weight"] *= 0.35
    tensors["taesd_decoder.19.bias"] += 0.5  # grey, with room on both sides
    tensors["vae_scale"] = torch.tensor(0.18215)
    tensors["vae_shift"] = torch.tensor(0.0)
    save(tensors, path)


def standin_models() -> Path:
    """The cached models folder with all three stand-ins; made on the first call (some seconds)."""
    cache = cache_folder()
    own = Path(__file__)
    shapes = own.with_name("shapes.py")
    key = key_of(*(file.read_text(encoding="utf-8") for file in (own, shapes)))
    folder = cache / f"standin-{key}"
    with lock(cache / "standin.lock"):
        note_use(cache, PACK, "standin", folder.name)
        if (read_stamp(folder) or {}).get("key") != key:
            remove(folder)
            make_flashface(folder / FLASHFACE)
            make_clip(folder / CLIP)
            make_vae(folder / VAE)
            write_stamp(folder, {"key": key})
            remove_unused(cache, "standin", folder.name)
    return folder


def place(models: Path, target: Path, names: Sequence[str] = (FLASHFACE, CLIP, VAE)) -> None:
    """Put the stand-ins in `models` into the models folder `target`, as links where possible."""
    for name in names:
        link = target / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            try:
                link.symlink_to(models / name)
            except OSError:
                shutil.copyfile(models / name, link)
