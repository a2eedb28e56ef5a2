from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ...flashface_core.faces.boxes import box_payload, boxes_per_batch
from ...flashface_core.faces.choose import IF_NO_FACE, Choice, ChosenFaces, NoFaceError
from ...flashface_core.faces.detection import Detector, DetectorUnavailable
from ...flashface_core.faces.geometry import box_mask
from ...flashface_core.faces.similarity import Likeness, SimilarityError
from ...flashface_core.images import pil_to_image
from ..showing import Previewing, show_pictures
from ..types import CATEGORY, FlashFaceDetectorType
from . import inputs as face_inputs
from . import photos

INPUTS = [
    io.Image.Input(
        "image", tooltip="Photos of the person: one image, a batch, or a list of different sizes."
    ),
    face_inputs.order(),
    face_inputs.index("The face to start from in that order; 0 is the first."),
    io.Int.Input(
        "faces_per_image",
        default=1,
        min=1,
        max=1000,
        tooltip="How many faces to take from each image; fewer if it has fewer.",
    ),
    io.Combo.Input(
        "if_no_face",
        options=list(IF_NO_FACE),
        default="error",
        tooltip=(
            "When an image has no such face: stop with an error, leave the image out, or use the "
            "whole image, padded to a square."
        ),
    ),
    face_inputs.threshold(" Boxes given to bboxes are not."),
    io.Float.Input(
        "padding",
        default=0.0,
        min=0.0,
        max=2.0,
        step=0.01,
        advanced=True,
        tooltip=(
            "Added around the face on every side, as a share of the box size. FlashFace was "
            "trained with 0."
        ),
    ),
    io.Boolean.Input(
        "level_eyes",
        default=True,
        advanced=True,
        tooltip="Turn the crop until the eyes are level, if the detector finds eyes.",
    ),
    io.Int.Input(
        "size",
        default=224,
        min=64,
        max=2048,
        step=8,
        advanced=True,
        tooltip="Width and height of the crops in pixels. FlashFace was trained with 224.",
    ),
    FlashFaceDetectorType.Input(
        "detector",
        optional=True,
        tooltip="From Load Face Detector. Without it, the best detector that works here is used.",
    ),
    io.BoundingBox.Input(
        "bboxes",
        optional=True,
        force_input=True,
        socketless=False,
        tooltip=(
            "Face boxes from another node, in pixels of image. They are used as they are: no "
            "detection runs."
        ),
    ),
    io.Image.Input(
        "like",
        optional=True,
        tooltip=(
            "One or more pictures of the person to take: faces then come in the order of their "
            "likeness instead of order, and the preview says how like they are. Needs a face "
            "recognition model of insightface, and a detector that finds eyes."
        ),
    ),
]

OUTPUTS = [
    io.Image.Output("faces", tooltip="All crops as one batch, for Encode Reference Faces."),
    io.BoundingBox.Output(
        "bboxes",
        tooltip="The boxes of the chosen faces, in pixels, for each image.",
        is_output_list=True,
    ),
    io.Mask.Output(
        "face_mask",
        tooltip="1 inside the boxes of the chosen faces, in the size of each image.",
        is_output_list=True,
    ),
]


class FlashFaceCropFaces(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceCropFaces",
            display_name="Detect & Crop Faces",
            category=CATEGORY,
            description=(
                "Finds the faces in photos, chooses which to use, and crops them to squares the "
                "way FlashFace was trained. The preview shows all faces found, with the chosen "
                "ones numbered and their crops beside them."
            ),
            search_aliases=[
                "face detection",
                "face crop",
                "find face",
                "align face",
                "flashface",
                "人脸检测",
                "裁剪人脸",
            ],
            is_input_list=True,
            inputs=INPUTS,
            outputs=OUTPUTS,
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return photos.models_fingerprint()  # a better detector may have been added

    @classmethod
    def execute(cls, image, detector=None, bboxes=None, like=None, **wanted) -> io.NodeOutput:
        choice = Choice(**{name: values[0] for name, values in wanted.items()})
        counts = [batch.shape[0] for batch in image]
        boxes = boxes_per_batch(bboxes, counts) if bboxes is not None else None
        finder = detector[0] if detector else None
        if finder is None and (like or boxes is None):
            finder = photos.best_detector()
        likeness = _likeness(like, finder) if like else None
        results = photos.choose_in_batches(image, choice, finder, boxes, likeness=likeness)
        crops, frames, masks, previews, reasons = [], [], [], [], []
        for number, result in enumerate(results, 1):
            crops += [pil_to_image(crop.picture) for crop in result.chosen]
            frames.append([box_payload(crop.face.box, crop.cut) for crop in result.chosen])
            masks.append(_mask(result))
            reasons.append(result.reason)
            if number <= photos.PREVIEWS:
                previews.append(photos.preview(result, f"Image {number}", number, sum(counts)))
        if not crops:
            show_pictures(previews)
            reason = reasons[0] if reasons else "the image input is empty"
            raise NoFaceError(
                f"No face is left: every image was skipped ({len(reasons)} of {len(reasons)}). "
                f"Image 1: {reason}. Use other photos, or set 'if_no_face' to 'use whole image'."
            )
        return io.NodeOutput(
            torch.stack(crops),
            # of one image a list of boxes, of a batch a list of lists
            [batch[0] if len(batch) == 1 else batch for batch in _regroup(frames, counts)],
            [torch.stack(batch) for batch in _regroup(masks, counts)],
            ui=ui.PreviewImage(previews),
        )


def _likeness(like: list[torch.Tensor], finder: Detector | None) -> Likeness:
    assert finder is not None
    pictures = photos.one_by_one(picture for batch in like for picture in batch)
    try:
        recognizer = photos.load_recognizer_for(finder)
        return Likeness(pictures, finder, recognizer)
    except (DetectorUnavailable, SimilarityError) as error:
        raise type(error)(f"Faces cannot be ordered by 'like'. {error}") from error


def _regroup(results: list, counts: list[int]) -> list[list]:
    rest = iter(results)
    return [[next(rest) for _ in range(count)] for count in counts]


def _mask(result: ChosenFaces) -> torch.Tensor:
    return box_mask([crop.face.box for crop in result.chosen], *result.picture.size)
