"""The picture of a comparison: each face beside the reference it is most like, and its score."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ..drawing import (
    CHOSEN,
    DARK,
    GAP,
    LIGHT,
    OTHER,
    PANEL,
    WARN,
    Colour,
    badge,
    captioned,
    tile,
    write,
)
from .similarity import Comparison, FaceScore

TILE = 112
MIDDLE = 150
WORDS = 250
MOST = 12
# Rules of thumb for ArcFace: two photos of one person mostly lie above, of two people below.
SAME, SIMILAR = 0.5, 0.3
RED = (235, 105, 105)


def similarity_report(comparison: Comparison) -> Image.Image:
    """A row for each face (or picture without one), most like a reference first in its picture."""
    rows = []
    for image in range(comparison.images):
        faces = [face for face in comparison.faces if face.image == image]
        faces.sort(key=lambda face: -face.sim_ref)
        rows += [_face_row(comparison, face, i) for i, face in enumerate(faces)]
        rows += [_empty_row(image)] if not faces else []
    more = len(rows) - MOST
    rows = rows[:MOST]
    width = TILE + MIDDLE + TILE + 2 * GAP + WORDS
    sheet = Image.new("RGB", (width, len(rows) * (TILE + GAP)), DARK)
    for i, row in enumerate(rows):
        sheet.paste(row, (0, i * (TILE + GAP)))
    lines = [(f"and {more} more", OTHER)] if more > 0 else []
    return captioned(sheet, [*lines, *_summary(comparison)])


def verdict(score: float) -> tuple[str, Colour]:
    """What a similarity says, and the colour of it."""
    if score >= SAME:
        return "same person", CHOSEN
    return ("similar", WARN) if score >= SIMILAR else ("another person", RED)


def _summary(comparison: Comparison) -> list[tuple[str, Colour]]:
    count = "1 image" if comparison.images == 1 else f"mean of {comparison.images} images"
    words, colour = verdict(comparison.sim_ref)
    lines = [(f"Similarity {comparison.sim_ref:.2f}: {words} ({count})", colour)]
    second = f"to all {len(comparison.references)} references {comparison.mean:.2f}"
    if comparison.paste is not None:
        second += f", to the target {comparison.sim_target:.2f}, Paste {comparison.paste:+.2f}"
    return [*lines, (second, LIGHT)]


def _face_row(comparison: Comparison, face: FaceScore, rank: int) -> Image.Image:
    row = Image.new("RGB", (TILE + MIDDLE + TILE + 2 * GAP + WORDS, TILE), DARK)
    words, colour = verdict(face.sim_ref)
    row.paste(tile(face.face.picture, TILE), (0, 0))
    badge(row, (0, 0), f"image {face.image + 1}", colour if rank == 0 else OTHER)
    _score(row, face.sim_ref, colour)
    x = TILE + MIDDLE
    row.paste(tile(comparison.references[face.best].picture, TILE), (x, 0))
    badge(row, (x, 0), f"ref {face.best + 1}", colour if rank == 0 else OTHER)
    x += TILE + 2 * GAP
    write(row, (x, 8), words, colour, 20)
    lines = [f"all references {sum(face.scores) / len(face.scores):.2f}"]
    if face.target is not None:
        lines.append(f"target {face.target:.2f}")
    if rank:
        lines.append("not counted: another face is nearer")
    for i, line in enumerate(lines):
        write(row, (x, 38 + i * 22), line, OTHER, 15)
    return row


def _score(row: Image.Image, score: float, colour: Colour) -> None:
    """The number between the two faces, over a bar from 0 to 1."""
    text = f"{score:.2f}"
    write(row, (TILE + MIDDLE / 2 - 38, 20), text, colour, 40)
    draw = ImageDraw.Draw(row)
    left, right, y = TILE + 2 * GAP, TILE + MIDDLE - 2 * GAP, 80
    draw.rectangle((left, y, right, y + 8), fill=PANEL)
    end = left + (right - left) * min(max(score, 0.0), 1.0)
    draw.rectangle((left, y, max(end, left + 1), y + 8), fill=colour)
    for mark in (SIMILAR, SAME):
        x = left + (right - left) * mark
        draw.line((x, y - 3, x, y + 11), fill=OTHER)


def _empty_row(image: int) -> Image.Image:
    row = Image.new("RGB", (TILE + MIDDLE + TILE + 2 * GAP + WORDS, TILE), DARK)
    row.paste(Image.new("RGB", (TILE, TILE), PANEL), (0, 0))
    badge(row, (0, 0), f"image {image + 1}", OTHER)
    write(row, (TILE + 2 * GAP, 44), "no face found: counts as 0", RED, 20)
    return row
