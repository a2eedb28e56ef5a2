"""What is given to a node is looked at before the node runs: numbers, pictures and masks.

ComfyUI holds typed numbers to the widget's limits, but NaN, which JSON can bring, passes every
comparison, and nobody looks at what comes through a link.
"""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from comfy_api.latest import io

from ..flashface_core.errors import shown
from ..flashface_core.images import distinct

LARGEST = 1e6  # no number of any node is larger by far
ROUNDING = 1e-6  # three times 0.1 is no fault
Check = Callable[[io.Input, Any], None]


def checked(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The same node, which now refuses in words what none of its inputs can be.

    Each Float and Int has to be a finite number within the widget's limits, each IMAGE and MASK
    finite, an IMAGE in 0..1.
    Raises ValueError, which names the input.
    """
    run = node.execute.__func__  # type: ignore[attr-defined]
    assert not inspect.iscoroutinefunction(run)
    schema = functools.cache(node.define_schema)

    @functools.wraps(run)
    def execute(cls: type, *args: Any, **given: Any) -> Any:
        for one in schema().inputs:
            value = given.get(one.id)
            if getattr(one, "optional", False) and schema().is_input_list and _nothing(value):
                given.pop(one.id, None)  # a list node gets the None of a switch as [None]
            elif value is not None and type(one) in CHECKS:
                _check(one, value)
        return run(cls, *args, **given)

    node.execute = classmethod(execute)  # type: ignore[method-assign,assignment]
    return node


def _nothing(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(v is None for v in value)


def _check(one: io.Input, value: Any) -> None:
    if isinstance(value, list | tuple) and not value:
        raise ValueError(f"{one.id} is an empty list. Connect a node that gives something.")
    for item in value if isinstance(value, list | tuple) else [value]:
        CHECKS[type(one)](one, item)


def _check_number(one: Any, value: Any) -> None:
    try:
        # a link is not held to the widget's limits: a size of 0 gives an IMAGE without pixels
        number = operator.index(value) if isinstance(one, io.Int.Input) else float(value)
        low, high = (number if end is None else end for end in (one.min, one.max))
        possible = abs(number) <= LARGEST and low - ROUNDING <= number <= high + ROUNDING  # no NaN
    except (TypeError, ValueError, OverflowError, RuntimeError):
        possible = False
    if not possible:
        limits = [end for end in (one.min, one.max) if end is not None]
        span = " from {:g} to {:g}".format(*limits) if len(limits) == 2 else ""
        raise ValueError(
            f"{one.id} should be a number{span}, got {shown(value)}. Type another one, or look at "
            "what is connected to it."
        )


def _check_image(one: io.Input, value: Any) -> None:
    ends = _ends(one, value, "IMAGE")
    if ends is None:
        return
    if not torch.isfinite(ends).all():
        raise ValueError(
            f"{one.id} holds numbers that are not finite (NaN or infinite){_where(value)}. Where a "
            "VAE gave it, the VAE overflowed in fp16: start ComfyUI with --bf16-vae or --fp32-vae, "
            "or use another VAE."
        )
    whole = not value.is_floating_point() and value.dtype != torch.bool
    # highlights may be far above 1, but no picture is so in the mean
    if float(ends[1]) > 2 and (whole or float(value.mean(dtype=torch.float32)) > 1):
        raise ValueError(
            f"{one.id} holds values up to {float(ends[1]):g}, but those of an IMAGE go from 0 to "
            "1. Divide it by 255 in the node that it comes from."
        )


def _check_mask(one: io.Input, value: Any) -> None:
    ends = _ends(one, value, "MASK")
    if ends is not None and not torch.isfinite(ends).all():
        raise ValueError(
            f"{one.id} holds numbers that are not finite (NaN or infinite){_where(value)}. Look at "
            "the node that it comes from, or connect another mask."
        )


def _ends(one: io.Input, value: Any, kind: str) -> torch.Tensor | None:
    """The least and the greatest value, both NaN where one is; None of what holds nothing."""
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{one.id} should be a {kind}, got {shown(value)}. Connect one.")
    if not value.numel() or value.is_complex():
        return None
    value = distinct(value)  # torch.aminmax would copy a view, such as a mask a frame, in full
    wide = value.float() if value.dtype.itemsize == 1 else value
    return torch.stack(torch.aminmax(wide)).float()


def _where(value: torch.Tensor) -> str:
    if value.ndim < 3 or len(value) < 2:
        return ""
    bad = [i for i, part in enumerate(distinct(value), 1) if not torch.isfinite(part).all()]
    return f" in picture {bad[0]} of {len(value)}"


CHECKS: dict[type, Check] = {
    io.Float.Input: _check_number,
    io.Int.Input: _check_number,
    io.Image.Input: _check_image,
    io.Mask.Input: _check_mask,
}
