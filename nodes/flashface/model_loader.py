from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from .. import folders
from ..types import CATEGORY, FlashFaceModelType

DTYPES = ["default", "fp32", "fp16", "bf16", "fp8_e4m3fn", "fp8_e5m2"]


class FlashFaceModelLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceModelLoader",
            display_name="Load FlashFace Model",
            category=CATEGORY,
            description=(
                "Loads a FlashFace checkpoint from models/flashface: the official .ckpt or "
                ".safetensors, or a compact file made from one. MODEL is an ordinary SD1.5 model "
                "for LoRA, ControlNet, merging and samplers; FLASHFACE_MODEL goes to Apply "
                "FlashFace."
            ),
            search_aliases=[
                "flashface",
                "face identity",
                "load face model",
                "referencenet",
                "face swap",
                "换脸模型",
            ],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=folder_paths.get_filename_list(folders.MODELS),
                    tooltip="A file in models/flashface, such as flashface.ckpt.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=DTYPES,
                    default="default",
                    advanced=True,
                    tooltip=(
                        "How weights are stored. default follows ComfyUI's settings and your "
                        "device; fp8 halves memory at some cost in quality (the reference "
                        "attention layers are never stored in fp8)."
                    ),
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="FlashFace's fine-tuned SD1.5 UNet, for Apply FlashFace and all else.",
                ),
                FlashFaceModelType.Output(
                    display_name="flashface",
                    tooltip="ReferenceNet and reference attention, for Apply FlashFace.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model_name: str, weight_dtype: str = "default") -> io.NodeOutput:
        import torch

        from ...flashface_core.flashface.model import load_flashface

        dtype = {
            "fp32": torch.float32,
            "fp16": torch.float16,
            "bf16": torch.bfloat16,
            "fp8_e4m3fn": torch.float8_e4m3fn,
            "fp8_e5m2": torch.float8_e5m2,
        }.get(weight_dtype)
        path = folder_paths.get_full_path_or_raise(folders.MODELS, model_name)
        return io.NodeOutput(*load_flashface(path, dtype))
