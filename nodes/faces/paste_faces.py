from __future__ import annotations

import torch
from comfy_api.latest import io

from ...flashface_core.faces.boxes import Box, boxes_per_batch
from ...flashface_core.faces.paste import paste_crop
from ...flashface_core.images import image_to_pil, to_rgb
from ..types import CATEGORY

INPUTS = [
    io.Image.Input(
        "image", tooltip="The pictures that the faces were cropped from: a batch or a list."
    ),
    io.Image.Input(
        "faces",
        tooltip=(
            "The square crops from Detect & Crop Faces, in their order, repainted in any size."
        ),
    ),
    io.BoundingBox.Input(
        "bboxes",
        force_input=True,
        socketless=False,
        tooltip=(
            "The boxes from the same Detect & Crop Faces. They say what was cropped and how it was "
            "turned."
        ),
    ),
    io.Float.Input(
        "padding",
        default=0.5,
        min=0.0,
        max=2.0,
        step=0.01,
        tooltip=(
            "Only for boxes of other nodes, which do not say what was cropped: the share of a box "
            "that its crop has more on every side."
        ),
    ),
    io.Float.Input(
        "feather",
        default=0.1,
        min=0.0,
        max=0.5,
        step=0.01,
        tooltip="Width of the soft edge, as a share of the crop. 0 is a hard edge.",
    ),
]


class FlashFacePasteFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFacePasteFaces",
            display_name="Paste Faces Back",
            category=CATEGORY,
            description=(
                "Puts face crops back into the picture that Detect & Crop Faces took them from, "
                "after they were painted anew in more detail. All other pixels stay as they are."
            ),
            search_aliases=[
                "face swap",
                "face detailer",
                "uncrop face",
                "stitch",
                "paste crop",
                "flashface",
                "换脸",
                "贴回人脸",
            ],
            is_input_list=True,
            inputs=INPUTS,
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The whole pictures.", is_output_list=True
                )
            ],
        )

    @classmethod
    def execute(cls, image, faces, bboxes, padding, feather) -> io.NodeOutput:
        from comfy.model_management import throw_exception_if_processing_interrupted

        boxes = boxes_per_batch(bboxes, [batch.shape[0] for batch in image])
        crops = [crop for batch in faces for crop in batch]
        _check(boxes, crops)
        left = iter(crops)
        batches = []
        for batch, frames in zip(image, boxes, strict=True):
            pictures = []
            for picture, frame in zip(to_rgb(batch), frames, strict=True):
                throw_exception_if_processing_interrupted()
                for box in frame:
                    cut = box.cut or box.grown(padding[0]).to_cut()
                    crop = image_to_pil(next(left))
                    picture = paste_crop(picture, crop, cut, feather[0])
                pictures.append(picture)
            batches.append(torch.stack(pictures))
        return io.NodeOutput(batches)


def _check(boxes: list[list[list[Box]]], crops: list[torch.Tensor]) -> None:
    expected = sum(len(frame) for batch in boxes for frame in batch)
    if expected != len(crops):
        raise ValueError(
            f"bboxes hold {expected} boxes, but faces has {len(crops)} pictures. Take both "
            "from the same Detect & Crop Faces, with one repainted picture for each crop."
        )
    for crop in crops:
        height, width = crop.shape[:2]
        if height != width:
            raise ValueError(
                f"faces must be square, as Detect & Crop Faces makes them, got {width} x {height}. "
                "Repaint them at their own proportions, or scale them to a square."
            )
