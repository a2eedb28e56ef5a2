"""Photos of eight people whom the small model never saw; all of them are drawn, nobody exists."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from ..errors import reason
from ..images import pil_to_image
from .folder import PEOPLE, DemoError, file_of, read_manifest

WORDS = (
    *("freckles", "beard", "curls", "glasses"),
    *("bald", "moustache", "ponytail", "buzzcut"),
)
"""What one sees of each of them, young and old."""
NAMES = tuple(f"{number} {word}" for number, word in enumerate(WORDS, 1))
AGES = ("young", "old")
PHOTOS = 6  # of each person at each age


def photo_file(name: str, age: str, number: int) -> str:
    """The file of a person's photo; number: 1 to PHOTOS.

    >>> photo_file("2 beard", "old", 1)
    '2-beard-old-1.webp'
    """
    return f"{name.replace(' ', '-')}-{age}-{number}.webp"


def load_photos(folder: Path, name: str, age: str, count: int) -> torch.Tensor:
    """The first photos of a person at an age, an IMAGE (count, S, S, 3).

    Raises DemoError where they are not there, or not as the manifest says.
    """
    side = read_manifest(folder)["photo_size"]
    pictures = []
    for number in range(1, count + 1):
        path = file_of(folder, PEOPLE, photo_file(name, age, number))
        try:
            with Image.open(path) as picture:
                pictures.append(pil_to_image(picture))
        except OSError as error:
            raise DemoError(
                f"{path.name} cannot be read ({reason(error, path)}). Update or reinstall "
                "ComfyUI-FlashFace."
            ) from error
        if pictures[-1].shape[:2] != (side, side):
            raise DemoError(
                f"{path.name} is {tuple(pictures[-1].shape[:2])} pixels, expected {side} x {side}. "
                "Update or reinstall ComfyUI-FlashFace."
            )
    return torch.stack(pictures)
