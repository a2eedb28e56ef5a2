"""Face regions and attention masks on their way to a call of the UNet.

They travel as one entry of conditioning, which core crops for areas and repeats for batches, and
which window makers cut by frames. In the call itself it is no bare tensor: nodes that cut every
picture-like tensor of a call into tiles leave it alone. The latent travels along, so that tiles can
be found in it, and their part of the masks with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import comfy.conds
import comfy.utils
import torch
from torch import Tensor

from ...images import distinct
from .parts import Part, corner_of
from .state import PLACED, State

if TYPE_CHECKING:
    from .evaluation import Evaluation

Window = Callable[[Tensor], Tensor]

REGION = -1
"""Beside the indices of the Applies: the region of all of them."""


class Placed:
    """Masks and the latent of a UNet call. channels: (B, masks + 4, h, w), the latent last."""

    def __init__(self, names: tuple[int, ...], channels: Tensor):
        self._names, self._channels = names, channels

    def to(self, *args: Any, **kwargs: Any) -> Placed:
        """Them on another device, as core asks for on several GPUs."""
        return Placed(self._names, self._channels.to(*args, **kwargs))

    def for_samples(self, x: Tensor) -> dict[int, Tensor] | None:
        """The masks (B, 1, h, w) of the samples x of a UNet call, by name.

        None where x is neither the latent nor tiles cut from it, one after another.
        """
        channels = self._channels.to(x.device, non_blocking=True)
        if channels.shape[0] != x.shape[0] or channels.shape[-2:] != x.shape[-2:]:
            tiles = self._tiles(x)
            if tiles is None:
                return None
            channels = torch.cat(tiles)
        return {name: channels[:, i : i + 1] for i, name in enumerate(self._names)}

    def _tiles(self, x: Tensor) -> list[Tensor] | None:
        """What each tile shows of all channels; a tile is all samples of one place."""
        latents = self._channels[:, len(self._names) :]
        samples, (height, width) = latents.shape[0], x.shape[-2:]
        if x.shape[0] % samples:
            return None
        if x.dtype == torch.float64:  # some samplers'; the latent came along in single precision
            x = x.float()
        latents = latents.to(x.dtype)
        found = []
        for tile in x.split(samples):
            place = corner_of(tile[0], latents[:1])
            if place is None:
                return None
            top, left = place
            if not torch.equal(tile, latents[..., top : top + height, left : left + width]):
                return None  # tiles in another order, such as prompt by prompt
            found.append(self._channels[..., top : top + height, left : left + width])
        return found


class CONDPlaced(comfy.conds.CONDNoiseShape):
    """Masks and latent as conditioning. cond: (B, masks + 4, h, w), see Placed."""

    def __init__(self, cond: Tensor, names: tuple[int, ...]):
        super().__init__(cond)
        self.names = names

    def _copy_with(self, cond: Tensor) -> CONDPlaced:
        return CONDPlaced(cond, self.names)

    def can_concat(self, other: Any) -> bool:
        return self.names == other.names and super().can_concat(other)

    def concat(self, others: list) -> Placed:
        """What a call of the UNet gets, in the order of its batch."""
        return Placed(self.names, super().concat(others))


class Masks:
    """The masks of one sampling, at the sizes that it asks for.

    shape: of the whole latent, (B, C, h, w), None where a sampling does not tell.
    """

    def __init__(self, shape: tuple[int, ...] | None):
        self.frames = None if shape is None else shape[0]
        self.latent_size = None if shape is None else (shape[-2], shape[-1])
        self._scaled: dict[Any, Tensor] = {}

    def is_tile(self, size: tuple[int, int]) -> bool:
        """Whether a latent of this size is a part of the whole picture.

        A larger one is the picture still: some samplers enlarge it between steps.
        """
        whole = self.latent_size
        return whole is not None and (size[0] < whole[0] or size[1] < whole[1])

    def scaled(self, mask: Tensor, size: tuple[int, int], mode: str, like: Tensor) -> Tensor:
        """A mask (B, H, W) at a latent's size, (B, 1, h, w), on the device of `like`.

        mode: of interpolation; "nearest" takes every 8th pixel of a mask of the picture's size.
        """
        key = (id(mask), size, mode, like.device)
        if key not in self._scaled:
            # A mask of one number a frame is never copied in full.
            pixels = distinct(mask.reshape(-1, 1, *mask.shape[-2:]), first=2)
            pixels = pixels.to(like.device, torch.float32)
            self._scaled[key] = torch.nn.functional.interpolate(pixels, size, mode=mode)
        return self._scaled[key]


def with_masks(
    conds: list, evaluation: Evaluation, x: Tensor, part: Part | None, window: Window | None
) -> list:
    """All conditionings with region and attention masks as an entry of their own.

    part: that x is of the evaluation's latent. window: what cuts as core's context window of x
    does, or None.
    """
    found = _channels(evaluation, x, part, window)
    if not found:
        return conds
    everything = torch.cat([*found.values(), x.to(torch.float32)], dim=1)
    extra = {PLACED: CONDPlaced(everything, tuple(found))}
    return [entries if entries is None else with_entry(entries, extra) for entries in conds]


def taken_out(evaluation: Evaluation | None, given: dict[str, Any], x: Tensor):
    """Take region, or None, and masks by Apply out of the arguments of a UNet call."""
    placed: Placed | None = given.pop(PLACED, None)
    found = {} if placed is None else placed.for_samples(x)
    if found is None:
        found = {}
        if evaluation is not None:
            evaluation.run.warn_of_tiles((x.shape[-2], x.shape[-1]))
    return found.pop(REGION, None), found


def with_entry(entries: list[dict], extra: dict[str, Any]) -> list[dict]:
    """Entries of conditioning with more of what reaches the UNet as an argument."""
    return [{**entry, "model_conds": {**entry["model_conds"], **extra}} for entry in entries]


def _channels(
    evaluation: Evaluation, x: Tensor, part: Part | None, window: Window | None
) -> dict[int, Tensor]:
    """Masks by name, each (B, 1, h, w) of the samples of x."""
    state: State = evaluation.run.state
    found: dict[int, Tensor] = {}
    for index, applied in enumerate(state.applied):
        for name, mask, mode in (
            # Every 8th pixel, as the authors.
            (REGION, applied.region, "nearest"),
            (index, applied.attention_mask, "area"),
        ):
            placed = None
            if mask is not None:
                placed = _placed(evaluation, mask, mode, x, part, window)
            if placed is not None:
                # One channel serves all regions: a face wherever any wants one.
                found[name] = torch.maximum(found[name], placed) if name in found else placed
    return found


def _placed(
    evaluation: Evaluation,
    mask: Tensor,
    mode: str,
    x: Tensor,
    part: Part | None,
    window: Window | None,
) -> Tensor | None:
    """A mask for the samples of x; None where nobody knows what x shows of the picture."""
    run, whole = evaluation.run, evaluation.x
    size = (whole.shape[-2], whole.shape[-1])
    if run.masks.is_tile(size) or (part is None and window is None):
        run.warn_of_tiles((x.shape[-2], x.shape[-1]))
        return None
    if mask.ndim == 3 and mask.shape[0] > 1:
        if run.masks.frames not in (None, whole.shape[0]):
            run.warn_of_frames(whole.shape[0], run.masks.frames)
            return None
        if part is not None and not part.sure:
            run.warn_of_frames(x.shape[0], whole.shape[0])
            return None
    scaled = run.masks.scaled(mask, size, mode, x)
    scaled = comfy.utils.repeat_to_batch_size(scaled, whole.shape[0])
    if window is not None:
        # A window of rows or columns has all frames, and may have more of them than the mask.
        return window(scaled)
    assert part is not None
    return part.of(scaled, (x.shape[-2], x.shape[-1]))
