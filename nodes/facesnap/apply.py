from __future__ import annotations

from comfy_api.latest import io

from ..types import FACESNAP_CATEGORY, FaceSnapIdentityType, FaceSnapModelType


class FaceSnapApply(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapApply",
            display_name="Apply FaceSnap",
            category=FACESNAP_CATEGORY,
            description=(
                "Puts a person with a pose into a prompt: a ControlNet that reads landmarks and "
                "the face. Works with any MODEL of its base, with LoRA, other ControlNets and "
                "FlashFace. A second Apply FaceSnap adds a second person; region masks keep them "
                "apart."
            ),
            search_aliases=[
                "facesnap",
                "face pose",
                "face landmarks",
                "expression",
                "identity",
                "controlnet",
                "instantid",
                "same person",
                "换脸",
                "表情",
                "人脸姿态",
            ],
            inputs=[
                io.Conditioning.Input("positive", tooltip="What should be in the picture."),
                io.Conditioning.Input("negative", tooltip="What should not be in it."),
                FaceSnapModelType.Input(
                    "facesnap", tooltip="From Load FaceSnap Model, for the base of your MODEL."
                ),
                FaceSnapIdentityType.Input(
                    "identity", tooltip="The person, from Encode Face (FaceSnap)."
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip=(
                        "How strongly pose and person count together. 0 hands the prompts through "
                        "as they are."
                    ),
                ),
                io.Float.Input(
                    "identity_strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip=(
                        "How strongly the person counts. At 0 the landmarks steer and nobody in "
                        "particular is drawn. Beside FlashFace start with 0.5."
                    ),
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Where in the sampling it starts to count, 0 is the start.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Where in the sampling it stops counting, 1 is the end.",
                ),
                io.Image.Input(
                    "landmark_image",
                    optional=True,
                    tooltip=(
                        "Where the face is and how it looks, from Predict Landmarks; several for "
                        "the pictures of a batch. Without it: the person, wherever the prompt puts "
                        "the face."
                    ),
                ),
                io.Mask.Input(
                    "region_mask",
                    optional=True,
                    tooltip=(
                        "The part of the picture that this person counts in, such as face_mask of "
                        "Predict Landmarks. Any size; it is scaled to the picture."
                    ),
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="For the sampler."),
                io.Conditioning.Output(display_name="negative", tooltip="For the sampler."),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive,
        negative,
        facesnap,
        identity,
        strength: float,
        identity_strength: float,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        landmark_image=None,
        region_mask=None,
    ) -> io.NodeOutput:
        from ...flashface_core.facesnap.apply import Person, apply_person

        person = Person(
            identity,
            landmark_image,
            strength,
            identity_strength,
            start_percent,
            end_percent,
            region_mask,
        )
        return io.NodeOutput(*apply_person(facesnap, person, positive, negative))
