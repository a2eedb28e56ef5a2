"""Curves over the sampling percent, from whatever a CURVE socket brings."""

from collections.abc import Callable
from typing import Any

import numpy as np

Curve = Callable[[float], float]
"""Sampling percent, 0 at the start to 1 at the end -> a factor, 0 to 1."""


def checked_curve(name: str, value: Any) -> Curve | None:
    """Return a curve as a function, None for None.

    value: ComfyUI's CurveInput, its dict form {"points", "interpolation"}, or a list of (x, y).
    Points may come in any order; one point is a constant. Where ComfyUI has no curve type of its
    own (before 0.27), points are joined by straight lines.
    Raises ValueError for no points, or points outside 0..1.
    """
    if value is None:
        return None
    raw = getattr(value, "points", None)
    if raw is None:
        raw = value["points"] if isinstance(value, dict) else value
    points = sorted((float(x), float(y)) for x, y in raw)
    if not points:
        raise ValueError(f"{name} has no points. Draw at least one in its Curve Editor.")
    outside = [point for point in points if not all(0 <= number <= 1 for number in point)]
    if outside:
        raise ValueError(
            f"{name} has the point {outside[0]}, but both numbers of a point must lie from 0 to 1: "
            "the sampling percent and the factor. Move it in its Curve Editor."
        )
    own = _comfy_curve(value)
    if own is not None:
        return lambda percent: float(own.interp(percent))
    xs, ys = zip(*points, strict=True)
    return lambda percent: float(np.interp(percent, xs, ys))


def _comfy_curve(value: Any) -> Any:
    if hasattr(value, "interp"):
        return value
    try:
        from comfy_api.input import CurveInput
    except ImportError:
        return None
    return CurveInput.from_raw(value)
