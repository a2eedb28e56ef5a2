"""Draws a schedule: both curves over the sampling, the launch, and what it costs (Pillow)."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .guidance import Preset, Schedule, trailing_timesteps

SIZE = (640, 400)
PLOT = (64, 56, 616, 320)
STEPS = 30
SAMPLES = 400

BACKGROUND, FRAME, TEXT, FAINT = "#202225", "#5c6066", "#e8e8e8", "#9a9ea4"
STRENGTH, GUIDANCE, LAUNCHED, GRID = "#5aa9ff", "#ffb04a", "#26303a", "#33363b"


def evaluations(schedule: Schedule, steps: int = STEPS) -> int:
    """How many UNet predictions the authors' step schedule takes, one reference applied."""
    return sum(schedule.branches_at(timestep) for timestep in trailing_timesteps(steps))


def draw(schedule: Schedule, preset: Preset | None = None) -> torch.Tensor:
    """The drawing as an IMAGE, (1, H, W, 3) float 0..1.

    preset: where the schedule is one, for the sampler's settings that belong to it.
    """
    image = Image.new("RGB", SIZE, BACKGROUND)
    pen = ImageDraw.Draw(image)
    percents = np.linspace(0, 1, SAMPLES)
    launched = percents >= schedule.launch_percent
    applied = 1.2 if schedule.strength is None else schedule.strength
    pairs = [(float(p), bool(on)) for p, on in zip(percents, launched, strict=True)]
    strength = [schedule.strength_at(p, on, applied or 1.0) for p, on in pairs]
    guidance = [schedule.guidance_at(p, on) for p, on in pairs]
    top = _round_up(max(*strength, *guidance, 1.0))
    bottom = min(0.0, *strength)
    _draw_frame(pen, schedule.launch_percent, bottom, top)
    _draw_curve(pen, guidance, bottom, top, GUIDANCE)
    _draw_curve(pen, strength, bottom, top, STRENGTH)
    _draw_captions(pen, schedule, preset)
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).unsqueeze(0)


def _draw_frame(pen: ImageDraw.ImageDraw, launch: float, bottom: float, top: float) -> None:
    left, upper, right, lower = PLOT
    x = left + launch * (right - left)
    pen.rectangle((x, upper, right, lower), fill=LAUNCHED)
    pen.rectangle(PLOT, outline=FRAME)
    step = max(0.5, _round_up((top - bottom) / 6))
    for value in np.arange(np.ceil(bottom / step), np.floor(top / step) + 1) * step:
        y = _y(float(value), bottom, top)
        pen.line((left, y, right, y), fill=GRID)
        pen.text((left - 8, y), f"{value:g}", fill=FAINT, font=_font(14), anchor="rm")
    for percent in (0, 25, 50, 75, 100):
        at = left + percent / 100 * (right - left)
        pen.text((at, lower + 6), f"{percent} %", fill=FAINT, font=_font(14), anchor="ma")
    pen.line((x, upper, x, lower), fill=TEXT)
    anchor = "la" if launch < 0.75 else "ra"
    offset = 6 if launch < 0.75 else -6
    pen.text(
        (x + offset, upper + 4), f"launch {launch:.3g}", fill=TEXT, font=_font(14), anchor=anchor
    )


def _draw_curve(pen: ImageDraw.ImageDraw, values: list, bottom: float, top: float, color: str):
    left, _, right, _ = PLOT
    xs = np.linspace(left, right, len(values))
    points = [(float(x), _y(v, bottom, top)) for x, v in zip(xs, values, strict=True)]
    pen.line(points, fill=color, width=4, joint="curve")


def _draw_captions(pen: ImageDraw.ImageDraw, schedule: Schedule, preset: Preset | None) -> None:
    pen.line((64, 28, 88, 28), fill=STRENGTH, width=4)
    pen.text((96, 28), "strength", fill=TEXT, font=_font(18), anchor="lm")
    pen.line((204, 28, 228, 28), fill=GUIDANCE, width=4)
    pen.text((236, 28), "reference guidance", fill=TEXT, font=_font(18), anchor="lm")
    steps = preset.steps if preset else STEPS
    total = evaluations(schedule, steps)
    lines = [f"{steps} steps = {total} UNet evaluations per picture ({2 * steps} with plain cfg)"]
    if preset:
        lines.append(f"goes with cfg {preset.cfg:g} and {steps} steps: set them in the sampler")
    for i, line in enumerate(lines):
        y = 372 + 22 * (i - (len(lines) - 1) / 2)
        pen.text((SIZE[0] / 2, y), line, fill=TEXT, font=_font(17), anchor="mm")


def _y(value: float, bottom: float, top: float) -> float:
    _, upper, _, lower = PLOT
    return lower - (value - bottom) / (top - bottom) * (lower - upper)


def _round_up(value: float) -> float:
    return float(np.ceil(value * 1.05 * 2) / 2)


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
