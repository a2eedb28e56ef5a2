"""Strengths over the frames of a film, from keyframes as text: `0: 1.0, 24: 0.2`.

Between two keyframes the strength goes in a straight line, or holds until the next one; before
the first and after the last it stays what it is there. Drawn with Pillow for the node.
"""

from __future__ import annotations

import math
import re
import unicodedata

import numpy as np
import torch
from PIL import Image, ImageDraw

from ..drawing import CHOSEN, DARK, LIGHT, OTHER, PANEL, Colour, captioned, write
from ..errors import for_users

BETWEEN = ("linear", "hold")
LAST_FRAME = 10**6
SIZE, PLOT = (640, 260), (48, 16, 624, 228)
EXAMPLE = "Write them as 'frame: strength', such as '0: 1.0, 24: 0.2'."

Keyframes = dict[int, float]


@for_users
class KeyframesError(ValueError):
    """Keyframes that cannot be read; the text says which, and what to write."""


def parse_keyframes(text: str) -> Keyframes:
    """Frame (from 0) -> strength (0 to 1), in order, of pairs between commas or on lines.

    Raises KeyframesError for none, for what is no such pair, and for a frame that comes twice.
    """
    keyframes: Keyframes = {}
    text = unicodedata.normalize("NFKC", text)  # Chinese keyboards write wide colons and commas
    for entry in filter(None, map(str.strip, re.split(r"[,;\n]", text))):
        frame, strength = _parse_entry(entry)
        if frame in keyframes:
            raise KeyframesError(
                f"keyframes names frame {frame} twice, the second time as {_short(entry)}. Keep "
                "one of them."
            )
        keyframes[frame] = strength
    if not keyframes:
        raise KeyframesError(f"keyframes is empty. {EXAMPLE}")
    return dict(sorted(keyframes.items()))


def strengths(keyframes: Keyframes, frames: int, between: str = "linear") -> torch.Tensor:
    """The strength at each frame, (frames,) float32; `between` is one of `BETWEEN`."""
    at, values = np.array(list(keyframes)), np.array(list(keyframes.values()))
    numbers = np.arange(frames)
    if between == "hold":
        before = np.searchsorted(at, numbers, side="right") - 1
        return torch.from_numpy(values[before.clip(0)]).float()
    return torch.from_numpy(np.interp(numbers, at, values)).float()


def strength_masks(strength: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """A MASK batch (frames, height, width) that is each frame's strength everywhere.

    It is a view of one number a frame, so that long films take no memory.
    """
    return strength[:, None, None].expand(-1, height, width)


def draw_strengths(strength: torch.Tensor, keyframes: Keyframes) -> Image.Image:
    """The curve over the frames, with its keyframes as dots."""
    sheet = Image.new("RGB", SIZE, DARK)
    pen = ImageDraw.Draw(sheet)
    last = max(len(strength) - 1, 1)
    pen.rectangle(PLOT, outline=PANEL)
    for value in (0.0, 0.5, 1.0):
        _, y = _place(0, value, last)
        pen.line((PLOT[0], y, PLOT[2], y), fill=PANEL)
        write(sheet, (12, y - 10), f"{value:g}", OTHER, 15)
    for frame in sorted({round(last * share / 4) for share in range(5)}):
        write(sheet, (_place(frame, 0, last)[0] - 8, PLOT[3] + 6), str(frame), OTHER, 15)
    values = strength.tolist() if len(strength) > 1 else strength.tolist() * 2
    points = [_place(i, value, last) for i, value in enumerate(values)]
    pen.line(points, fill=CHOSEN, width=3, joint="curve")
    for frame, value in keyframes.items():
        if frame < len(strength):
            x, y = _place(frame, value, last)
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=LIGHT)
    low, high = float(strength.min()), float(strength.max())
    lines: list[tuple[str, Colour]] = [
        (f"{_frames(len(strength))}, strength {low:.2f} to {high:.2f}", CHOSEN)
    ]
    beyond = [frame for frame in keyframes if frame >= len(strength)]
    if beyond:
        lines.append((f"keyframes beyond the last frame: {len(beyond)}", OTHER))
    return captioned(sheet, lines)


def _parse_entry(entry: str) -> tuple[int, float]:
    match = re.fullmatch(r"(\d+)\s*[:=]\s*\(?\s*([-+.\w]+)\s*\)?", entry)
    try:
        if match is None:
            raise ValueError
        frame, strength = int(match[1][:20]), float(match[2])
    except ValueError:
        raise KeyframesError(
            f"keyframes has {_short(entry)}, which is no pair. {EXAMPLE}"
        ) from None
    if frame > LAST_FRAME:
        raise KeyframesError(
            f"keyframes has {_short(entry)}, but frames count from 0 and end at {LAST_FRAME}."
        )
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise KeyframesError(
            f"keyframes has {_short(entry)}, but a strength lies from 0 (the person is off) to 1 "
            "(the strength of Apply FlashFace, which goes higher)."
        )
    return frame, strength


def _place(frame: float, value: float, last: int) -> tuple[float, float]:
    left, upper, right, lower = PLOT
    return left + frame / last * (right - left), lower - value * (lower - upper)


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _short(entry: str) -> str:
    return repr(entry if len(entry) <= 40 else entry[:37] + "...")
