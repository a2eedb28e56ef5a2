"""Pictures that nodes show of their work: faces found and chosen, and where a region lies."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageEnhance

from ..drawing import (
    BADGE,
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
    write,
)
from .boxes import Box
from .choose import LIKENESS, ChosenFaces
from .similarity_report import verdict

SIDE = 512
SENTENCE = 46  # letters of an error in a line, about as wide as the picture
LABELLED = 12  # of more faces than this, the ones not chosen get no label


def faces_preview(result: ChosenFaces, title: str) -> Image.Image:
    """The picture with its faces, chosen ones bright and numbered, and their crops beside it.

    The others are grey and bear the index that would choose them.
    """
    left = _marked(result)
    right = _column([crop.picture for crop in result.chosen], left.height)
    sheet = Image.new("RGB", (left.width + (right.width + GAP if right else 0), left.height), DARK)
    sheet.paste(left, (0, 0))
    if right:
        sheet.paste(right, (left.width + GAP, 0))
    return captioned(sheet, _summary(result, title), least=360)


def error_preview(seen: ChosenFaces, sentence: str) -> Image.Image:
    """The picture with the faces that were found in it, and below it why none was taken."""
    lines = textwrap.wrap(sentence, SENTENCE)
    return captioned(_marked(seen), [(line, WARN) for line in lines])


def region_preview(
    mask: torch.Tensor, boxes: Sequence[Box], backdrop: Image.Image | None = None
) -> Image.Image:
    """A (height, width) region in the picture's aspect ratio, with the outlines of its boxes.

    `backdrop` is shown darkened behind it, stretched to the same size.
    """
    height, width = mask.shape
    size, scale = _fit(width, height)
    canvas = Image.new("RGB", size, PANEL)
    if backdrop is not None:
        canvas = ImageEnhance.Brightness(backdrop.resize(size)).enhance(0.4)
    bright = Image.new("RGB", size, CHOSEN)
    if backdrop is not None:
        bright = Image.blend(backdrop.resize(size), bright, 0.25)
    filled = Image.fromarray((mask > 0).to(torch.uint8).mul(255).cpu().numpy()).resize(size)
    canvas.paste(bright, mask=filled)
    draw = ImageDraw.Draw(canvas)
    for box in boxes:
        draw.rectangle(_corners(box, scale, size), outline=LIGHT, width=2)
    share = float((mask > 0).float().mean())
    text = f"{width} x {height}: " + (f"region is {share:.0%} of it" if share else "no region")
    return captioned(canvas, [(text, CHOSEN if share else OTHER)], least=220)


def _summary(result: ChosenFaces, title: str) -> list[tuple[str, Colour]]:
    if not result.chosen:
        return [(f"{title}: no face, skipped", WARN), (_short(result.reason), OTHER)]
    if result.reason:
        return [(f"{title}: no face, whole image used", WARN), (_short(result.reason), OTHER)]
    used, faces = len(result.chosen), len(result.faces)
    text = "the only face is used"
    if faces > 1:
        how = _how(result.order)
        first = next(i for i, face in enumerate(result.faces) if face is result.chosen[0].face)
        text = f"{used} of {faces} faces used, {how}" + (f", from index {first}" if first else "")
    scores = ", ".join(f"{crop.face.score:.2f}" for crop in result.chosen[:6])
    source = f"found by {result.source}, score {scores}"
    if result.source == "bboxes":
        source = "boxes as given to bboxes"
    return [(f"{title}: {text}", CHOSEN), (source, OTHER), *_likeness(result), *_unsure(result)]


def _how(order: str) -> str:
    if order == LIKENESS:
        return "the most alike first"
    return order if " to " in order else f"{order} first"


def _unsure(result: ChosenFaces) -> list[tuple[str, Colour]]:
    """The built-in detector takes badges and lamps for faces too, so its others are pointed at."""
    others = len(result.faces) - len(result.chosen)
    if result.source != "lbp" or not others:
        return []
    noun = "candidate" if others == 1 else "candidates"
    return [(f"unsure: {others} other {noun}, see index", WARN)]


def _likeness(result: ChosenFaces) -> list[tuple[str, Colour]]:
    """How like the person the chosen faces are, where they were chosen by that."""
    scores = [crop.likeness for crop in result.chosen if crop.likeness is not None]
    if not scores:
        return []
    words, colour = verdict(scores[0])
    return [(f"likeness {', '.join(f'{s:.2f}' for s in scores[:6])}: {words}", colour)]


def _short(text: str) -> str:
    return text if len(text) <= 78 else text[:75] + "..."


def _fit(width: int, height: int) -> tuple[tuple[int, int], float]:
    scale = SIDE / max(width, height)
    return (max(1, round(width * scale)), max(1, round(height * scale))), scale


def _marked(result: ChosenFaces) -> Image.Image:
    size, scale = _fit(*result.picture.size)
    bright = result.picture.resize(size, reducing_gap=2.0)
    canvas = ImageEnhance.Brightness(bright).enhance(0.45)
    draw = ImageDraw.Draw(canvas)
    chosen = [crop.face for crop in result.chosen]
    labelled = len(result.faces) <= LABELLED
    for index, face in enumerate(result.faces):
        # by identity: two boxes may be equal, and only one of them chosen
        if not any(face is other for other in chosen):
            corners = _corners(face.box, scale, size)
            draw.rectangle(corners, outline=OTHER, width=2)
            if labelled:
                write(canvas, (corners[0] + 1, corners[3] + 2), f"index {index}", OTHER, 14)
    for face in chosen:
        x1, y1, x2, y2 = (round(v) for v in _corners(face.box, scale, size))
        canvas.paste(bright.crop((x1, y1, x2, y2)), (x1, y1))
    for number, face in enumerate(chosen, 1):
        corners = _corners(face.box, scale, size)
        draw.rectangle(corners, outline=CHOSEN, width=3)
        # above the face where there is room, so that it hides none of it
        badge(canvas, (max(corners[0], 0), max(corners[1] - BADGE, 0)), str(number))
    return canvas


def _column(crops: Sequence[Image.Image], height: int) -> Image.Image | None:
    """The numbered crops in columns of the picture's height."""
    if not crops:
        return None
    tile = max(96, min(256, height, (height + GAP) // len(crops) - GAP))
    rows = max(1, (height + GAP) // (tile + GAP))
    columns = -(-len(crops) // rows)
    sheet = Image.new("RGB", (columns * (tile + GAP) - GAP, height), DARK)
    for i, crop in enumerate(crops):
        x, y = i // rows * (tile + GAP), i % rows * (tile + GAP)
        sheet.paste(crop.resize((tile, tile)), (x, y))
        badge(sheet, (x, y), str(i + 1))
    return sheet


def _corners(box: Box, scale: float, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box on a canvas of `size`, cut off just outside of it."""
    box = box.scaled(scale, scale)
    x1, x2 = (min(max(x, -4.0), size[0] + 4.0) for x in (box.x1, box.x2 - 1))
    y1, y2 = (min(max(y, -4.0), size[1] + 4.0) for y in (box.y1, box.y2 - 1))
    return x1, y1, max(x1, x2), max(y1, y2)
