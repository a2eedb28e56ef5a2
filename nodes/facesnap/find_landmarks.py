from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ...flashface_core.faces.choose import Choice
from ...flashface_core.images import image_to_pil, to_rgb
from ..faces import inputs as face_inputs
from ..faces import photos
from ..showing import Previewing
from ..types import (
    FACESNAP_CATEGORY,
    FaceLandmarksType,
    FaceSnapFaceType,
    FaceSnapLandmarkModelType,
    FlashFaceDetectorType,
)

REMEDY = "Use a sharper or more frontal picture, or lower 'threshold'."
INPUTS = [
    FaceSnapLandmarkModelType.Input(
        "landmark_model", tooltip="From Load Landmark Model (FaceSnap) or Load FaceSnap Demo."
    ),
    io.Image.Input(
        "image", tooltip="One picture or a batch, such as the frames of a film: a face of each."
    ),
    face_inputs.order(),
    face_inputs.index("The face to take in that order; 0 is the first."),
    face_inputs.threshold(" Faces given to face_landmarks are not."),
    io.Float.Input(
        "noise",
        default=0.02,
        min=0.001,
        max=0.5,
        step=0.001,
        round=False,
        advanced=True,
        tooltip=(
            "How far the points may be off, as a share of the distance of the eyes. Larger values "
            "trust the landmark model more and the points less."
        ),
    ),
    FaceLandmarksType.Input(
        "face_landmarks",
        optional=True,
        tooltip=(
            "From Detect Face Landmarks (MediaPipe), of the same image: used instead of the "
            "landmark model's own network. For photos of real people it is the better choice."
        ),
    ),
    FlashFaceDetectorType.Input(
        "detector",
        optional=True,
        tooltip="From Load Face Detector. Without it, the best detector that works here is used.",
    ),
]


class FaceSnapFindLandmarks(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapFindLandmarks",
            display_name="Find Landmarks (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Finds 72 points of a face and tells its shape, expression and pose apart. The "
                "preview shows the points over the picture, and how the face is turned."
            ),
            search_aliases=[
                "facesnap",
                "face landmarks",
                "facial keypoints",
                "face pose",
                "expression",
                "人脸关键点",
            ],
            inputs=INPUTS,
            outputs=[
                FaceSnapFaceType.Output(
                    display_name="face",
                    tooltip="A face of each picture, for Predict Landmarks (FaceSnap).",
                ),
                io.Image.Output(display_name="preview", tooltip="The points over the pictures."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return photos.models_fingerprint()  # a better detector may have been added

    @classmethod
    def execute(
        cls,
        landmark_model,
        image,
        order: str,
        index: int,
        threshold: float = 0.6,
        noise: float = 0.02,
        face_landmarks=None,
        detector=None,
    ) -> io.NodeOutput:
        from ...flashface_core.facesnap.finding import faces_of_mediapipe
        from ...flashface_core.facesnap.landmark_sheet import dots_over, found_preview, numbered

        if face_landmarks is not None:
            size = tuple(image.shape[:3])
            faces = faces_of_mediapipe(landmark_model, face_landmarks, size, order, index, noise)
        else:
            choice = Choice(order=order, index=index, threshold=threshold)
            faces = _looked_for(landmark_model, image, choice, detector, noise)
        pairs = list(zip(image, faces.faces, strict=True))
        over = [dots_over(to_rgb(picture), face.landmarks) for picture, face in pairs]
        shown = [
            found_preview(
                image_to_pil(picture), face, numbered("Image", number, len(pairs), photos.PREVIEWS)
            )
            for number, (picture, face) in enumerate(pairs[: photos.PREVIEWS], 1)
        ]
        return io.NodeOutput(faces, torch.stack(over), ui=ui.PreviewImage(shown, cls=cls))


def _looked_for(file, image: torch.Tensor, choice: Choice, detector, noise: float):
    """The faces that a detector and the file's network find, one of each picture."""
    from ...flashface_core.facesnap.finding import find_face, network_of
    from ...flashface_core.facesnap.landmark_model import Faces

    network_of(file)  # before the detector looks at many pictures for nothing
    finder = detector or photos.best_detector()
    results = photos.choose_in_batches([image], choice, finder, remedy=REMEDY)
    found = [find_face(file, one.picture, one.chosen[0].face.box, noise) for one in results]
    return Faces(tuple(found), file.model, file.fingerprint)
