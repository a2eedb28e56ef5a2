"""Curves with their intervals, as pictures (Pillow: there is no plotting library to depend on)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from flashface_core.drawing import DARK, LIGHT, OTHER, PANEL, text_width, write

SIZE, PLOT = (760, 480), (84, 56, 560, 400)
TICKS = 8
COLOURS = ((90, 169, 255), (255, 176, 74), (86, 214, 128), (240, 110, 130), (190, 140, 255),
           (120, 220, 220), (220, 220, 120), (200, 200, 200))  # fmt: skip
Point = tuple[float, float, float, float]
"""x, y, and the ends of y's interval."""


@dataclass(frozen=True)
class Curve:
    """A line of points; `labels` stand beside them."""

    name: str
    points: Sequence[Point]
    labels: Sequence[str] = ()


def draw_chart(
    title: str, axes: tuple[str, str], curves: Sequence[Curve], levels: dict[str, float]
) -> Image.Image:
    """A chart of curves. axes: names of x and y. levels: named values of y, such as chance."""
    image = Image.new("RGB", SIZE, DARK)
    pen = ImageDraw.Draw(image)
    points = [point for curve in curves for point in curve.points]
    xs = _range([p[0] for p in points])
    ys = _range([v for p in points for v in p[1:]] + list(levels.values()))
    write(image, (PLOT[0], 16), title, LIGHT, 18)
    write(image, (PLOT[2] - text_width(axes[0], 14), PLOT[3] + 30), axes[0], OTHER, 14)
    write(image, (8, PLOT[1] - 22), axes[1], OTHER, 14)
    _draw_frame(image, pen, xs, ys, sorted({point[0] for point in points}))
    for name, value in levels.items():
        y = _place(value, ys, PLOT[3], PLOT[1])
        pen.line((PLOT[0], y, PLOT[2], y), fill=OTHER)
        write(image, (PLOT[2] + 8, y - 8), name, OTHER, 13)
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        _draw_curve(image, pen, curve, xs, ys, colour)
        write(image, (PLOT[2] + 8, PLOT[1] + 150 + 20 * number), curve.name, colour, 14)
    return image


def _draw_frame(image: Image.Image, pen: ImageDraw.ImageDraw, xs, ys, named) -> None:
    pen.rectangle(PLOT, fill=PANEL)
    # Where there are few places, such as numbers of references, they are what one wants to read.
    across = named if len(named) < TICKS else [xs[0] + (xs[1] - xs[0]) * i / 5 for i in range(6)]
    for i in range(6):
        y = ys[0] + (ys[1] - ys[0]) * i / 5
        at = _place(y, ys, PLOT[3], PLOT[1])
        pen.line((PLOT[0], at, PLOT[2], at), fill=(70, 74, 82))
        text = f"{y:.2f}"
        write(image, (PLOT[0] - 8 - text_width(text, 13), at - 8), text, OTHER, 13)
    for x in across:
        text = f"{x:.3g}"
        middle = _place(x, xs, PLOT[0], PLOT[2]) - text_width(text, 13) / 2
        write(image, (middle, PLOT[3] + 8), text, OTHER, 13)


def _draw_curve(image: Image.Image, pen: ImageDraw.ImageDraw, curve: Curve, xs, ys, colour):
    places = [
        (_place(p[0], xs, PLOT[0], PLOT[2]), _place(p[1], ys, PLOT[3], PLOT[1]))
        for p in curve.points
    ]
    for (x, y), (_, _, low, high) in zip(places, curve.points, strict=True):
        ends = (_place(v, ys, PLOT[3], PLOT[1]) for v in (low, high))
        pen.line([(x, end) for end in ends], fill=colour)
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour)
    if len(places) > 1:
        pen.line(places, fill=colour, width=2)
    for (x, y), label in zip(places, curve.labels, strict=False):
        write(image, (x + 6, y + 2), label, colour, 12)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """What an axis shows: all values with a little room."""
    known = [value for value in values if value == value] or [0.0]
    low, high = min(known), max(known)
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def _place(value: float, axis: tuple[float, float], first: float, last: float) -> float:
    value = value if value == value else axis[0]
    return first + (value - axis[0]) / (axis[1] - axis[0]) * (last - first)
