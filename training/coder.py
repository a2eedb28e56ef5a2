"""Between pictures and latents: the run's own autoencoder, or a VAE file of ComfyUI's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import autoencoder
from .config import Config
from .taesd import LATENT_SCALE


@dataclass(frozen=True)
class Coder:
    """encode: pictures (B, 3, 8h, 8w), 0..1 -> latents (B, 4, h, w) as UNets see them.

    decode: back. Both take and give tensors on the CPU. key: tells one file from another.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    key: str


def load_coder(config: Config, run: Path) -> Coder:
    """The coder of a recipe; raises FileNotFoundError where its file is not there."""
    path = Path(config.network.vae).expanduser() if config.network.vae else run / autoencoder.EXPORT
    if not config.network.vae:
        own = autoencoder.load_autoencoder(path).to(config.device)

        def encode(pictures: Tensor) -> Tensor:
            return own.encode(pictures.to(config.device)).cpu()

        def decode(latents: Tensor) -> Tensor:
            return own.decode(latents.to(config.device)).cpu()
    else:
        vae = _comfyui_vae(path)

        def encode(pictures: Tensor) -> Tensor:
            return vae.encode(pictures.movedim(1, -1)) * LATENT_SCALE

        def decode(latents: Tensor) -> Tensor:
            return vae.decode(latents / LATENT_SCALE).movedim(-1, 1)

    key = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return Coder(torch.no_grad()(encode), torch.no_grad()(decode), key)


def _comfyui_vae(path: Path) -> Any:
    import comfy.sd
    import comfy.utils

    if not path.exists():
        raise FileNotFoundError(f"network.vae is {path}, and there is no such file.")
    return comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(path)), dtype=torch.float32)
