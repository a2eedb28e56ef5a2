"""Face regions and attention masks on their way to a call of the UNet.

They travel as conditioning, which core crops for areas and repeats for batches.
"""

from typing import TYPE_CHECKING, Any

import comfy.conds
import comfy.utils
import torch
from torch import Tensor

from .state import MASK, REGION, State

if TYPE_CHECKING:
    from .run import Run


class Masks:
    """The masks of one sampling, at the sizes that it asks for.

    latent_size: (h, w) of the whole picture, None where a sampling does not tell.
    """

    def __init__(self, latent_size: tuple[int, int] | None):
        self.latent_size = latent_size
        self._scaled: dict[Any, Tensor] = {}

    def scaled(self, mask: Tensor, size: tuple[int, int], mode: str, like: Tensor) -> Tensor:
        """Return a mask (B, H, W) at a latent's size, (B, 1, h, w), on the device of `like`.

        mode: of interpolation; "nearest" takes every 8th pixel of a mask of the picture's size.
        """
        key = (id(mask), size, mode, like.device)
        if key not in self._scaled:
            pixels = mask.reshape(-1, 1, *mask.shape[-2:]).to(like.device, torch.float32)
            self._scaled[key] = torch.nn.functional.interpolate(pixels, size, mode=mode)
        return self._scaled[key]


def with_masks(conds: list, run: "Run", x: Tensor, window: Any) -> list:
    """Return all conditionings with region and attention masks as entries of their own.

    window: core's context window that x is a part of, or None.
    """
    extra = _entries(run, run.state, x, window)
    if not extra:
        return conds
    return [entries if entries is None else _with(entries, extra) for entries in conds]


def taken_out(run: "Run | None", state: State, given: dict[str, Any], x: Tensor):
    """Take region and masks (index of the Apply -> mask) out of a UNet call's arguments."""
    region = _fitting(run, given.pop(REGION, None), x)
    masks = {}
    for index in range(len(state.applied)):
        mask = _fitting(run, given.pop(MASK.format(index), None), x)
        if mask is not None:
            masks[index] = mask
    return region, masks


def _entries(run: "Run", state: State, x: Tensor, window: Any) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    region = None
    for index, applied in enumerate(state.applied):
        if applied.region is not None:
            # Every 8th pixel, as the authors. One channel serves all: a face wherever any wants
            # one.
            mask = _placed(run, applied.region, "nearest", x, window)
            if mask is not None:
                region = mask if region is None else _union(region, mask)
        if applied.attention_mask is not None:
            mask = _placed(run, applied.attention_mask, "area", x, window)
            if mask is not None:
                extra[MASK.format(index)] = comfy.conds.CONDNoiseShape(mask)
    if region is not None:
        extra[REGION] = comfy.conds.CONDNoiseShape(region)
    return extra


def _placed(run: "Run", mask: Tensor, mode: str, x: Tensor, window: Any) -> Tensor | None:
    """A mask at the size of x; None where x is a tile, whose place is not known here."""
    whole, size = run.masks.latent_size, (x.shape[-2], x.shape[-1])
    if window is not None and whole is not None:
        return _in_window(run.masks.scaled(mask, whole, mode, x), window)
    if whole is not None and size != whole:
        run.warn_of_tiles(size)
        return None
    return run.masks.scaled(mask, size, mode, x)


def _in_window(mask: Tensor, window: Any) -> Tensor:
    """What a context window of frames, rows or columns shows of a mask (B, 1, h, w)."""
    if window.dim == 0 and mask.shape[0] > 1:
        mask = comfy.utils.repeat_to_batch_size(mask, window.total_frames)
    return window.get_tensor(mask)


def _fitting(run: "Run | None", mask: Tensor | None, x: Tensor) -> Tensor | None:
    """A mask of this UNet call's samples; None where another node cut them into tiles."""
    size = (x.shape[-2], x.shape[-1])
    if mask is None or (mask.shape[0], *mask.shape[-2:]) == (x.shape[0], *size):
        return mask
    if run is not None:
        run.warn_of_tiles(size)
    return None


def _union(a: Tensor, b: Tensor) -> Tensor:
    size = max(a.shape[0], b.shape[0])
    a, b = (comfy.utils.repeat_to_batch_size(mask, size) for mask in (a, b))
    return torch.maximum(a, b)


def _with(entries: list[dict], extra: dict[str, Any]) -> list[dict]:
    return [{**entry, "model_conds": {**entry["model_conds"], **extra}} for entry in entries]
