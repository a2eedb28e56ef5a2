from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from .. import folders
from ..types import FACE2DIFFUSION_CATEGORY, Face2DiffusionModelType

DTYPES = ["default", "fp32", "fp16", "bf16"]


class Face2DiffusionModelLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Face2DiffusionModelLoader",
            display_name="Load Face2Diffusion Model",
            category=FACE2DIFFUSION_CATEGORY,
            description=(
                "Loads Face2Diffusion's two files from models/face2diffusion. They make a person "
                "into two words of the prompt, for any SD1.x model. The released weights are for "
                "non-commercial use only (CC BY-NC-SA 4.0)."
            ),
            search_aliases=["face2diffusion", "f2d", "msid", "face embedding", "identity"],
            inputs=[
                _file_input("msid_name", "msid", "The identity encoder, msid.pt (86 MB)."),
                _file_input("mapping_name", "mapping", "The mapping network, mapping.pt (48 MB)."),
                io.Combo.Input(
                    "weight_dtype",
                    options=DTYPES,
                    default="default",
                    advanced=True,
                    tooltip=(
                        "How weights are stored; default keeps the files' fp32. Both networks "
                        "compute in fp32 and run once for a photo."
                    ),
                ),
            ],
            outputs=[
                Face2DiffusionModelType.Output(
                    display_name="face2diffusion", tooltip="For Encode Face (Face2Diffusion)."
                )
            ],
        )

    @classmethod
    def execute(
        cls, msid_name: str, mapping_name: str, weight_dtype: str = "default"
    ) -> io.NodeOutput:
        import torch

        from ...flashface_core.face2diffusion.model import load_face2diffusion

        dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(
            weight_dtype
        )
        paths = [
            folder_paths.get_full_path_or_raise(folders.FACE2DIFFUSION, name)
            for name in (msid_name, mapping_name)
        ]
        return io.NodeOutput(load_face2diffusion(paths[0], paths[1], dtype))


def _file_input(name: str, part: str, tooltip: str) -> io.Combo.Input:
    """A choice of the folder's files, those first that are named like the part."""
    files = folder_paths.get_filename_list(folders.FACE2DIFFUSION)
    files = sorted(files, key=lambda file: part not in file.lower())
    return io.Combo.Input(
        name, options=files, tooltip=f"{tooltip} A file in models/face2diffusion."
    )
