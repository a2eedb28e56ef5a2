"""The picture of a reference: a row for each person, with the faces that it was made from."""

from __future__ import annotations

import math

from PIL import Image

from ..drawing import CHOSEN, DARK, GAP, LIGHT, OTHER, PANEL, captioned, tile, write
from .reference import Identity, Reference

TILE = 112
ROW = 26
MOST = 8


def reference_sheet(reference: Reference, title: str) -> Image.Image:
    """All people of a reference, one row each, with `title` below. RGB."""
    rows = [_row(i, person) for i, person in enumerate(reference.identities, 1)]
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, sum(row.height + GAP for row in rows)), DARK)
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height + GAP
    return captioned(sheet, [(title, CHOSEN)], least=360)


def _row(number: int, person: Identity) -> Image.Image:
    count = len(person.log_weights)
    shown = count if count <= MOST else MOST - 1
    tiles = min(count, MOST)
    row = Image.new("RGB", (max(360, tiles * (TILE + GAP) - GAP), ROW + TILE), DARK)
    write(row, (6, 3), _words(number, person), LIGHT)
    for i in range(tiles):
        square = _thumbnail(person, i) if i < shown else _plain(f"+ {count - shown}")
        row.paste(square, (i * (TILE + GAP), ROW))
    return row


def _words(number: int, person: Identity) -> str:
    count = len(person.log_weights)
    faces = "1 face" if count == 1 else f"{count} faces"
    total = sum(math.exp(log) for log in person.log_weights)
    counted = f" counted as {total:.3g}" if abs(total - count) > 0.01 else ""
    weight = f", weight {person.weight:.3g}" if person.weight != 1 else ""
    return f"Person {number}: {faces}{counted}{weight}"


def _thumbnail(person: Identity, index: int) -> Image.Image:
    if person.thumbnails is None:
        return _plain("no picture")
    return tile(Image.fromarray(person.thumbnails[index].numpy()), TILE)


def _plain(text: str) -> Image.Image:
    square = Image.new("RGB", (TILE, TILE), PANEL)
    write(square, (8, TILE // 2 - 9), text, OTHER)
    return square
