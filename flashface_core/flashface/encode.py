"""Turns face crops into a reference with ComfyUI's VAE."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import torch
from torch import Tensor

from ..images import to_rgb
from .reference import Reference, make_reference, make_thumbnails


def encode_reference(vae: Any, faces: list[Tensor], context: Tensor, repeat_to: int) -> Reference:
    """A reference of the person on some face crops.

    vae: ComfyUI's VAE. faces: IMAGE tensors (B, H, W, C), 0..1, all of one height and width that
    are multiples of 8. context: (B, T, C) text tokens, of which the first entry counts.
    Raises ValueError for faces of several sizes, no faces, or a VAE that is not SD1.5's.
    """
    sizes = {(face.shape[1], face.shape[2]) for face in faces if face.ndim == 4}
    if len(sizes) != 1 or any(face.ndim != 4 for face in faces):
        found = ", ".join(f"{width} x {height}" for height, width in sorted(sizes)) or "no image"
        raise ValueError(
            f"faces must be images of one size, got {found}. Take them from Detect & Crop Faces, "
            "which brings all of them to one size."
        )
    height, width = next(iter(sizes))
    if height % 8 or width % 8 or not min(height, width):
        raise ValueError(
            f"faces must have a height and width that are multiples of 8, got {width} x {height}. "
            "Take them from Detect & Crop Faces, or scale them to 224 x 224."
        )
    pixels = torch.cat([to_rgb(face) for face in faces])
    latents = vae.encode(pixels)
    if latents.ndim != 4 or latents.shape[1] != 4:
        raise ValueError(
            f"This VAE gives latents of shape {list(latents.shape)}; FlashFace needs an SD1.5 VAE, "
            "which gives (faces, 4, height / 8, width / 8). Connect one to 'vae'."
        )
    scaled = comfy.latent_formats.SD15().process_in(latents)
    return make_reference(scaled, context, repeat_to, make_thumbnails(pixels))
