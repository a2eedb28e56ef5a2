"""Stand-ins for kinds of packs, each with the one trait that matters beside FlashFace.

Written for these tests; what they do to a MODEL goes through the entries of ComfyUI that packs of
their kind use.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import comfy.hooks
import comfy.samplers
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from composition import Patch, random
from torch import Tensor

WIDTHS = {("input", 4): 64, ("middle", 0): 128, ("output", 5): 128, ("output", 9): 32}
"""Channels of some blocks of the tiny UNet, of its encoder and of its decoder."""


def kinds_in_runs(model: ModelPatcher) -> ModelPatcher:
    """Text attention pushed away from other tokens, for the positive: all samples behind the
    negative's, if the batch is what such packs count on."""
    clone = model.clone()
    for seed, (block, width) in enumerate(WIDTHS.items(), start=201):
        key, value = random(2, 1, 6, width, seed=seed)

        def replaced(q: Tensor, k: Tensor, v: Tensor, options: dict, key=key, value=value):
            heads, kinds = options["n_heads"], options["cond_or_uncond"]
            out = optimized_attention(q, k, v, heads)
            if 0 not in kinds:
                return out
            start = kinds.index(0) * (q.shape[0] // len(kinds))
            count = q.shape[0] // len(kinds) * kinds.count(0)
            keys, values = (t.to(q).expand(count, -1, -1) for t in (key, value))
            away = optimized_attention(q[start:], keys, values, heads)
            return torch.cat([out[:start], out[start:] + 0.7 * (out[start:] - away)])

        clone.set_model_attn2_replace(replaced, *block)
    return clone


class Couple:
    """Attention couple: the positive's samples look at a prompt for each half of the picture.

    One sample a half, and one sum of them all: the batch must hold a single positive prompt.
    """

    def __init__(self) -> None:
        self.other = random(1, 77, 64, seed=210)
        self._kinds: list[int] = []

    def to(self, *args: Any, **kwargs: Any) -> Couple:
        """Core moves what hooks bring to the device."""
        return self

    def enlarge(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]):
        """attn2_patch."""
        kinds = options["cond_or_uncond"]
        parts = [list(t.chunk(len(kinds))) for t in (q, k, v)]
        self._kinds = []
        for i, kind in enumerate(kinds):
            self._kinds += [kind] if kind == 1 else [0, 0]
            if kind == 0:
                other = self.other.to(k).expand(parts[1][i].shape[0], -1, -1)
                parts[0][i] = torch.cat([parts[0][i]] * 2)
                for part in parts[1:]:
                    part[i] = torch.cat([part[i], other])
        return tuple(torch.cat(part) for part in parts)

    def merge(self, out: Tensor, options: dict[str, Any]) -> Tensor:
        """attn2_output_patch."""
        width = options["activations_shape"][-1]
        left = (torch.arange(out.shape[1]) % width < (width + 1) // 2).to(out).view(-1, 1)
        halves = iter((left, 1 - left))
        given, positive = [], []
        for kind, part in zip(self._kinds, out.chunk(len(self._kinds)), strict=True):
            if kind == 1:
                given.append(part)
            else:
                positive.append(part * next(halves))
        return torch.cat([*given, torch.stack(positive).sum(0)] if positive else given)


def couple(model: ModelPatcher) -> ModelPatcher:
    """Attention couple as a node that patches the MODEL."""
    made, clone = Couple(), model.clone()
    clone.set_model_attn2_patch(made.enlarge)
    clone.set_model_attn2_output_patch(made.merge)
    return clone


class _Movable(NamedTuple):
    """Core calls `to` on patches that hooks bring."""

    function: Callable

    def to(self, *args: Any, **kwargs: Any) -> _Movable:
        return self

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def couple_hooks() -> comfy.hooks.HookGroup:
    """Attention couple as hooks of one prompt's conditioning."""
    made, group = Couple(), comfy.hooks.HookGroup()
    patches = {
        "attn2_patch": [_Movable(made.enlarge)],
        "attn2_output_patch": [_Movable(made.merge)],
    }
    group.add(
        comfy.hooks.TransformerOptionsHook(
            transformers_dict={"patches": patches}, hook_scope=comfy.hooks.EnumHookScope.HookedOnly
        )
    )
    return group


WINDOWS = ((0, 1, 2, 3), (2, 3, 4, 5))
"""Of 6 frames."""


def _windowed(run: Callable, conds: list, x: Tensor, timestep: Tensor, options: dict, told: bool):
    """Run windows of frames one by one; conditioning of as many frames is cut along."""
    total = [torch.zeros_like(x) for _ in conds]
    count = torch.zeros(x.shape[0], 1, 1, 1, device=x.device)
    for window in map(list, WINDOWS):
        if told:
            inner = {**options["transformer_options"], "ad_params": {"sub_idxs": window}}
            options = {**options, "transformer_options": inner}
        parts = [_cut(entries, window, x.shape[0]) for entries in conds]
        for out, part in zip(total, run(parts, x[window], timestep[window], options), strict=True):
            out[window] += part
        count[window] += 1
    return [out / count for out in total]


def _cut(entries: list[dict] | None, window: list[int], frames: int) -> list[dict] | None:
    if entries is None:
        return None
    made = []
    for entry in entries:
        conds = dict(entry["model_conds"])
        for name, cond in conds.items():
            if isinstance(getattr(cond, "cond", None), Tensor) and len(cond.cond) == frames:
                conds[name] = cond._copy_with(cond.cond[window])
        made.append({**entry, "model_conds": conds})
    return made


def windows_by_wrapper(told: bool) -> Patch:
    """Windows of frames around core's batches, as AnimateDiff-Evolved makes them.

    told: whether the window is written down where other packs look for it.
    """

    def wrapper(executor, model, conds, x, timestep, options):
        def run(conds: list, x: Tensor, timestep: Tensor, options: dict) -> list[Tensor]:
            return executor(model, conds, x, timestep, options)

        return _windowed(run, conds, x, timestep, options, told)

    def patch(model: ModelPatcher) -> ModelPatcher:
        clone = model.clone()
        clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "windows", wrapper)
        return clone

    return patch


def windows_by_function(model: ModelPatcher) -> ModelPatcher:
    """Windows of frames in the place of core's whole calculation, outside of all wrappers."""

    def replaced(args: dict[str, Any]) -> list[Tensor]:
        def run(conds: list, x: Tensor, timestep: Tensor, options: dict) -> list[Tensor]:
            return comfy.samplers.calc_cond_batch(args["model"], conds, x, timestep, options)

        given = args["conds"], args["input"], args["sigma"], args["model_options"]
        return _windowed(run, *given, told=False)

    clone = model.clone()
    clone.model_options["sampler_calc_cond_batch_function"] = replaced
    return clone


def replaced_forward(model: ModelPatcher) -> ModelPatcher:
    """The UNet's inner forward replaced on the instance for a while, as block caches do."""
    unet: Any = model.model.diffusion_model
    forward = unet._forward

    def replaced(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return forward(x, *args, **kwargs) + 0.1 * x

    def wrapper(apply_model: Callable, given: dict[str, Any]) -> Tensor:
        with mock.patch.object(unet, "_forward", replaced):
            return apply_model(given["input"], given["timestep"], **given["c"])

    clone = model.clone()
    clone.set_model_unet_function_wrapper(wrapper)
    return clone


@contextmanager
def replaced_class(kind: type, name: str) -> Iterator[None]:
    """A class of core's with a method that works on all samples of a batch together."""
    written = getattr(kind, name)

    def replaced(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return written(self, x, *args, **kwargs)

    with mock.patch.object(kind, name, replaced):
        yield


def walk(model: ModelPatcher) -> list[Any]:
    """What a pack sees that walks over a MODEL's patches."""
    patches = model.model_options["transformer_options"].get("patches", {})
    return list(itertools.chain.from_iterable(patches.values()))


class Box(NamedTuple):
    """A tile of a latent, in latent pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, t: Tensor) -> Tensor:
        """The tile of a tensor (..., h, w)."""
        return t[..., self.top : self.top + self.height, self.left : self.left + self.width]


TILES = (Box(0, 0, 16, 10), Box(0, 6, 16, 10))
"""Of a latent of 16 x 16; they overlap."""


def slices_conditioning(tiles: tuple[Box, ...] = TILES) -> Patch:
    """Tiles in one batch, tile after tile, with every picture-like tensor of the call cut along."""

    def wrapper(apply_model: Callable, given: dict[str, Any]) -> Tensor:
        x, total = given["input"], torch.zeros_like(given["input"])
        count = torch.zeros_like(total)
        rows = len(tiles) * x.shape[0]
        made = {}
        for name, value in given["c"].items():
            if isinstance(value, Tensor) and value.ndim == 4:
                assert value.shape[-2:] == x.shape[-2:], f"{name} is no picture of this size"
                value = torch.cat([tile.of(value) for tile in tiles])
            elif isinstance(value, Tensor):
                value = torch.cat([value] * len(tiles))
            made[name] = value
        cut = torch.cat([tile.of(x) for tile in tiles])
        out = apply_model(cut, given["timestep"].repeat(len(tiles))[:rows], **made)
        for tile, part in zip(tiles, out.chunk(len(tiles)), strict=True):
            tile.of(total).add_(part)
            tile.of(count).add_(1)
        return total / count

    def patch(model: ModelPatcher) -> ModelPatcher:
        clone = model.clone()
        clone.set_model_unet_function_wrapper(wrapper)
        return clone

    return patch
