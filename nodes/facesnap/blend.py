from __future__ import annotations

from comfy_api.latest import io

from ..types import FACESNAP_CATEGORY, FaceSnapIdentityType


class FaceSnapBlend(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapBlend",
            display_name="Blend Identities (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description="Makes a new person between two others. Chain it for more.",
            search_aliases=["facesnap", "mix faces", "average face", "morph", "interpolate"],
            inputs=[
                FaceSnapIdentityType.Input("identity_1", tooltip="The first person."),
                FaceSnapIdentityType.Input(
                    "identity_2", tooltip="The second person, encoded with the same model."
                ),
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
                FaceSnapIdentityType.Output(display_name="identity", tooltip="For Apply FaceSnap.")
            ],
        )

    @classmethod
    def execute(cls, identity_1, identity_2, factor: float) -> io.NodeOutput:
        from ...flashface_core.facesnap.identity import blend

        return io.NodeOutput(blend(identity_1, identity_2, factor))
