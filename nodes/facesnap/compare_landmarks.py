from __future__ import annotations

from comfy_api.latest import io, ui

from ..faces import photos
from ..showing import Previewing
from ..types import (
    FACESNAP_CATEGORY,
    FaceLandmarksType,
    FaceSnapLandmarkModelType,
    FaceSnapLandmarksType,
    FlashFaceDetectorType,
)


class FaceSnapCompareLandmarks(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapCompareLandmarks",
            display_name="Compare Landmarks (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Measures how far the face in a finished picture lies from the landmarks that were "
                "asked for. Below 6 it is where it should be, above 15 it is somewhere else."
            ),
            search_aliases=[
                "facesnap",
                "landmark error",
                "landmark distance",
                "face pose check",
                "关键点误差",
            ],
            inputs=[
                FaceSnapLandmarksType.Input(
                    "landmarks",
                    tooltip="What was asked for, from Predict Landmarks (FaceSnap).",
                ),
                io.Image.Input(
                    "image",
                    tooltip="The finished pictures, of these landmarks' proportions: one for each.",
                ),
                FaceSnapLandmarkModelType.Input(
                    "landmark_model",
                    tooltip="Its network finds the points, where face_landmarks are not given.",
                ),
                FaceLandmarksType.Input(
                    "face_landmarks",
                    optional=True,
                    tooltip=(
                        "From Detect Face Landmarks (MediaPipe), of the same image: the face "
                        "nearest to the wanted one counts."
                    ),
                ),
                FlashFaceDetectorType.Input(
                    "detector",
                    optional=True,
                    tooltip=(
                        "From Load Face Detector: the face nearest to the wanted one counts. "
                        "Without it, the network looks where the face was asked for."
                    ),
                ),
            ],
            outputs=[
                io.Float.Output(
                    display_name="error",
                    tooltip=(
                        "Mean distance of the points in % of the distance of the eyes, averaged "
                        "over the pictures. A picture in which no face is found counts as 100."
                    ),
                ),
                io.Image.Output(
                    display_name="report",
                    tooltip="The wanted points, the picture, and the points found in it.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, landmarks, image, landmark_model, face_landmarks=None, detector=None
    ) -> io.NodeOutput:
        from comfy.utils import ProgressBar

        from ...flashface_core.facesnap.compare import compare, mean_error, report

        size = tuple(image.shape[:3])
        pictures = photos.one_by_one(image, ProgressBar(size[0]))
        found = compare(landmarks, pictures, size, landmark_model, face_landmarks, detector)
        rows = list(found)
        sheet = report(rows)[None]
        return io.NodeOutput(mean_error(rows), sheet, ui=ui.PreviewImage(sheet, cls=cls))
