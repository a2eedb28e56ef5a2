from __future__ import annotations

from comfy_api.latest import io, ui

from ...flashface_core.flashface.guidance import PRESETS, Schedule
from ..showing import Previewing
from ..types import CATEGORY, FlashFaceScheduleType

# io.Curve.Input would always show an editor of its own, with a ramp that nobody asked for.
CurveSocket = io.Custom("CURVE")

CUSTOM = "custom"


def _presets() -> dict[str, dict[str, float]]:
    """The presets as the front end shows them in the node's numbers."""
    return {
        name: {
            "strength": preset.strength,
            "reference_guidance": preset.reference_guidance,
            "launch_percent": round(preset.launch_percent, 5),
            "strength_before_launch": preset.strength_before_launch,
            "cfg": preset.cfg,
            "steps": preset.steps,
        }
        for name, preset in PRESETS.items()
    }


class FlashFaceSchedule(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceSchedule",
            display_name="FlashFace Schedule",
            category=CATEGORY,
            description=(
                "Strength and reference guidance over the course of sampling: a preset, four "
                "numbers, or drawn with Curve Editor nodes. Shows both curves and what they cost."
            ),
            search_aliases=["flashface preset", "guidance scheduler", "strength schedule", "curve"],
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=[CUSTOM, *PRESETS],
                    default=CUSTOM,
                    tooltip=(
                        "Settings known to work; the four numbers below show them. custom uses the "
                        "numbers as they are: move one to get there."
                    ),
                    extra_dict={"presets": _presets()},
                ),
                io.Float.Input(
                    "strength",
                    default=1.2,
                    min=-5.0,
                    max=5.0,
                    step=0.05,
                    tooltip="Strength from the launch on, for every Apply FlashFace.",
                ),
                io.Float.Input(
                    "reference_guidance",
                    default=3.2,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How strongly the picture is drawn to the person, from the launch on.",
                ),
                io.Float.Input(
                    "launch_percent",
                    default=0.25,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=0.00001,
                    tooltip="Where in the sampling the reference guidance starts, 0 is the start.",
                ),
                io.Float.Input(
                    "strength_before_launch",
                    default=0.85,
                    min=0.0,
                    max=5.0,
                    step=0.05,
                    tooltip="Strength before the launch.",
                ),
                CurveSocket.Input(
                    "strength_curve",
                    optional=True,
                    tooltip=(
                        "From a Curve Editor: a factor 0 to 1 on both strengths, from the start "
                        "of the sampling (left) to its end (right)."
                    ),
                    extra_dict={"forceInput": True},
                ),
                CurveSocket.Input(
                    "guidance_curve",
                    optional=True,
                    tooltip=(
                        "From a Curve Editor: a factor 0 to 1 on the reference guidance. Where it "
                        "is 0, a step needs two predictions instead of three."
                    ),
                    extra_dict={"forceInput": True},
                ),
            ],
            outputs=[
                FlashFaceScheduleType.Output(
                    display_name="schedule", tooltip="For FlashFace Guidance."
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        preset: str,
        strength: float,
        reference_guidance: float,
        launch_percent: float,
        strength_before_launch: float,
        strength_curve=None,
        guidance_curve=None,
    ) -> io.NodeOutput:
        from ...flashface_core.flashface import schedule_drawing
        from ...flashface_core.flashface.curves import checked_curve

        known = PRESETS.get(preset)
        if known is not None:
            strength, reference_guidance = known.strength, known.reference_guidance
            launch_percent = known.launch_percent
            strength_before_launch = known.strength_before_launch
        schedule = Schedule(
            strength,
            reference_guidance,
            launch_percent,
            strength_before_launch,
            checked_curve("strength_curve", strength_curve),
            checked_curve("guidance_curve", guidance_curve),
        )
        picture = schedule_drawing.draw(schedule, known)
        return io.NodeOutput(schedule, ui=ui.PreviewImage(picture, cls=cls))
