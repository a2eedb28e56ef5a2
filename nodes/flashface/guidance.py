from __future__ import annotations

from comfy_api.latest import io

from ..types import CATEGORY, FlashFaceScheduleType


class FlashFaceGuidance(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceGuidance",
            display_name="FlashFace Guidance",
            category=CATEGORY,
            description=(
                "Guides text and identity by scales of their own: the sampler's cfg for the "
                "prompt, reference_guidance for the person. Works before or after Apply "
                "FlashFace, with any sampler. From the launch on, each step runs the UNet for "
                "three predictions instead of two."
            ),
            search_aliases=[
                "flashface cfg",
                "identity guidance",
                "reference guidance",
                "rescale cfg",
            ],
            inputs=[
                io.Model.Input("model", tooltip="A MODEL with Apply FlashFace before or after."),
                io.Float.Input(
                    "reference_guidance",
                    default=3.2,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip=(
                        "How strongly the picture is drawn to the person, beside cfg for the "
                        "prompt. 1.8 to 4 is the usual range; 0 saves the third prediction."
                    ),
                ),
                io.Float.Input(
                    "launch_percent",
                    default=0.25,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=0.00001,
                    tooltip=(
                        "Where in the sampling the reference guidance starts. Later gives the "
                        "prompt more say over pose and layout, earlier gives more likeness."
                    ),
                ),
                io.Float.Input(
                    "strength_before_launch",
                    default=0.85,
                    min=0.0,
                    max=5.0,
                    step=0.05,
                    advanced=True,
                    tooltip="Strength of all references before the launch.",
                ),
                io.Float.Input(
                    "rescale",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    advanced=True,
                    tooltip="Draws contrast and saturation back to natural ones. 0 turns it off.",
                ),
                FlashFaceScheduleType.Input(
                    "schedule",
                    optional=True,
                    tooltip=(
                        "From FlashFace Schedule. Replaces reference_guidance, launch_percent and "
                        "strength_before_launch here, and the strength of Apply FlashFace."
                    ),
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The guided MODEL.")],
        )

    @classmethod
    def execute(
        cls,
        model,
        reference_guidance: float,
        launch_percent: float,
        strength_before_launch: float = 0.85,
        rescale: float = 0.5,
        schedule=None,
    ) -> io.NodeOutput:
        from ...flashface_core.flashface.guidance import Guidance, Schedule
        from ...flashface_core.flashface.patch import set_guidance

        if schedule is None:
            schedule = Schedule(None, reference_guidance, launch_percent, strength_before_launch)
        return io.NodeOutput(set_guidance(model, Guidance(schedule, rescale)))
