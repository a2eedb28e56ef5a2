"""What the preview pictures share: colours, captions, badges, tiles.

Pillow's own font writes Latin; for names in other scripts a font of the system is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from .errors import one_line

GAP = 8
BAR, CAPTION = 38, 24
BADGE = 24
LONGEST = 400  # letters of a line
CHOSEN = (86, 214, 128)
OTHER = (165, 168, 176)
WARN = (240, 176, 80)
DARK = (24, 26, 31)
PANEL = (44, 48, 56)
LIGHT = (232, 234, 238)
BEYOND_LATIN = 0x250
BROAD_FONTS = (
    *("msyh.ttc", "msgothic.ttc", "malgun.ttf", "arial.ttf"),  # Windows
    *("PingFang.ttc", "Hiragino Sans GB.ttc", "Arial Unicode.ttf"),  # macOS
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "DejaVuSans.ttf"),
)
Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write(
    sheet: Image.Image, xy: tuple[float, float], text: str, colour: Colour = LIGHT, size: int = 16
) -> float:
    """Write a line with its top left at xy; its width in pixels."""
    text = one_line(text, LONGEST)  # Pillow measures no line breaks, which names of files may have
    font, draw = _font(text, size), ImageDraw.Draw(sheet)
    draw.text(xy, text, fill=colour, font=font)
    return draw.textlength(text, font)


def text_width(text: str, size: int = 16) -> int:
    """Width in pixels that `write` needs."""
    text = one_line(text, LONGEST)
    font = _font(text, size)
    return round(ImageDraw.Draw(Image.new("L", (1, 1))).textlength(text, font))


def badge(
    sheet: Image.Image, xy: tuple[float, float], text: str, colour: Colour = CHOSEN
) -> tuple[float, float]:
    """A filled label with its top left at xy; its width and height in pixels."""
    width = text_width(text, 18) + 12
    ImageDraw.Draw(sheet).rectangle((*xy, xy[0] + width, xy[1] + BADGE), fill=colour)
    write(sheet, (xy[0] + 6, xy[1] + 1), text, DARK, 18)
    return width, BADGE


def captioned(
    picture: Image.Image, lines: Sequence[tuple[str, Colour]], least: int = 0
) -> Image.Image:
    """The picture with lines of text below it, wide enough for them."""
    widths = [text_width(text, CAPTION) + 12 for text, _ in lines]
    size = (max(picture.width, least, *widths), picture.height + BAR * len(lines))
    sheet = Image.new("RGB", size, DARK)
    sheet.paste(picture, (0, 0))
    for i, (text, colour) in enumerate(lines):
        write(sheet, (6, picture.height + i * BAR + 5), text, colour, CAPTION)
    return sheet


def tile(picture: Image.Image, side: int) -> Image.Image:
    """The picture fitted into a square of `side` pixels."""
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    square = Image.new("RGB", (side, side), PANEL)
    square.paste(picture.resize(size), ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def _font(text: str, size: int) -> Font:
    beyond = frozenset(c for c in text if c.isalpha() and ord(c) >= BEYOND_LATIN)
    return (broad_font(beyond, size) if beyond else None) or ImageFont.load_default(size)


@lru_cache(maxsize=64)
def broad_font(letters: frozenset[str], size: int) -> Font | None:
    """A font of this system that has all these letters, None where there is none."""
    for name in BROAD_FONTS:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue
        missing = _drawn(font, "\uffff")  # no letter: the font's empty box
        if all(_drawn(font, letter) != missing for letter in letters):
            return font
    return None


def _drawn(font: Font, letter: str) -> bytes:
    cell = Image.new("1", (64, 64))
    ImageDraw.Draw(cell).text((8, 8), letter, fill=1, font=font)
    return cell.tobytes()
