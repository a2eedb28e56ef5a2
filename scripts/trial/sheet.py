"""Pictures side by side with titles, drawn by ComfyUI's Python: sheet.py TARGET PANELS.

PANELS is JSON: a list of [title, [file, ...]]; up to four files share a panel.
"""

from __future__ import annotations

import json
import sys

from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE, GAP, TITLE = 256, 12, 28
BACK, INK = (24, 24, 24), (230, 230, 230)


def panel(files: list[str]) -> Image.Image:
    """Up to four pictures as one square."""
    across = 1 if len(files) == 1 else 2
    side = SIDE // across
    whole = Image.new("RGB", (SIDE, SIDE), BACK)
    for number, file in enumerate(files[: across**2]):
        with Image.open(file) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        fitted = ImageOps.pad(upright, (side, side), Image.Resampling.LANCZOS, color=BACK)
        whole.paste(fitted, (number % across * side, number // across * side))
    return whole


def sheet(panels: list[tuple[str, list[str]]]) -> Image.Image:
    """All panels in a row."""
    width = GAP + len(panels) * (SIDE + GAP)
    whole = Image.new("RGB", (width, GAP + TITLE + SIDE + GAP), BACK)
    pen = ImageDraw.Draw(whole)
    font = ImageFont.load_default(size=16)
    for number, (title, files) in enumerate(panels):
        left = GAP + number * (SIDE + GAP)
        pen.text((left, GAP), title, INK, font)
        whole.paste(panel(files), (left, GAP + TITLE))
    return whole


if __name__ == "__main__":
    sheet(json.loads(sys.argv[2])).save(sys.argv[1])
