"""Curves over the sampling percent, from whatever a CURVE socket brings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import shown

Curve = Callable[[float], float]
"""Sampling percent, 0 at the start to 1 at the end -> a factor, 0 to 1."""


def checked_curve(name: str, value: Any) -> Curve | None:
    """A curve as a function, None for None.

    value: ComfyUI's CurveInput, its dict form {"points", "interpolation"}, or a list of (x, y).
    Points may come in any order; one point is a constant. Where ComfyUI has no curve type of its
    own (before 0.27), points are joined by straight lines.
    Raises ValueError for no curve at all, no points, or points outside 0..1.
    """
    if value is None:
        return None
    given = _points(name, value)
    if not given:
        raise ValueError(f"{name} has no points. Draw at least one in its Curve Editor.")
    points = sorted(given)
    outside = [point for point in points if not all(0 <= number <= 1 for number in point)]
    if outside:
        raise ValueError(
            f"{name} has the point {shown(outside[0])}, but both numbers of a point must lie from "
            "0 to 1: the sampling percent and the factor. Move it in its Curve Editor."
        )
    xs, ys = zip(*points, strict=True)
    own = _comfy_curve(value, given)

    def factor(percent: float) -> float:
        found = math.nan if own is None else float(own.interp(percent))
        # cubics through points that all but share a percent are no numbers
        found = found if math.isfinite(found) else float(np.interp(percent, xs, ys))
        return min(max(found, 0.0), 1.0)

    return factor


def _points(name: str, value: Any) -> list[tuple[float, float]]:
    """The points as they were given; infinity for integers that no float can hold."""
    try:
        raw = getattr(value, "points", None)
        if raw is None:
            raw = value["points"] if isinstance(value, dict) else value
        return [(_number(x), _number(y)) for x, y in raw]
    except Exception as error:  # a CURVE socket brings whatever JSON can hold
        raise ValueError(
            f"{name} should be a curve, points of two numbers each, got {shown(value)}. Connect a "
            "Curve Editor."
        ) from error


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _comfy_curve(value: Any, points: list[tuple[float, float]]) -> Any:
    if hasattr(value, "interp"):
        return value
    try:
        from comfy_api.input import CurveInput
    except ImportError:
        return None
    kind = value.get("interpolation") if isinstance(value, dict) else None
    # any other word is logged by ComfyUI, however long it is
    kind = kind if kind == "linear" else "monotone_cubic"
    return CurveInput.from_raw({"points": points, "interpolation": kind})
