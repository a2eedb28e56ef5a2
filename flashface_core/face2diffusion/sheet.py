"""The picture of an identity: its aligned faces, and how alike each is to the mean of all."""

from __future__ import annotations

from PIL import Image

from ..drawing import CHOSEN, DARK, GAP, LIGHT, badge, captioned, text_width, write
from ..faces.align import SIZE
from .identity import Identity

COLUMNS, MOST = 4, 12


def identity_sheet(identity: Identity, title: str) -> Image.Image:
    """Up to twelve crops with their cosines, `title` and the identity's own words below. RGB."""
    shown = min(len(identity.crops), MOST)
    columns = min(shown, COLUMNS)
    rows = -(-shown // columns)
    step = SIZE + GAP
    sheet = Image.new("RGB", (columns * step - GAP, rows * step), DARK)
    for i in range(shown):
        x, y = i % columns * step, i // columns * step
        sheet.paste(Image.fromarray(identity.crops[i].numpy()), (x, y))
        if len(identity.likeness) > 1:
            badge(sheet, (x, y), f"{identity.likeness[i]:.2f}")
    if len(identity.crops) > shown:
        more = f"+ {len(identity.crops) - shown}"
        write(sheet, (sheet.width - text_width(more) - 6, sheet.height - 30), more, CHOSEN)
    return captioned(sheet, [(title, CHOSEN), (str(identity), LIGHT)], least=360)
