"""Golden data made by the authors' code, and the seeded random numbers that it was made from.

The committed part lies in data/. More is read where FLASHFACE_GOLDENS names a folder with the full
set, or where one lies beside the project.
"""

from __future__ import annotations

import json
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
WEIGHT_SEEDS = {"tiny768": 1000, "tiny64": 2000, "full": 3000}
SIZES = {"tiny768": (32, 768), "tiny64": (32, 64), "full": (320, 768)}


def _folder(group: str) -> Path:
    places = [os.environ.get("FLASHFACE_GOLDENS"), HERE.parents[2] / "shared" / "goldens" / "open"]
    for place in filter(None, places):
        if (Path(place) / f"{group}.json").is_file():
            return Path(place)
    return HERE / "data"


def cases(group: str) -> list[dict]:
    """The cases of a group such as "A_tiny"; an empty list where only a part is present."""
    file = _folder(group) / f"{group}.json"
    return json.loads(file.read_text()) if file.is_file() else []


@cache
def tensors(group: str) -> dict[str, torch.Tensor]:
    """A group's recorded tensors, named "<case id>/<output>"."""
    return load_file(_folder(group) / f"{group}.safetensors")


def normal(key: str, shape: list[int] | tuple[int, ...], seed: int) -> torch.Tensor:
    """The golden data's random numbers for a key: standard normal, float32."""
    state = np.random.RandomState((zlib.crc32(key.encode()) ^ seed) & 0xFFFFFFFF)
    return torch.from_numpy(state.standard_normal(tuple(shape)).astype(np.float32))


def build(recipe: dict) -> torch.Tensor:
    """An input tensor from its recipe."""
    if recipe["gen"] == "normal":
        return normal(recipe["key"], recipe["shape"], recipe["seed"]) * float(
            np.float32(recipe["scale"])
        )
    mask = torch.zeros(recipe["shape"])
    for sample, (y0, x0, y1, x1) in zip(mask, recipe["rects"], strict=True):
        sample[y0:y1, x0:x1] = 1
    return mask


def weight(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """The golden data's weight of an official parameter name."""
    n = normal(name, shape, seed)
    if name.endswith(".bias"):
        return n * float(np.float32(0.05))
    if len(shape) == 1:
        return 1 + n * float(np.float32(0.1))
    return n * float(np.float32(1 / np.sqrt(np.prod(shape[1:]))))


def write_checkpoint(file: Path, config: str) -> None:
    """Write a configuration's weights in the official format, without its duplicates."""
    from standins.shapes import official_shapes  # scripts/, on the path in tests only

    duplicates = ("encoder.", "middle.", "decoder.", "ref_middle.")
    file.parent.mkdir(parents=True, exist_ok=True)
    shapes = official_shapes(*SIZES[config])
    save_file(
        {
            name: weight(name, shape, WEIGHT_SEEDS[config])
            for name, shape in shapes.items()
            if not name.startswith(duplicates)
        },
        file,
    )


def relative_error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest expected value."""
    assert actual.shape == expected.shape, f"{list(actual.shape)} != {list(expected.shape)}"
    actual, expected = actual.double().cpu(), expected.double().cpu()
    return float((actual - expected).abs().max() / expected.abs().max())
