from __future__ import annotations

from comfy_api.latest import io

from ...flashface_core.flashface.combine import combine_references
from ..types import CATEGORY, FlashFaceReferenceType


def _weight(name: str) -> io.Float.Input:
    return io.Float.Input(
        name,
        default=0.5,
        min=-2.0,
        max=2.0,
        step=0.05,
        tooltip=(
            "How much of this reference: a factor on the strength of everybody in it. The two "
            "weights usually add up to 1. 0 leaves it out."
        ),
    )


class FlashFaceCombineReferences(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceCombineReferences",
            display_name="Combine References",
            category=CATEGORY,
            description=(
                "Mixes two references into one new face, by weight. Chain it for more. For "
                "several different people in one picture, use one Apply FlashFace with an "
                "attention mask for each instead."
            ),
            search_aliases=["mix faces", "blend identities", "average face", "flashface"],
            inputs=[
                FlashFaceReferenceType.Input("reference_1", tooltip="The first reference."),
                _weight("weight_1"),
                FlashFaceReferenceType.Input("reference_2", tooltip="The second reference."),
                _weight("weight_2"),
            ],
            outputs=[
                FlashFaceReferenceType.Output(
                    display_name="reference", tooltip="Everybody together, for Apply FlashFace."
                )
            ],
        )

    @classmethod
    def execute(cls, reference_1, weight_1: float, reference_2, weight_2: float) -> io.NodeOutput:
        return io.NodeOutput(combine_references((reference_1, weight_1), (reference_2, weight_2)))
