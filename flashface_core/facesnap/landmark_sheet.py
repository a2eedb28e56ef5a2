"""Pictures of landmarks for people: dots over a photo, and whose shape and pose made what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ..drawing import CHOSEN, DARK, GAP, LIGHT, OTHER, captioned, tile, write
from ..images import pil_to_image
from .drawing import draw_landmarks
from .landmark_model import Face
from .prediction import angles

SIDE = 256
SHOWN = 768  # pixels of the longer side of a preview
DIMMED = 0.6


def dots(points: np.ndarray | torch.Tensor, width: int, height: int) -> torch.Tensor:
    """The drawn landmarks (height, width, 3) of points (72, 2 or 3)."""
    return draw_landmarks(torch.as_tensor(points)[None].float().cpu(), width, height)[0]


def dots_over(image: torch.Tensor, points: np.ndarray | torch.Tensor) -> torch.Tensor:
    """A picture (H, W, 3), 0..1, somewhat darkened, with the dots of points (72, 2 or 3) on it."""
    height, width = image.shape[:2]
    drawn = dots(points, width, height)
    # every colour's largest channel is 1, so it says how much of a pixel the dots cover
    return image.float().cpu() * DIMMED * (1 - drawn.amax(-1, keepdim=True)) + drawn


def numbered(what: str, number: int, total: int, most: int) -> str:
    """The title of picture `number` of `total`; the last of `most` says how many more there are."""
    more = f" ({total - number} more are not shown)" if number == most < total else ""
    return f"{what} {number}{more}" if total > 1 else what


def found_preview(picture: Image.Image, face: Face, title: str) -> torch.Tensor:
    """A photo with the landmarks found in it, and how the face is turned. (h, w, 3)."""
    scale = min(1.0, SHOWN / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = pil_to_image(picture.resize(size, reducing_gap=2.0))
    over = _as_picture(dots_over(small, face.landmarks[:, :2] * (size[0] / picture.width)))
    off = 100 * float(np.linalg.norm(face.detail, axis=1).mean())
    lines = [
        (f"{title}: {facing(face.pose.rotation)}", CHOSEN),
        (f"{off:.1f} % of the eyes' distance is its own (detail)", OTHER),
    ]
    return pil_to_image(captioned(over, lines, least=360))


def facing(rotation: np.ndarray) -> str:
    """A pose in words, such as "turned 12° right, 3° up"; right and left are the picture's."""
    yaw, pitch, roll = angles(rotation)
    words = (
        (yaw, "right", "left"), (pitch, "up", "down"), (roll, "tilted left", "tilted right")
    )  # fmt: skip
    said = [f"{abs(v):.0f}° {plus if v > 0 else minus}" for v, plus, minus in words if abs(v) >= 1]
    return "turned " + ", ".join(said) if said else "seen from the front"


def prediction_preview(
    faces: Sequence[tuple[str, Face]], result: torch.Tensor, title: str
) -> torch.Tensor:
    """Who gave what, and what became of it, as dots: tiles beside each other. (h, w, 3).

    faces: what each is, and the face. result: the landmark picture (H, W, 3).
    """
    tiles = [(name, _face_tile(face)) for name, face in faces]
    tiles.append(("result", tile(_as_picture(result), SIDE)))
    sheet = Image.new("RGB", (len(tiles) * (SIDE + GAP) - GAP, SIDE), DARK)
    for i, (name, picture) in enumerate(tiles):
        sheet.paste(picture, (i * (SIDE + GAP), 0))
        write(sheet, (i * (SIDE + GAP) + 6, 4), name, LIGHT, 16)
    return pil_to_image(captioned(sheet, [(title, CHOSEN)]))


def _face_tile(face: Face) -> Image.Image:
    scale = SIDE / max(face.width, face.height)
    size = (max(1, round(face.width * scale)), max(1, round(face.height * scale)))
    return tile(_as_picture(dots(scale * face.landmarks, *size)), SIDE)


def _as_picture(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.clamp(0, 1).mul(255).round().to(torch.uint8).numpy())
