from __future__ import annotations

from comfy_api.latest import io, ui

from ...flashface_core.faces.boxes import Box, boxes_per_image
from ...flashface_core.faces.geometry import box_mask, region_box, region_extent
from ...flashface_core.faces.preview import region_preview
from ...flashface_core.images import image_to_pil, pil_to_image
from ..showing import Previewing
from ..types import CATEGORY


def _corner(name: str, default: float, what: str) -> io.Float.Input:
    return io.Float.Input(
        name, default=default, min=0.0, max=1.0, step=0.01, round=False, tooltip=what
    )


INPUTS = [
    io.Int.Input(
        "width",
        default=768,
        min=8,
        max=16384,
        step=8,
        tooltip="Width of the picture that will be made, in pixels.",
    ),
    io.Int.Input(
        "height",
        default=768,
        min=8,
        max=16384,
        step=8,
        tooltip="Height of the picture that will be made, in pixels.",
    ),
    _corner("x1", 0.3, "Left edge of the face, as a share of the width."),
    _corner("y1", 0.2, "Top edge of the face, as a share of the height."),
    _corner("x2", 0.6, "Right edge of the face, as a share of the width."),
    _corner("y2", 0.5, "Bottom edge of the face. All four at 0: no wish where the face goes."),
    io.Boolean.Input(
        "square",
        default=True,
        tooltip=(
            "On: a square on the box's top-left corner, as wide as its longer side; FlashFace was "
            "made this way. Off: exactly the box."
        ),
    ),
    io.BoundingBox.Input(
        "bboxes",
        optional=True,
        force_input=True,
        socketless=False,
        tooltip=(
            "Boxes in pixels instead of the four numbers, from Create Bounding Boxes or a face "
            "detector. With boxes for several images, the first image's are used."
        ),
    ),
    io.Image.Input(
        "image",
        optional=True,
        tooltip=(
            "The picture that bboxes are pixels of. Without it they are pixels of width x height."
        ),
    ),
    io.Float.Input(
        "grow",
        default=1.0,
        min=0.1,
        max=10.0,
        step=0.05,
        optional=True,
        advanced=True,
        tooltip=(
            "Size of each box, about its centre: 1.5 is half as large again, 0.8 shrinks it. "
            "Room around a detected face helps when it is replaced."
        ),
    ),
]


class FlashFaceRegion(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceRegion",
            display_name="Face Region",
            category=CATEGORY,
            description=(
                "Says where in the new picture the face should be, as a mask for Apply FlashFace. "
                "Faces narrower than a seventh of the picture were not trained."
            ),
            search_aliases=[
                "face position",
                "face box",
                "face mask",
                "flashface region",
                "人脸位置",
                "人脸区域",
            ],
            inputs=INPUTS,
            outputs=[io.Mask.Output("region", tooltip="1 where the face should be.")],
        )

    @classmethod
    def execute(
        cls, width, height, x1, y1, x2, y2, square, bboxes=None, image=None, grow=1.0
    ) -> io.NodeOutput:
        backdrop = image_to_pil(image[0]) if image is not None else None
        if bboxes is None:
            boxes = _from_corners((x1, y1, x2, y2), width, height)
        else:
            size = backdrop.size if backdrop else (width, height)
            boxes = _from_pixels(bboxes, width / size[0], height / size[1])
        boxes = [box.grown((grow - 1) / 2) for box in boxes] if grow != 1 else boxes
        extents = [region_extent(box, square) for box in boxes]
        mask = box_mask(extents, width, height)
        preview = pil_to_image(region_preview(mask, boxes, backdrop))
        return io.NodeOutput(mask[None], ui=ui.PreviewImage([preview]))


def _from_corners(corners: tuple[float, float, float, float], width: int, height: int) -> list[Box]:
    if not any(corners):
        return []
    x1, y1, x2, y2 = corners
    for low, high, first, second, edges in (
        (x1, x2, "x1", "x2", "left and the right"),
        (y1, y2, "y1", "y2", "top and the bottom"),
    ):
        if high <= low:
            raise ValueError(
                f"{second} ({high:g}) has to be larger than {first} ({low:g}): they are the "
                f"{edges} edge of the face. All four at 0 mean no region."
            )
    return [region_box(corners, width, height)]


def _from_pixels(bboxes: object, sx: float, sy: float) -> list[Box]:
    if isinstance(bboxes, list) and bboxes and isinstance(bboxes[0], list):
        bboxes = bboxes[0]
    return [box.scaled(sx, sy) for box in boxes_per_image(bboxes, 1)[0]]
