from __future__ import annotations

from comfy_api.latest import io

from ..types import CATEGORY, FlashFaceModelType, FlashFaceReferenceType


class FlashFaceApply(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceApply",
            display_name="Apply FlashFace",
            category=CATEGORY,
            description=(
                "Makes a MODEL look at a reference while it draws. A second Apply FlashFace on the "
                "same MODEL adds a second person; attention masks keep them apart."
            ),
            search_aliases=[
                "flashface",
                "face",
                "identity",
                "face reference",
                "face swap",
                "ip-adapter",
                "instantid",
                "pulid",
                "faceid",
                "photomaker",
                "portrait",
                "likeness",
                "same person",
                "consistent character",
                "换脸",
                "肖像",
                "人脸一致",
                "保持人物",
                "同一人物",
            ],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The MODEL of Load FlashFace Model, LoRA and others included."
                ),
                FlashFaceModelType.Input(
                    "flashface", tooltip="The FLASHFACE_MODEL of Load FlashFace Model."
                ),
                FlashFaceReferenceType.Input(
                    "reference", tooltip="The person, from Encode Reference Faces."
                ),
                io.Float.Input(
                    "strength",
                    default=1.2,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip=(
                        "How strongly identity counts. 0.7 to 1.4 is the usual range: higher for "
                        "more likeness, lower where the face looks pasted on. 0 turns the person "
                        "off."
                    ),
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Where in the sampling the reference starts to count, 0 is the start.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Where in the sampling the reference stops counting, 1 is the end.",
                ),
                io.Mask.Input(
                    "face_region",
                    optional=True,
                    tooltip="Where the face should be, from Face Region. Without it: anywhere.",
                ),
                io.Mask.Input(
                    "attention_mask",
                    optional=True,
                    tooltip=(
                        "Which part of the picture may look at this reference, for several people "
                        "in one picture. Any size; it is scaled to the picture."
                    ),
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The patched MODEL.")],
        )

    @classmethod
    def execute(
        cls,
        model,
        flashface,
        reference,
        strength: float,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        face_region=None,
        attention_mask=None,
    ) -> io.NodeOutput:
        from ...flashface_core.flashface.patch import apply_reference
        from ...flashface_core.flashface.patch.state import AppliedReference

        applied = AppliedReference(
            reference, strength, start_percent, end_percent, face_region, attention_mask
        )
        return io.NodeOutput(apply_reference(model, flashface, applied))
