from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ...flashface_core.faces.align import align_face
from ...flashface_core.faces.choose import Choice, ChosenFaces, NoFaceError
from ...flashface_core.faces.detection import Detector
from ...flashface_core.images import pil_to_image
from ..faces import inputs as face_inputs
from ..faces import photos
from ..showing import Previewing
from ..types import (
    FACE2DIFFUSION_CATEGORY,
    Face2DiffusionIdentityType,
    Face2DiffusionModelType,
    FlashFaceDetectorType,
)

log = logging.getLogger(__name__)

REMEDY = "Use a sharper or more frontal photo, lower 'threshold', or set 'if_no_face' to 'skip'."
INPUTS = [
    Face2DiffusionModelType.Input("face2diffusion", tooltip="From Load Face2Diffusion Model."),
    io.Image.Input(
        "image",
        tooltip=(
            "Photos of one person: one image, a batch, or a list of different sizes. Several are "
            "averaged."
        ),
    ),
    face_inputs.order(),
    face_inputs.index("The face to take in that order; 0 is the first."),
    io.Combo.Input(
        "if_no_face",
        options=["error", "skip"],
        default="error",
        tooltip="When a photo has no such face: stop with an error, or leave the photo out.",
    ),
    face_inputs.threshold(),
    io.String.Input(
        "weights",
        default="",
        advanced=True,
        tooltip=(
            "How much each face counts in the average, such as 1, 1, 0.5. Empty: all alike. The "
            "preview shows how alike each is to the average; an odd one out may deserve less."
        ),
    ),
    io.String.Input(
        "expression",
        default="",
        advanced=True,
        tooltip=(
            "64 numbers that describe an expression, from a 3D face reconstruction. Empty: the "
            "learned neutral one, which leaves expressions to the prompt, as the authors do."
        ),
    ),
    io.Float.Input(
        "expression_strength",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.05,
        advanced=True,
        tooltip="How much of that expression; the rest is the neutral one.",
    ),
    FlashFaceDetectorType.Input(
        "detector",
        optional=True,
        tooltip=(
            "From Load Face Detector: insightface or yunet, which find eyes, nose and mouth. "
            "Without it, the best detector that works here is used."
        ),
    ),
]


class Face2DiffusionEncodeFace(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Face2DiffusionEncodeFace",
            display_name="Encode Face (Face2Diffusion)",
            category=FACE2DIFFUSION_CATEGORY,
            description=(
                "Finds a person's face in one or more photos, aligns it, and makes an identity of "
                "it for the prompt. The preview shows the faces, and with several photos how alike "
                "each is to the average."
            ),
            search_aliases=["face2diffusion", "face embedding", "identity", "face to text"],
            is_input_list=True,
            inputs=INPUTS,
            outputs=[
                Face2DiffusionIdentityType.Output(
                    display_name="identity", tooltip="For Text Encode (Face2Diffusion)."
                ),
                io.Image.Output(
                    display_name="faces", tooltip="The aligned faces, 112 x 112, as one batch."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return photos.models_fingerprint()  # a better detector may have been added

    @classmethod
    def execute(
        cls,
        face2diffusion,
        image,
        weights=("",),
        expression=("",),
        expression_strength=(1.0,),
        detector=None,
        **wanted,
    ) -> io.NodeOutput:
        from ...flashface_core.face2diffusion.identity import make_identity, parse_expression
        from ...flashface_core.numbers import parse_numbers

        # texts first: a mistake in them should not wait for the photos
        face = parse_expression(expression[0])
        shares = parse_numbers(weights[0], "weights")
        choice = Choice(**{name: values[0] for name, values in wanted.items()})
        finder = detector[0] if detector else photos.best_detector()
        aligned, shown, total = _align_photos(image, choice, finder)
        faces = torch.stack([pil_to_image(crop) for crop in aligned])
        identity = make_identity(
            face2diffusion[0],
            faces.mul(255).round().to(torch.uint8),
            shares,
            face,
            expression_strength[0],
        )
        log.info("Encode Face: %s.", identity)
        previews = _previews(shown, identity.likeness, total)
        return io.NodeOutput(identity, faces, ui=ui.PreviewImage(previews, cls=cls))


def _align_photos(
    images: list, choice: Choice, detector: Detector
) -> tuple[list[Image.Image], list[ChosenFaces], int]:
    """The aligned faces of all photos, what is previewed of them, and how many photos there are."""
    aligned, shown, total = [], [], 0
    for total, result in enumerate(_aligned(images, choice, detector), 1):
        aligned += [crop.picture for crop in result.chosen]
        if total <= photos.PREVIEWS:
            shown.append(result)
    if not aligned:
        raise NoFaceError(
            f"No face is left: every photo was skipped ({total} of {total}). "
            "Use sharper or more frontal photos, or lower 'threshold'."
        )
    return aligned, shown, total


def _aligned(images: list, choice: Choice, detector: Detector) -> Iterator[ChosenFaces]:
    """The chosen face of every photo, with its aligned crop in the place of the square one."""
    results = photos.choose_in_batches(images, choice, detector, remedy=REMEDY)
    for number, result in enumerate(results, 1):
        chosen = []
        for crop in result.chosen:
            if crop.face.landmarks is None:
                raise ValueError(
                    f"The face detector '{result.source}' finds no eyes, nose and mouth (photo "
                    f"{number}), which Face2Diffusion needs to align the face. Connect Load Face "
                    "Detector with insightface or yunet."
                )
            face = align_face(result.picture, crop.face.landmarks)
            chosen.append(replace(crop, picture=Image.fromarray(face.numpy())))
        yield replace(result, chosen=chosen)


def _previews(
    results: list[ChosenFaces], likeness: tuple[float, ...], total: int
) -> list[torch.Tensor]:
    rest = iter(likeness)
    pictures = []
    for number, result in enumerate(results, 1):
        alike = [f"{next(rest):.2f}" for _ in result.chosen]
        title = f"Photo {number}"
        if len(likeness) > 1 and alike:
            title += f", {alike[0]} like the average"
        pictures.append(photos.preview(result, title, number, total))
    return pictures
