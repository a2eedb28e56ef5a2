"""Small FlashFace checkpoints in the official layout, and the names of the released one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import NamedTuple

import torch
from standins.shapes import official_shapes
from torch import Tensor

WIDTH, TEXT_WIDTH = 8, 16
"""Too narrow for the network's own norms, but a checkpoint all the same."""

ALIASES = ("encoder.", "middle.", "decoder.")
KEYS = Path(__file__).parents[1] / "unit" / "data" / "checkpoint_keys.json.gz"


class Key(NamedTuple):
    """What the released checkpoint says of one entry; `group` tells what it is good for."""

    shape: tuple[int, ...]
    group: str


def released_keys() -> dict[str, Key]:
    """All entries of the released checkpoint, in its order."""
    table = json.loads(gzip.decompress(KEYS.read_bytes()))
    return {name: Key(tuple(shape), group) for name, (shape, group) in table.items()}


def official_tensors(width: int = WIDTH, text_width: int = TEXT_WIDTH) -> dict[str, Tensor]:
    """A checkpoint under the official names; entries that must not count are NaN."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.full(shape, torch.nan)
        if name.startswith((*ALIASES, "ref_middle."))
        else torch.randn(shape, generator=generator)
        for name, shape in official_shapes(width, text_width).items()
    }
