from __future__ import annotations

from comfy_api.latest import io, ui

from ..showing import Previewing
from ..types import CATEGORY


class FlashFaceFrameStrengths(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceFrameStrengths",
            display_name="FlashFace Frame Strengths",
            category=CATEGORY,
            description=(
                "How much a person counts in each frame of a film or batch, from keyframes: a mask "
                "for every frame, for attention_mask of Apply FlashFace. Shows the curve."
            ),
            search_aliases=[
                "keyframes",
                "weights per frame",
                "animation schedule",
            ],
            inputs=[
                io.String.Input(
                    "keyframes",
                    default="0: 1.0, 24: 0.2",
                    multiline=True,
                    tooltip=(
                        "Pairs of a frame (from 0) and a strength, 0 to 1, between commas or on "
                        "lines. 1 is the strength of Apply FlashFace, 0 turns the person off."
                    ),
                ),
                io.Combo.Input(
                    "between",
                    options=["linear", "hold"],
                    default="linear",
                    tooltip=(
                        "Between two keyframes, linear: in a straight line from one to the next; "
                        "hold: the earlier one's strength until the next."
                    ),
                ),
                io.Int.Input(
                    "frames",
                    default=25,
                    min=1,
                    max=4096,
                    tooltip="How many frames: the batch size of the latent.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=16,
                    max=8192,
                    step=8,
                    tooltip="Width of the masks in pixels. Apply FlashFace takes any size.",
                ),
                io.Int.Input(
                    "height", default=512, min=16, max=8192, step=8, tooltip="Height of the masks."
                ),
            ],
            outputs=[
                io.Mask.Output(
                    display_name="mask",
                    tooltip="One mask per frame, for attention_mask of Apply FlashFace.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, keyframes: str, between: str, frames: int, width: int, height: int
    ) -> io.NodeOutput:
        from ...flashface_core.flashface import frame_strengths
        from ...flashface_core.images import pil_to_image

        known = frame_strengths.parse_keyframes(keyframes)
        strength = frame_strengths.strengths(known, frames, between)
        picture = pil_to_image(frame_strengths.draw_strengths(strength, known))
        masks = frame_strengths.strength_masks(strength, width, height)
        return io.NodeOutput(masks, ui=ui.PreviewImage(picture[None], cls=cls))
