from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from .. import folders
from ..types import FACESNAP_CATEGORY, FaceSnapLandmarkModelType


class FaceSnapLandmarkModelLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        files = folder_paths.get_filename_list(folders.FACESNAP)
        return io.Schema(
            node_id="FaceSnapLandmarkModelLoader",
            display_name="Load Landmark Model (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Loads a landmark model from models/facesnap: which shapes and expressions the 72 "
                "points of a face can take, and the network that finds them in a picture, where "
                "the file has one."
            ),
            search_aliases=[
                "facesnap",
                "landmarks",
                "3dmm",
                "face shape",
                "face pose",
                "人脸关键点模型",
            ],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=sorted(files, key=lambda name: "landmark" not in name.lower()),
                    tooltip="A landmark model, a file in models/facesnap.",
                )
            ],
            outputs=[
                FaceSnapLandmarkModelType.Output(
                    display_name="landmark_model",
                    tooltip="For Find Landmarks (FaceSnap) and Compare Landmarks (FaceSnap).",
                )
            ],
        )

    @classmethod
    def execute(cls, model_name: str) -> io.NodeOutput:
        from ...flashface_core.facesnap.landmark_file import load_landmark_model

        path = folder_paths.get_full_path_or_raise(folders.FACESNAP, model_name)
        return io.NodeOutput(load_landmark_model(path))
