"""Which part of the whole latent a call is about: windows of frames, tiles.

Nobody tells, unless it is core or AnimateDiff-Evolved. But a part holds the very numbers of the
whole, so that it can be found in there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Part(NamedTuple):
    """A part of a latent (B, C, h, w): its frames, and where its upper left corner was.

    sure: whether no other frames hold the same numbers.
    """

    frames: tuple[int, ...]
    top: int
    left: int
    sure: bool = True

    @property
    def place(self) -> tuple[int, int]:
        return self.top, self.left

    def of(self, whole: Tensor, size: tuple[int, int]) -> Tensor:
        """This part of a tensor (B, C, h, w), a view where all frames are in it."""
        frames = whole
        if self.frames != tuple(range(whole.shape[0])):
            frames = whole[list(self.frames)]
        return frames[..., self.top : self.top + size[0], self.left : self.left + size[1]]


def part_of(
    x: Tensor, whole: Tensor, options: dict[str, Any], known: Collection[Part] = ()
) -> Part | None:
    """Which part of a latent (B, C, h, w) another one is, None where it is none.

    options: the call's transformer options. known: the parts that were there before.
    """
    everything = tuple(range(whole.shape[0]))
    if x.shape == whole.shape:
        return Part(everything, 0, 0)
    told = (options.get("ad_params") or {}).get("sub_idxs")  # Evolved's, read by many packs
    if told is not None and len(told) == x.shape[0] and x.shape[1:] == whole.shape[1:]:
        return Part(tuple(told), 0, 0)
    place = corner_of(x[0], whole)
    if place is None:
        return None
    top, left = place
    if x.shape[0] == whole.shape[0]:
        return Part(everything, top, left)
    height, width = x.shape[-2:]
    crops = whole[..., top : top + height, left : left + width]
    same = (x[:, None] == crops[None]).flatten(2).all(dim=2)
    fitting = same.sum(dim=1)
    if not fitting.all():
        return None
    seen = Counter(frame for part in known if part.place == place for frame in part.frames)
    return Part(_least_seen(same.tolist(), seen), top, left, bool((fitting == 1).all()))


def _least_seen(same: list[list[bool]], seen: Counter[int]) -> tuple[int, ...]:
    """For each frame of a window the one of the whole that holds its numbers.

    Where several do, their predictions are the same too, and it does not matter which of them a
    window shows; but in the end all of them have to be in some window.
    """
    frames: list[int] = []
    for row in same:
        fitting = [frame for frame, fits in enumerate(row) if fits]
        frames.append(min(fitting, key=lambda frame: (frame in frames, seen[frame])))
    return tuple(frames)


def corner_of(part: Tensor, whole: Tensor) -> tuple[int, int] | None:
    """(row, column) where a tile (C, h, w) was in (B, C, H, W), in whichever frame.

    None where it was nowhere, or may have been in several places, as where a latent is flat.
    """
    height, width = part.shape[-2:]
    rows, columns = whole.shape[-2] - height + 1, whole.shape[-1] - width + 1
    if min(rows, columns) < 1 or part.shape[0] != whole.shape[1]:
        return None
    may = torch.ones(whole.shape[0], rows, columns, dtype=torch.bool, device=whole.device)
    for i, j in ((0, 0), (height - 1, width - 1), (height // 2, width // 2)):
        may &= (whole[..., i : i + rows, j : j + columns] == part[:, i, j, None, None]).all(dim=1)
    found = None
    for frame, top, left in may.nonzero().tolist():
        if (top, left) == found:
            continue
        crop = whole[frame, :, top : top + height, left : left + width]
        if torch.equal(crop, part):
            if found is not None:
                return None
            found = top, left
    return found
