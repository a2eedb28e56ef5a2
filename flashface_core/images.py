"""Pictures at the door: ComfyUI's IMAGE (floats in 0..1) to PIL's RGB uint8 and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image


def image_to_pil(image: torch.Tensor) -> Image.Image:
    """One picture of an IMAGE, (H, W, C) floats in 0..1, as RGB uint8.

    One channel is grey, a fourth (alpha) is dropped; values that are not numbers become black.
    Raises ValueError for any other shape.
    """
    if image.ndim != 3 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(
            "Expected a picture of (height, width, channels) with 1, 3 or 4 channels, "
            f"got {tuple(image.shape)}. Connect an IMAGE output, such as Load Image."
        )
    rgb = image[..., :3].detach().to("cpu", torch.float32)
    pixels = torch.nan_to_num(rgb, nan=0.0).clamp(0, 1).mul(255).round().to(torch.uint8).numpy()
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    return Image.fromarray(np.ascontiguousarray(pixels))


def distinct(tensor: torch.Tensor, first: int = 0) -> torch.Tensor:
    """The tensor without the repeats of an expanded view: the same numbers, each only once.

    first: the dimension from which on repeats are left out; those before it keep their length.
    """
    if tensor.layout == torch.strided:
        for dim in range(first, tensor.ndim):
            if tensor.stride(dim) == 0 and tensor.shape[dim] > 1:
                tensor = tensor.narrow(dim, 0, 1)
    return tensor


def to_rgb(images: torch.Tensor) -> torch.Tensor:
    """The pictures (..., 1, 3 or 4 channels) with three: grey is repeated, alpha is dropped."""
    grey = images.shape[-1] == 1
    return images.expand(*images.shape[:-1], 3) if grey else images[..., :3]


def pil_to_image(image: Image.Image) -> torch.Tensor:
    """(H, W, 3) float32 in 0..1 of an RGB picture; one picture of an IMAGE."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0)
