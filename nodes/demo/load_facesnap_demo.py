from __future__ import annotations

from comfy_api.latest import io

from ...flashface_core.demo.folder import (
    FACESNAP,
    FACESNAP_LANDMARKS,
    demo_folder,
    file_of,
    stamps,
)
from ..types import DEMO_CATEGORY, FaceSnapLandmarkModelType, FaceSnapModelType


class FaceSnapDemoLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapDemoLoader",
            display_name="Load FaceSnap Demo",
            category=DEMO_CATEGORY,
            description=(
                "Loads the small FaceSnap that comes with this pack, for the plain MODEL of Load "
                "FlashFace Demo, and its landmark model. We know of no weights released by "
                "FaceSnap's authors; these were trained by this project on rendered people only, "
                "for pictures of 128 pixels: they show how FaceSnap works, and are not for photos "
                "of real people."
            ),
            search_aliases=["facesnap", "facesnap demo", "small model", "landmarks", "演示模型"],
            inputs=[],
            outputs=[
                FaceSnapModelType.Output(
                    display_name="facesnap",
                    tooltip="Mixer, FFRNet and face encoder, for Encode Face and Apply FaceSnap.",
                ),
                FaceSnapLandmarkModelType.Output(
                    display_name="landmark_model", tooltip="For Find Landmarks (FaceSnap)."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return str(stamps(demo_folder()))  # it may have been written anew

    @classmethod
    def execute(cls) -> io.NodeOutput:
        from ...flashface_core.facesnap.landmark_file import load_landmark_model
        from ...flashface_core.facesnap.model import load_facesnap

        paths = [file_of(demo_folder(), name) for name in (FACESNAP, FACESNAP_LANDMARKS)]
        return io.NodeOutput(load_facesnap(str(paths[0])), load_landmark_model(str(paths[1])))
