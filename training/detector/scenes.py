"""What the network sees while it learns: small pictures with faces of many sizes, or with none.

A face of sqrt(width * height) = 24 to 48 px is to be found; other sizes are another scale's.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch.utils.data import IterableDataset

from ..people.reader import PhotoSet
from .clutter import clutter
from .disguise import disguise

SIDE = 96  # pixels of a picture
SMALLEST, LARGEST = 24.0, 48.0
MOST = 6  # boxes of a picture
BACKGROUNDS, GROUND = 1200, 160  # pictures of clutter, and their side
FACELESS, OWN, SEVERAL = 0.3, 0.35, 0.25  # shares: without a face; own background; more people


@dataclass
class Person:
    """A drawn photo of S x S pixels, and in these the face's box and the 72 landmarks.

    mask: (S, S), 255 where the person is.
    """

    image: np.ndarray
    mask: np.ndarray
    box: np.ndarray
    points: np.ndarray


def read_people(folders: list[Path]) -> list[Person]:
    """All photos of the sets in these folders."""
    people = []
    for photos in map(PhotoSet, folders):
        for i in range(len(photos)):
            sample = photos[i]
            box, points = (np.array(sample.record[n], np.float32) for n in ("box", "landmarks"))
            people.append(Person(sample.image, sample.mask[..., 2].copy(), box, points))
    return people


class Scenes(IterableDataset):
    """Batches without end: pictures (B, 3, 96, 96) uint8 and boxes (B, 6, 4), NaN for none."""

    def __init__(self, folders: list[Path], batch: int, seed: int) -> None:
        self.folders, self.batch, self.seed = folders, batch, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every worker draws its own."""
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([71, self.seed, info.id if info else 0])
        people = read_people(self.folders)
        grounds = [clutter(rng, GROUND) for _ in range(BACKGROUNDS)]
        while True:
            drawn = [scene(rng, people, grounds) for _ in range(self.batch)]
            pictures = np.stack([picture for picture, _ in drawn]).transpose(0, 3, 1, 2)
            yield (
                torch.from_numpy(pictures.copy()),
                torch.from_numpy(np.stack([b for _, b in drawn])),
            )


def scene(
    rng: np.random.Generator, people: list[Person], grounds: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """One picture (96, 96, 3) and the boxes of its faces (6, 4)."""
    picture = _ground(rng, grounds)
    boxes = np.full((MOST, 4), np.nan, np.float32)
    count = int(rng.integers(2, 4)) if rng.random() < SEVERAL else 1
    if rng.random() < FACELESS:
        if rng.random() < 0.4:
            _headless(rng, picture, people)
        count = 0
    for i in range(count):
        person = people[int(rng.integers(len(people)))]
        boxes[i] = _paste(rng, picture, person, boxes[:i], i == 0 and rng.random() < OWN)
    if rng.random() < 0.5:
        picture, boxes = ImageOps.mirror(picture), mirrored(boxes)
    return _worsened(rng, picture), boxes


def mirrored(boxes: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) of a mirrored picture."""
    return np.stack([SIDE - boxes[:, 2], boxes[:, 1], SIDE - boxes[:, 0], boxes[:, 3]], 1)


def _ground(rng: np.random.Generator, grounds: list[np.ndarray]) -> Image.Image:
    whole = Image.fromarray(grounds[int(rng.integers(len(grounds)))])
    side = rng.uniform(40, GROUND)
    x, y = rng.uniform(0, GROUND - side, 2)
    part = whole.resize((SIDE, SIDE), box=(x, y, x + side, y + side))
    turns = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180)
    turn = turns[int(rng.integers(3))]
    return part if turn is None else part.transpose(turn)


def _paste(
    rng: np.random.Generator, picture: Image.Image, person: Person, others: np.ndarray, own: bool
) -> np.ndarray:
    """Put a person into the picture, with the own background or cut out; the face's box."""
    image, points = Image.fromarray(person.image), person.points
    disguise(rng, image, points)
    shape = Image.fromarray(person.mask)
    if own:
        shape = Image.new("L", image.size, 255)
    turn = float(rng.normal(0, 8)) if rng.random() < 0.4 else 0.0
    width, height = person.box[2:] - person.box[:2]
    middle = (person.box[:2] + person.box[2:]) / 2
    if turn:
        centre = (float(middle[0]), float(middle[1]))
        image = image.rotate(turn, Image.Resampling.BILINEAR, center=centre)
        shape = shape.rotate(turn, Image.Resampling.BILINEAR, center=centre)
    wide = rng.random() < 0.3
    low, high = (12.0, 110.0) if wide else (SMALLEST * 0.9, LARGEST * 1.1)
    if others.size:
        high = min(high, LARGEST)
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high)))) / float(np.sqrt(width * height))
    size = max(8, round(image.width * scale))
    image, shape = image.resize((size, size)), shape.resize((size, size))
    left, top = _place(rng, middle * scale, np.array([width, height]) * scale, others)
    picture.paste(image, (left, top), shape)
    return np.concatenate([person.box[:2], person.box[2:]]) * scale + (left, top, left, top)


def _place(
    rng: np.random.Generator, middle: np.ndarray, size: np.ndarray, others: np.ndarray
) -> tuple[int, int]:
    """Where the photo's corner goes, so that the face lies anywhere and covers no other."""
    corner = np.zeros(2)
    for _ in range(8):
        corner = rng.uniform(0.05, 0.95, 2) * SIDE - middle
        low, high = corner + middle - size / 2, corner + middle + size / 2
        apart = (others[:, :2] > high).any(1) | (others[:, 2:] < low).any(1)
        if apart.all():
            break
    return int(np.rint(corner[0])), int(np.rint(corner[1]))


def _headless(rng: np.random.Generator, picture: Image.Image, people: list[Person]) -> None:
    """Clothes and hands of somebody, everything above the chin cut off."""
    person = people[int(rng.integers(len(people)))]
    low = int(person.box[3]) + 4
    if low < len(person.image) - 8:
        body = Image.fromarray(person.image[low:])
        shape = Image.fromarray(person.mask[low:])
        scale = rng.uniform(0.5, 2.0)
        size = (max(8, round(body.width * scale)), max(4, round(body.height * scale)))
        x, y = rng.uniform(-0.5, 0.7, 2) * SIDE
        picture.paste(body.resize(size), (int(x), int(y)), shape.resize(size))


def _worsened(rng: np.random.Generator, picture: Image.Image) -> np.ndarray:
    """Other light, colours, sharpness, noise and JPEG blocks: what cameras and files do."""
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.3))))
    elif rng.random() < 0.3:
        picture = ImageEnhance.Sharpness(picture).enhance(float(rng.uniform(1, 4)))
    if rng.random() < 0.2:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(25, 90)))
        picture = Image.open(file).convert("RGB")
    pixels = np.asarray(picture, np.float32) / 255
    if rng.random() < 0.2:
        pixels = np.repeat(pixels @ np.array([[0.3], [0.59], [0.11]], np.float32), 3, 2)
    elif rng.random() < 0.5:
        pixels = pixels * np.exp(rng.normal(0, 0.15, 3)).astype(np.float32)
    if rng.random() < 0.3:  # light from a side
        y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE - 0.5
        side = rng.normal(0, 0.8, 2)
        pixels = pixels * np.exp(side[0] * x + side[1] * y).astype(np.float32)[..., None]
    pixels = np.clip(pixels, 0, 1) ** float(np.exp(rng.normal(0, 0.35)))
    contrast, mean = float(np.exp(rng.normal(-0.1, 0.3))), float(pixels.mean())
    pixels = (pixels - mean) * contrast + mean + float(rng.normal(0, 0.08))
    if rng.random() < 0.4:
        pixels = pixels + rng.normal(0, rng.uniform(0, 0.06), pixels.shape)
    return (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
