"""Draw the pack's icon and banner for ComfyUI's registry: `python3 scripts/draw_logo.py`.

A face in a detector's frame, half of it a lightning bolt; on the banner several photos become one
picture. Needs Pillow, which every ComfyUI has. Writes docs/images/icon.png and banner.png.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).absolute().parent.parent / "docs" / "images"
ICON, BANNER = (400, 400), (1260, 540)
FINER = 4  # drawn so many times larger, then scaled down: that smooths the edges

GROUND = (24, 26, 44)
FACE, BOLT, FRAME, TEXT = (236, 229, 219), (255, 196, 61), (110, 168, 254), (245, 245, 250)
SOFT = (150, 155, 180)

Place = tuple[float, float, float]  # left, top and side of a square

# Points and boxes in a square of side 1.
HEAD = (0.29, 0.19, 0.71, 0.69)
SHOULDERS = (0.16, 0.66, 0.84, 1.3)
LIGHTNING = ((0.60, 0.10), (0.40, 0.47), (0.52, 0.47), (0.42, 0.86), (0.68, 0.40), (0.55, 0.40))
CORNER, REACH = 0.12, 0.16  # of the detector's frame


class Drawing:
    """A picture that is drawn FINER times as large as it is saved."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.image = Image.new("RGB", (size[0] * FINER, size[1] * FINER), GROUND)
        self.pen = ImageDraw.Draw(self.image)

    def points(self, place: Place, points: tuple) -> list[tuple[float, float]]:
        """Points of the unit square as pixels of a place."""
        left, top, side = place
        return [((left + x * side) * FINER, (top + y * side) * FINER) for x, y in points]

    def box(self, place: Place, box: tuple[float, float, float, float]) -> list:
        """A box of the unit square as two corners in pixels."""
        return self.points(place, (box[:2], box[2:]))

    def save(self, file: Path) -> None:
        """Scale down and write a PNG."""
        self.image.resize(self.size, Image.Resampling.LANCZOS).save(file, optimize=True)


def draw_face(drawing: Drawing, place: Place, colour: tuple[int, int, int]) -> None:
    """A head and shoulders, cut off at the place's lower edge."""
    _, top, side = place
    cut = Image.new("L", drawing.image.size)
    pen = ImageDraw.Draw(cut)
    pen.ellipse(drawing.box(place, SHOULDERS), fill=255)
    pen.rectangle([0, (top + side * (1 - CORNER)) * FINER, cut.width, cut.height], fill=0)
    pen.ellipse(drawing.box(place, (0.26, 0.16, 0.74, 0.72)), fill=0)  # a gap under the chin
    pen.ellipse(drawing.box(place, HEAD), fill=255)
    drawing.image.paste(colour, (0, 0), cut)


def draw_frame(drawing: Drawing, place: Place, width: float) -> None:
    """The four corners of a detector's box."""
    near, far = CORNER, 1 - CORNER
    for x, to_x in ((near, near + REACH), (far, far - REACH)):
        for y, to_y in ((near, near + REACH), (far, far - REACH)):
            line = drawing.points(place, ((to_x, y), (x, y), (x, to_y)))
            drawing.pen.line(line, fill=FRAME, width=round(width * FINER), joint="curve")


def draw_bolt(drawing: Drawing, place: Place) -> None:
    """The lightning bolt, with a dark edge that lifts it off the face."""
    outline = drawing.points(place, LIGHTNING)
    edge = round(place[2] * 0.05 * FINER)
    drawing.pen.line([*outline, *outline[:2]], fill=GROUND, width=edge, joint="curve")
    drawing.pen.polygon(outline, fill=BOLT)


def draw_mark(drawing: Drawing, place: Place) -> None:
    """The icon's motif."""
    draw_face(drawing, place, FACE)
    draw_bolt(drawing, place)
    draw_frame(drawing, place, place[2] * 0.025)


def write(drawing: Drawing, at: tuple[int, int], text: str, size: int, colour: tuple) -> None:
    """Put a line of text with its upper left corner at a pixel."""
    font = ImageFont.load_default(size * FINER)
    drawing.pen.text((at[0] * FINER, at[1] * FINER), text, fill=colour, font=font)


def draw_banner() -> Drawing:
    """Three small photos, what is kept of each, the mark, and the name."""
    drawing = Drawing(BANNER)
    for row, shades in enumerate(((0.4, 0.9, 0.6), (0.75, 0.4, 0.95), (0.55, 0.7, 0.4))):
        place = (70.0, 68.0 + 138 * row, 124.0)
        draw_face(drawing, place, SOFT)
        draw_frame(drawing, place, 4)
        for column, shade in enumerate(shades):
            colour = tuple(round(part * shade) for part in FRAME)
            x, y = 232 + 36 * column, place[1] + 48
            drawing.pen.rectangle([n * FINER for n in (x, y, x + 28, y + 28)], fill=colour)
    draw_mark(drawing, (390.0, 100.0, 340.0))
    write(drawing, (775, 185), "FlashFace", 84, TEXT)
    write(drawing, (780, 290), "for ComfyUI", 46, BOLT)
    write(drawing, (780, 362), "one person, any scene, age and style", 24, SOFT)
    return drawing


def main() -> None:
    """Draw both."""
    icon = Drawing(ICON)
    draw_mark(icon, (0.0, 0.0, float(ICON[0])))
    icon.save(IMAGES / "icon.png")
    draw_banner().save(IMAGES / "banner.png")


if __name__ == "__main__":
    main()
