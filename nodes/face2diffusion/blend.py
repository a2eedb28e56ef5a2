from __future__ import annotations

from comfy_api.latest import io

from ..types import FACE2DIFFUSION_CATEGORY, Face2DiffusionIdentityType


class Face2DiffusionBlend(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Face2DiffusionBlend",
            display_name="Blend Identities (Face2Diffusion)",
            category=FACE2DIFFUSION_CATEGORY,
            description="Makes a new person between two others. Chain it for more.",
            search_aliases=["face2diffusion", "mix faces", "average face", "morph", "interpolate"],
            inputs=[
                Face2DiffusionIdentityType.Input("identity_1", tooltip="The first person."),
                Face2DiffusionIdentityType.Input("identity_2", tooltip="The second person."),
                io.Float.Input(
                    "factor",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="0 is the first person, 1 the second, 0.5 halfway.",
                ),
            ],
            outputs=[
                Face2DiffusionIdentityType.Output(
                    display_name="identity", tooltip="For Text Encode (Face2Diffusion)."
                )
            ],
        )

    @classmethod
    def execute(cls, identity_1, identity_2, factor: float) -> io.NodeOutput:
        from ...flashface_core.face2diffusion.identity import blend

        return io.NodeOutput(blend(identity_1, identity_2, factor))
