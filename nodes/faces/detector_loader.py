from __future__ import annotations

from comfy_api.latest import io

from ...flashface_core.faces.detection import (
    DETECTORS,
    PROVIDERS,
    Settings,
    load_detector,
)
from .. import folders
from ..types import CATEGORY, FlashFaceDetectorType
from . import photos


class FlashFaceDetectorLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceDetectorLoader",
            display_name="Load Face Detector",
            category=CATEGORY,
            description=(
                "Loads a face detector for Detect & Crop Faces and Face Similarity. Nothing is "
                "downloaded: if something is missing, the message says what, where it can be had "
                "and where it goes."
            ),
            search_aliases=[
                "insightface",
                "yunet",
                "retinaface",
                "scrfd",
                "find face",
                "flashface",
            ],
            inputs=[
                io.Combo.Input(
                    "detector",
                    options=list(DETECTORS),
                    default="auto",
                    tooltip=(
                        "auto: the best one that works here. insightface: the most reliable; needs "
                        "the package and a model pack in models/insightface (its models are for "
                        "non-commercial research only). yunet: fast and free; needs OpenCV and its "
                        "file in models/face_detection. lbp: built in, frontal faces, no eyes."
                    ),
                ),
                io.Combo.Input(
                    "provider",
                    options=list(PROVIDERS),
                    default="auto",
                    advanced=True,
                    tooltip=(
                        "What insightface runs on. If it does not work here, the CPU is used and "
                        "the log says so. yunet and lbp always run on the CPU."
                    ),
                ),
                io.Int.Input(
                    "detection_size",
                    default=640,
                    min=128,
                    max=2048,
                    step=32,
                    advanced=True,
                    tooltip=(
                        "insightface and yunet see the picture fitted into a square of so many "
                        "pixels. FlashFace's authors use 640; more finds smaller faces, slower."
                    ),
                ),
            ],
            outputs=[
                FlashFaceDetectorType.Output(
                    display_name="detector",
                    tooltip="For Detect & Crop Faces and Face Similarity.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return photos.models_fingerprint()  # a model file that is added is noticed

    @classmethod
    def execute(
        cls, detector: str, provider: str = "auto", detection_size: int = 640
    ) -> io.NodeOutput:
        settings = Settings(folders.face_models(), provider, detection_size)
        return io.NodeOutput(load_detector(detector, settings))
