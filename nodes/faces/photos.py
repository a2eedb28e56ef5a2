"""What the nodes that look for faces in photos share, whatever they make of the faces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from PIL import Image

from ...flashface_core.faces.boxes import Box
from ...flashface_core.faces.choose import (
    REMEDY,
    Choice,
    ChosenFaces,
    NoFaceError,
    choose_faces,
)
from ...flashface_core.faces.detection import Detector, Settings, fingerprint, load_detector
from ...flashface_core.faces.preview import error_preview, faces_preview
from ...flashface_core.faces.similarity import Likeness, Recognizer, load_recognizer
from ...flashface_core.images import image_to_pil, pil_to_image
from .. import folders
from ..showing import show_pictures

PREVIEWS = 32
"""Images of a call that are previewed at most: frames of a film are many."""


def best_detector() -> Detector:
    """The best detector that works here, for nodes that none is connected to."""
    return load_detector("auto", Settings(folders.face_models()))


def load_recognizer_for(detector: Detector | None) -> Recognizer:
    """The recognition model of an insightface detector's own pack, which fits best, or any."""
    file = getattr(detector, "file", None)
    pack = "" if file is None else file.pack
    provider = "auto" if file is None else getattr(detector, "provider", "auto")
    return load_recognizer(folders.face_models(), pack, provider)


def models_fingerprint() -> str:
    """Changes when a model of detection or recognition comes, goes or is replaced."""
    return fingerprint(folders.face_models())


def one_by_one(pictures: Iterable[torch.Tensor], bar: Any = None) -> Iterator[Image.Image]:
    """Pictures (H, W, 3) for a core that looks at each for a while: Cancel counts before each.

    bar: ComfyUI's ProgressBar, moved by one when a picture is done with.
    """
    from comfy.model_management import throw_exception_if_processing_interrupted

    for picture in pictures:
        throw_exception_if_processing_interrupted()
        yield image_to_pil(picture)
        if bar is not None:
            bar.update(1)


def choose_in_batches(
    image: list[torch.Tensor],
    choice: Choice,
    detector: Detector | None,
    boxes: list[list[list[Box]]] | None = None,
    remedy: str = REMEDY,
    likeness: Likeness | None = None,
) -> Iterator[ChosenFaces]:
    """Find the faces of every image, one after the other, with progress and interruption.

    image: batches (N, H, W, 3), 0 to 1. boxes: for each batch, for each image, what to use instead
    of detecting. Raises NoFaceError as `choice` says, which ends with `remedy`. likeness: see
    `choose_faces`.
    """
    from comfy.utils import ProgressBar

    total = sum(batch.shape[0] for batch in image)
    given = [frame for batch in boxes for frame in batch] if boxes is not None else [None] * total
    pictures = one_by_one((picture for batch in image for picture in batch), ProgressBar(total))
    for number, (photo, frame) in enumerate(zip(pictures, given, strict=True), 1):
        title = f"Image {number} of {total}"
        try:
            result = choose_faces(photo, choice, detector, frame, title, remedy, likeness)
        except NoFaceError as error:
            if error.seen is not None:
                show_pictures([pil_to_image(error_preview(error.seen, str(error)))])
            raise
        yield result


def preview(result: ChosenFaces, title: str, number: int, total: int) -> torch.Tensor:
    """The faces of image `number` of `total`, (H, W, 3); the last one shown says how many more."""
    if number == PREVIEWS < total:
        title += f" ({total - number} more are not shown)"
    return pil_to_image(faces_preview(result, title))
