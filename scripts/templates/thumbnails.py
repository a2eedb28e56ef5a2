"""Squares that show what a template does: what goes in at the top, what comes out below."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont, ImageOps
from setup.comfy_server import ComfyServer
from setup.host import PACK
from trial.graph import Prompt, nodes_of

from .demo import Painting, with_demo

sys.path.append(str(PACK))  # last: the core's folder knows no ComfyUI
from flashface_core.demo.folder import demo_folder

SIDE, EDGE = 512, 4
HALF, BACK, INK, BLUE = SIDE // 2, (31, 31, 31), (230, 230, 230), (90, 160, 220)
LARGE = Image.Resampling.LANCZOS


def painted(server: ComfyServer, name: str, painting: Painting) -> Image.Image:
    """The thumbnail of a template that the small model runs."""
    prompt = with_demo(name, painting)
    saved = nodes_of(prompt, "SaveImage")
    photos = _photos(prompt)
    entry = server.queue(prompt, 600)
    results = [_read(server.images(entry, node)[0]) for node in saved]
    shown = [_read(server.images(entry, node)[0]) for node in photos]
    return square(shown, results)


def _photos(prompt: Prompt) -> list[str]:
    """Nodes that save the first photo of every person."""
    found = []
    for node in nodes_of(prompt, "FlashFaceDemoPerson"):
        first = f"first of {node}"
        inputs = {"image": [node, 0], "batch_index": 0, "length": 1}
        prompt[first] = {"class_type": "ImageFromBatch", "inputs": inputs}
        found.append(f"photo of {node}")
        inputs = {"images": [first, 0], "filename_prefix": "photo"}
        prompt[found[-1]] = {"class_type": "SaveImage", "inputs": inputs}
    return found


def _read(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def square(inputs: list[Image.Image], results: list[Image.Image]) -> Image.Image:
    """One picture fills the square, with what went in over it; else two rows."""
    whole = Image.new("RGB", (SIDE, SIDE), BACK)
    if len(results) == 1 and results[0].width == results[0].height:
        whole.paste(results[0].resize((SIDE, SIDE), LARGE))
        for number, picture in enumerate(inputs):
            small = ImageOps.expand(ImageOps.fit(picture, (164, 164), LARGE), EDGE, "white")
            left = EDGE if number == 0 else SIDE - small.width - EDGE
            whole.paste(small, (left, SIDE - small.height - EDGE))
        return whole
    _row(whole, inputs, 0)
    _row(whole, results, HALF)
    return whole


def _row(whole: Image.Image, pictures: list[Image.Image], top: int) -> None:
    wide = [picture.width * HALF // picture.height for picture in pictures]
    left = (SIDE - sum(wide)) // 2
    for picture, width in zip(pictures, wide, strict=True):
        whole.paste(picture.resize((width, HALF), LARGE), (left, top))
        left += width


def diagram(parts: tuple[str, ...]) -> Image.Image:
    """Drawings of what goes in, an arrow, and what comes out (the last one)."""
    whole = Image.new("RGB", (SIDE, SIDE), BACK)
    side, top = 200, 36
    inputs, result = parts[:-1], parts[-1]
    if len(inputs) == 3:
        side = 156
    gap = (SIDE - len(inputs) * side) // (len(inputs) + 1)
    for number, name in enumerate(inputs):
        whole.paste(DRAWINGS[name](side), (gap + number * (side + gap), top))
    pen = ImageDraw.Draw(whole)
    middle, low = SIDE // 2, top + side + 10
    pen.polygon([(middle - 18, low), (middle + 18, low), (middle, low + 22)], fill=BLUE)
    below = SIDE - low - 22 - 20
    whole.paste(DRAWINGS[result](below), ((SIDE - below) // 2, low + 32))
    return whole


def _person(side: int) -> Image.Image:
    with Image.open(demo_folder() / "people" / "1-freckles-young-1.webp") as picture:
        return picture.convert("RGB").resize((side, side), LARGE)


def _small(side: int) -> Image.Image:
    whole = Image.new("RGB", (side, side), (120, 150, 110))
    small = _person(16).resize((side // 3, side // 3), Image.Resampling.BILINEAR)
    whole.paste(small, (side // 3, side // 4))
    return whole


def _drawing(side: int) -> Image.Image:
    with Image.open(demo_folder() / "people" / "1-freckles-young-1.webp") as picture:
        flat = ImageOps.posterize(picture.convert("RGB"), 2)
        return flat.resize((side, side), LARGE)


def _somebody(side: int) -> Image.Image:
    """Head and shoulders: a diagram shows no picture that was never painted."""
    whole = Image.new("RGB", (side, side), (64, 72, 84))
    pen = ImageDraw.Draw(whole)
    pen.ellipse((side * 0.34, side * 0.19, side * 0.66, side * 0.57), fill=(150, 160, 174))
    pen.ellipse((side * 0.17, side * 0.65, side * 0.83, side * 1.35), fill=(150, 160, 174))
    return whole


def _board(side: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    whole = Image.new("RGB", (side, side), (10, 10, 10))
    return whole, ImageDraw.Draw(whole)


def _skeleton(side: int) -> Image.Image:
    whole, pen = _board(side)
    points = {
        **{"head": (0.5, 0.15), "neck": (0.5, 0.32), "hip": (0.5, 0.6)},
        **{"left": (0.25, 0.2), "right": (0.78, 0.45), "l": (0.35, 0.92), "r": (0.68, 0.9)},
    }
    place = {name: (x * side, y * side) for name, (x, y) in points.items()}
    colours = ("red", "orange", "yellow", "lime", "cyan", "magenta")
    bones = "head neck", "neck hip", "neck left", "neck right", "hip l", "hip r"
    for bone, colour in zip(bones, colours, strict=True):
        one, two = bone.split()
        pen.line([place[one], place[two]], fill=colour, width=side // 28)
    for x, y in place.values():
        pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill="white")
    return whole


def _curve(side: int) -> Image.Image:
    whole, pen = _board(side)
    points = [(0.08, 0.75), (0.3, 0.3), (0.6, 0.2), (0.92, 0.55)]
    pen.line([(x * side, y * side) for x, y in points], fill=BLUE, width=side // 30)
    for x, y in points:
        pen.ellipse((x * side - 8, y * side - 8, x * side + 8, y * side + 8), fill="white")
    return whole


def _text(side: int, text: str) -> Image.Image:
    whole, pen = _board(side)
    font = ImageFont.load_default(size=side // 5)
    pen.multiline_text((side // 2, side // 2), text, INK, font, anchor="mm", align="center")
    return whole


def _words(side: int) -> Image.Image:
    return _text(side, '"f l" =\nthe person')


def _features(side: int) -> Image.Image:
    whole, pen = _board(side)
    step = side // 8
    for row in range(8):
        for column in range(8):
            shade = 40 + (row * 53 + column * 97) % 200
            box = (column * step, row * step, (column + 1) * step - 2, (row + 1) * step - 2)
            pen.rectangle(box, fill=(shade // 3, shade // 2, shade))
    return whole


DRAWINGS: dict[str, Callable[[int], Image.Image]] = {
    **{"person": _person, "picture": _somebody, "drawing": _drawing, "small": _small},
    **{"skeleton": _skeleton, "curve": _curve, "words": _words, "features": _features},
}
