import torch
from comfy_api.latest import io

from ..flashface_core import geometry
from ..flashface_core.boxes import boxes_per_image
from .types import CATEGORY

INPUTS = [
    io.Image.Input("image", tooltip="The pictures that the faces were cropped from."),
    io.Image.Input(
        "faces",
        tooltip=(
            "Square crops from Detect & Crop Faces, in their order, repainted in any size. "
            "level_eyes has to be off there."
        ),
    ),
    io.BoundingBox.Input(
        "bboxes",
        force_input=True,
        socketless=False,
        tooltip="The boxes from the same Detect & Crop Faces.",
    ),
    io.Float.Input(
        "padding",
        default=0.5,
        min=0.0,
        max=2.0,
        step=0.01,
        tooltip="The same number as padding of Detect & Crop Faces.",
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
            search_aliases=["face detailer", "uncrop face", "stitch", "paste crop", "flashface"],
            inputs=INPUTS,
            outputs=[io.Image.Output(display_name="image", tooltip="The whole pictures.")],
        )

    @classmethod
    def execute(cls, image, faces, bboxes, padding: float, feather: float) -> io.NodeOutput:
        from ..flashface_core.paste import paste_crop

        boxes = boxes_per_image(bboxes, image.shape[0])
        expected = sum(len(frame) for frame in boxes)
        if expected != faces.shape[0]:
            raise ValueError(
                f"bboxes hold {expected} boxes, but faces has {faces.shape[0]} pictures. Take both "
                "from the same Detect & Crop Faces, with one repainted picture for each crop."
            )
        crops = iter(faces)
        pictures = []
        for picture, frame in zip(image[..., :3], boxes, strict=True):
            for box in frame:
                crop = geometry.image_to_pil(next(crops))
                picture = paste_crop(picture, crop, box.grown(padding), feather)
            pictures.append(picture)
        return io.NodeOutput(torch.stack(pictures))
