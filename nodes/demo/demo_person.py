from __future__ import annotations

from comfy_api.latest import io

from ...flashface_core.demo.folder import demo_folder, stamps
from ...flashface_core.demo.people import AGES, NAMES, PHOTOS
from ..types import DEMO_CATEGORY


class FlashFaceDemoPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceDemoPerson",
            display_name="Demo Person",
            category=DEMO_CATEGORY,
            description=(
                "Photos of one of eight drawn people, of 256 pixels, in the place of Load Image. "
                "None of them exists, and the small model of Load FlashFace Demo has never seen "
                "them."
            ),
            search_aliases=[
                "flashface demo",
                "example photos",
                "sample person",
                "reference photos",
                "test image",
                "示例人物",
                "演示照片",
            ],
            inputs=[
                io.Combo.Input(
                    "person",
                    options=list(NAMES),
                    default=NAMES[0],
                    tooltip="Who it is: a number, and a word for what one sees.",
                ),
                io.Int.Input(
                    "photos",
                    default=4,
                    min=1,
                    max=PHOTOS,
                    tooltip="How many different photos. FlashFace was made for up to 4.",
                ),
                io.Combo.Input(
                    "age",
                    options=list(AGES),
                    default=AGES[0],
                    tooltip="The same person at about 25 years, or at about 70.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="photos",
                    tooltip="The photos as one batch, for Detect & Crop Faces.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return str(stamps(demo_folder()))  # it may have been written anew

    @classmethod
    def execute(cls, person: str, photos: int, age: str) -> io.NodeOutput:
        from ...flashface_core.demo.people import load_photos

        return io.NodeOutput(load_photos(demo_folder(), person, age, photos))
