from __future__ import annotations

from comfy_api.latest import io

from ...flashface_core.demo.folder import demo_folder, stamps
from ..types import DEMO_CATEGORY, FlashFaceModelType


class FlashFaceDemoLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceDemoLoader",
            display_name="Load FlashFace Demo",
            category=DEMO_CATEGORY,
            description=(
                "Loads the small FlashFace that comes with this pack: all models of a workflow, "
                "with nothing to download. It was trained on rendered people only, for pictures of "
                "128 pixels and face crops of 112: it shows how FlashFace works, and is not for "
                "photos of real people."
            ),
            search_aliases=[
                "flashface",
                "flashface demo",
                "embedded model",
                "small model",
                "try flashface",
                "start here",
                "演示模型",
                "内置模型",
            ],
            inputs=[],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The small FlashFace's UNet, for Apply FlashFace."
                ),
                FlashFaceModelType.Output(
                    display_name="flashface",
                    tooltip="Its ReferenceNet and reference attention, for Apply FlashFace.",
                ),
                io.Clip.Output(
                    display_name="clip",
                    tooltip=(
                        "Its text encoder, made in memory. It knows the words of its captions: "
                        "ages, hair, beards, glasses, hats, clothes, places and moods."
                    ),
                ),
                io.Vae.Output(display_name="vae", tooltip="Its autoencoder."),
                io.Model.Output(
                    display_name="plain_model",
                    tooltip=(
                        "The same model before it learned FlashFace: it paints what the prompt "
                        "says and knows no references."
                    ),
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return str(stamps(demo_folder()))  # it may have been written anew

    @classmethod
    def execute(cls) -> io.NodeOutput:
        from ...flashface_core.demo.models import load_demo

        demo = load_demo(demo_folder())
        return io.NodeOutput(demo.model, demo.flashface, demo.clip, demo.vae, demo.plain)
