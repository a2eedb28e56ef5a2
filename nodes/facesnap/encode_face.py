from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from comfy_api.latest import io, ui
from PIL import Image

from ...flashface_core.faces.choose import Choice, ChosenFaces, NoFaceError
from ...flashface_core.faces.detection import Detector
from ...flashface_core.numbers import parse_numbers
from .. import folders
from ..faces import inputs as face_inputs
from ..faces import photos
from ..showing import Previewing
from ..types import (
    FACESNAP_CATEGORY,
    FaceSnapIdentityType,
    FaceSnapModelType,
    FlashFaceDetectorType,
)

if TYPE_CHECKING:
    from ...flashface_core.facesnap.encode import Lookers, Seen

log = logging.getLogger(__name__)

REMEDY = "Use a sharper or more frontal photo, lower 'threshold', or set 'if_no_face' to 'skip'."
INPUTS = [
    FaceSnapModelType.Input("facesnap", tooltip="From Load FaceSnap Model."),
    io.Image.Input(
        "image",
        tooltip=(
            "Photos of one person: one image, a batch, or a list of different sizes. Several make "
            "the person surer."
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
            "How much each face counts in the average of who it is, such as 1, 1, 0.5. Empty: all "
            "alike. A face of 0 is left out."
        ),
    ),
    io.ClipVision.Input(
        "clip_vision",
        optional=True,
        tooltip=(
            "From Load CLIP Vision, for models that were trained with one; the error says which. "
            "Small models bring their own encoder and need none."
        ),
    ),
    FlashFaceDetectorType.Input(
        "detector",
        optional=True,
        tooltip=(
            "From Load Face Detector: insightface and yunet find eyes, nose and mouth. Without it, "
            "the best detector that works here is used."
        ),
    ),
]


class FaceSnapEncodeFace(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapEncodeFace",
            display_name="Encode Face (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Finds a person's face in one or more photos, aligns it, and makes an identity of "
                "it. The preview shows the faces, and with several photos how alike each is to the "
                "average."
            ),
            search_aliases=["facesnap", "face embedding", "identity", "face id"],
            is_input_list=True,
            inputs=INPUTS,
            outputs=[
                FaceSnapIdentityType.Output(display_name="identity", tooltip="For Apply FaceSnap."),
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
        cls, facesnap, image, weights=("",), clip_vision=None, detector=None, **wanted
    ) -> io.NodeOutput:
        from ...flashface_core.facesnap.encode import Lookers, recognizer_of

        # texts and models first: a mistake in them should not wait for the photos
        shares = parse_numbers(weights[0], "weights")
        given, model = detector[0] if detector else None, facesnap[0]
        recognizer = recognizer_of(
            model, folders.face_models(), lambda: photos.load_recognizer_for(given)
        )
        lookers = Lookers(model, clip_vision[0] if clip_vision else None, recognizer)
        lookers.check()
        choice = Choice(**{name: values[0] for name, values in wanted.items()})
        finder = given or photos.best_detector()
        seen, shown, total = _see_photos(image, choice, finder, lookers)
        identity = lookers.identity(seen, shares)
        log.info("Encode Face: %s.", identity)
        faces = identity.crops.float() / 255
        previews = _previews(shown, identity.likeness, total)
        return io.NodeOutput(identity, faces, ui=ui.PreviewImage(previews, cls=cls))


def _see_photos(
    images: list, choice: Choice, detector: Detector, lookers: Lookers
) -> tuple[list[Seen], list[ChosenFaces], int]:
    """What is kept of each face, what is previewed, and how many photos there are."""
    kept, shown, total = [], [], 0
    for total, (result, seen) in enumerate(_seen(images, choice, detector, lookers), 1):
        kept += seen
        if total <= photos.PREVIEWS:
            shown.append(result)
    if not kept:
        raise NoFaceError(
            f"No face is left: every photo was skipped ({total} of {total}). "
            "Use sharper or more frontal photos, or lower 'threshold'."
        )
    return kept, shown, total


def _seen(
    images: list, choice: Choice, detector: Detector, lookers: Lookers
) -> Iterator[tuple[ChosenFaces, list[Seen]]]:
    """The chosen face of every photo, with its aligned crop in the place of the square one."""
    results = photos.choose_in_batches(images, choice, detector, remedy=REMEDY)
    for number, result in enumerate(results, 1):
        seen = [
            lookers.see(result.picture, crop.face, result.source, number) for crop in result.chosen
        ]
        chosen = [
            replace(crop, picture=Image.fromarray(one.crop.numpy()))
            for crop, one in zip(result.chosen, seen, strict=True)
        ]
        yield replace(result, chosen=chosen), seen


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
