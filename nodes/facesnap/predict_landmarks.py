from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..faces import photos
from ..showing import Previewing
from ..types import FACESNAP_CATEGORY, FaceSnapFaceType, FaceSnapLandmarksType


def _size(name: str, what: str) -> io.Int.Input:
    return io.Int.Input(name, default=512, min=8, max=16384, step=8, tooltip=what)


def _angle(name: str, what: str) -> io.Float.Input:
    return io.Float.Input(name, default=0.0, min=-180.0, max=180.0, step=1.0, tooltip=what)


INPUTS = [
    FaceSnapFaceType.Input(
        "reference",
        tooltip=(
            "Whose face it is, from Find Landmarks (FaceSnap). Faces of several pictures of one "
            "person are averaged."
        ),
    ),
    FaceSnapFaceType.Input(
        "driver",
        optional=True,
        tooltip=(
            "Whose pose and expression it takes, from Find Landmarks (FaceSnap): a result for each "
            "picture. Without it, the reference's own."
        ),
    ),
    _size("width", "Width of the picture that will be made, in pixels."),
    _size("height", "Height of the picture that will be made, in pixels."),
    io.Combo.Input(
        "pose",
        options=["driver", "reference", "frontal"],
        default="driver",
        tooltip=(
            "Whose pose, size and place. frontal: looks straight ahead, in the reference's place."
        ),
    ),
    io.Combo.Input(
        "expression",
        options=["driver", "reference", "none"],
        default="driver",
        tooltip="Whose expression. none: a face at rest.",
    ),
    io.Float.Input(
        "expression_strength",
        default=1.0,
        min=0.0,
        max=2.0,
        step=0.05,
        tooltip="How much of that expression: 0 is a face at rest, 2 twice as much.",
    ),
    _angle("yaw", "Degrees to turn the face further: above 0 to the picture's right."),
    _angle("pitch", "Degrees to turn the face further: above 0 upwards."),
    _angle("roll", "Degrees to tilt the head further: above 0 its top to the picture's left."),
    io.Float.Input(
        "keep_detail",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.05,
        advanced=True,
        tooltip=(
            "How much is kept of what the landmark model cannot say of the reference's face. Lower "
            "it where the points are noisy."
        ),
    ),
    io.Mask.Input(
        "face_region",
        optional=True,
        tooltip=(
            "Where the face goes: the points fill the box about this mask as far as they can. One "
            "mask, or one for each picture."
        ),
    ),
]


class FaceSnapPredictLandmarks(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapPredictLandmarks",
            display_name="Predict Landmarks (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Gives one person's face another's pose and expression, turns and moves it, and "
                "draws it as the picture of landmarks that Apply FaceSnap reads. The preview shows "
                "reference, driver and result."
            ),
            search_aliases=[
                "facesnap",
                "face pose",
                "expression transfer",
                "reenactment",
                "face landmarks",
                "人脸姿态",
            ],
            inputs=INPUTS,
            outputs=[
                io.Image.Output(
                    display_name="landmark_image", tooltip="Coloured dots, for Apply FaceSnap."
                ),
                io.Mask.Output(
                    display_name="face_mask",
                    tooltip=(
                        "The face with its forehead, soft at the edge: for region_mask of Apply "
                        "FaceSnap, or for inpainting."
                    ),
                ),
                io.BoundingBox.Output(
                    display_name="bboxes", tooltip="The face from chin to hairline, in pixels."
                ),
                FaceSnapLandmarksType.Output(
                    display_name="landmarks",
                    tooltip="The points, for Compare Landmarks (FaceSnap).",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, reference, width: int, height: int, driver=None, face_region=None, **wanted
    ) -> io.NodeOutput:
        from ...flashface_core.facesnap.drawing import draw_landmarks
        from ...flashface_core.facesnap.outline import face_mask
        from ...flashface_core.facesnap.prediction import Wish, mask_region, predict_all

        masks = [] if face_region is None else face_region.reshape(-1, *face_region.shape[-2:])
        regions = [mask_region(mask, width, height) for mask in masks]
        found = predict_all(reference, driver, width, height, Wish(**wanted), regions)
        images = draw_landmarks(found.points, width, height)
        points = found.points.numpy()
        mask = torch.stack([face_mask(face, width, height) for face in points])
        boxes = [_boxes(face, width, height) for face in points]
        return io.NodeOutput(
            images,
            mask,
            # of one image a list of boxes, of a batch a list of lists
            boxes[0] if len(boxes) == 1 else boxes,
            found,
            ui=ui.PreviewImage(_previews(reference, driver, images), cls=cls),
        )


def _boxes(points, width: int, height: int) -> list[dict[str, int]]:
    from ...flashface_core.facesnap.outline import face_box

    box = face_box(points, width, height)
    if box is None:  # the face lies outside of the picture
        return []
    x1, y1, x2, y2 = box.rounded()
    return [{"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}]


def _previews(reference: Any, driver: Any, images: torch.Tensor) -> list[torch.Tensor]:
    from ...flashface_core.facesnap.landmark_sheet import numbered, prediction_preview

    previews, total = [], len(images)
    for number, image in enumerate(images[: photos.PREVIEWS], 1):
        # without a driver every picture of the reference drives the mean of them all
        own = reference.faces[number - 1 if driver is None else 0]
        faces = [("reference", own)]
        if driver is not None:
            faces.append(("driver", driver.faces[number - 1]))
        title = numbered("Landmarks", number, total, photos.PREVIEWS)
        previews.append(prediction_preview(faces, image, title))
    return previews
