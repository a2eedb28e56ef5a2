from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from .. import folders
from ..types import FACESNAP_CATEGORY, FaceSnapModelType

DTYPES = ["default", "fp32", "fp16", "bf16"]


class FaceSnapModelLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapModelLoader",
            display_name="Load FaceSnap Model",
            category=FACESNAP_CATEGORY,
            description=(
                "Loads a FaceSnap model from models/facesnap: the mixer that makes tokens of a "
                "face, and the ControlNet that reads them and a picture of landmarks. We know of "
                "no weights released by FaceSnap's authors; files are trained by this project's "
                "own script."
            ),
            search_aliases=[
                "facesnap",
                "face controlnet",
                "landmark controlnet",
                "identity",
                "face pose",
            ],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=folder_paths.get_filename_list(folders.FACESNAP),
                    tooltip="A file in models/facesnap, for the base of your checkpoint.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=DTYPES,
                    default="default",
                    advanced=True,
                    tooltip=(
                        "How weights are stored. default follows ComfyUI's settings and your "
                        "device. Mixer and face encoder compute in fp32 in any case: they run once "
                        "for a person."
                    ),
                ),
            ],
            outputs=[
                FaceSnapModelType.Output(
                    display_name="facesnap",
                    tooltip="For Encode Face, Load Identity and Apply FaceSnap.",
                )
            ],
        )

    @classmethod
    def execute(cls, model_name: str, weight_dtype: str = "default") -> io.NodeOutput:
        import torch

        from ...flashface_core.facesnap.model import load_facesnap

        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(
            weight_dtype
        )
        path = folder_paths.get_full_path_or_raise(folders.FACESNAP, model_name)
        return io.NodeOutput(load_facesnap(path, dtype))
