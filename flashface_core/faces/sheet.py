"""A picture of aligned faces, with how alike each is to the mean of all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from ..drawing import CHOSEN, DARK, GAP, LIGHT, badge, captioned, text_width, write
from .align import SIZE

COLUMNS, MOST = 4, 12


def faces_sheet(
    crops: torch.Tensor, likeness: Sequence[float], title: str, words: str
) -> Image.Image:
    """Up to twelve crops (N, 112, 112, 3) uint8 with their cosines, two lines below. RGB.

    likeness: of each crop; none where it is not known.
    """
    shown = min(len(crops), MOST)
    columns = min(shown, COLUMNS)
    rows = -(-shown // columns)
    step = SIZE + GAP
    sheet = Image.new("RGB", (columns * step - GAP, rows * step), DARK)
    for i in range(shown):
        x, y = i % columns * step, i // columns * step
        sheet.paste(Image.fromarray(crops[i].numpy()), (x, y))
        if len(likeness) > 1:
            badge(sheet, (x, y), f"{likeness[i]:.2f}")
    if len(crops) > shown:
        more = f"+ {len(crops) - shown}"
        write(sheet, (sheet.width - text_width(more) - 6, sheet.height - 30), more, CHOSEN)
    return captioned(sheet, [(title, CHOSEN), (words, LIGHT)], least=360)
