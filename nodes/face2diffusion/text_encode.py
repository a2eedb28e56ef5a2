from __future__ import annotations

from comfy_api.latest import io

from ..types import FACE2DIFFUSION_CATEGORY, Face2DiffusionIdentityType

PLACEHOLDERS = ("f l", "m n", "p q")
OCCURRENCES = ["first", "every"]


def _person(number: int) -> list[io.Input]:
    """The sockets of one person; only the first one has to be connected."""
    suffix = "" if number == 1 else f"_{number}"
    return [
        Face2DiffusionIdentityType.Input(
            f"identity{suffix}",
            optional=number > 1,
            tooltip=(
                "The person, from Encode Face (Face2Diffusion)."
                if number == 1
                else "Another person in the same picture."
            ),
        ),
        io.String.Input(
            f"placeholder{suffix}",
            default=PLACEHOLDERS[number - 1],
            optional=number > 1,
            advanced=number > 1,
            tooltip=(
                f"Stands in text where person {number} should be: two letters or short words that "
                "nothing else in the text uses together."
            ),
        ),
    ]


class Face2DiffusionTextEncode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Face2DiffusionTextEncode",
            display_name="Text Encode (Face2Diffusion)",
            category=FACE2DIFFUSION_CATEGORY,
            description=(
                "Encodes a prompt in which two words are a person, for any SD1.x model and at no "
                "cost in sampling. Weights such as (f l:1.3), long prompts and LoRA work as ever. "
                "The negative prompt is an ordinary CLIP Text Encode."
            ),
            search_aliases=[
                "face2diffusion",
                "prompt",
                "clip text encode",
                "identity",
                "S*",
                "photomaker",
                "人脸提示词",
            ],
            inputs=[
                io.Clip.Input("clip", tooltip="The CLIP of an SD1.x model. It is not changed."),
                io.String.Input(
                    "text",
                    default="photo of f l",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="The prompt, with the placeholder where the person should be.",
                ),
                *_person(1),
                io.Combo.Input(
                    "occurrences",
                    options=OCCURRENCES,
                    default="first",
                    advanced=True,
                    tooltip=(
                        "Where the text names a placeholder more than once: the person at the "
                        "first one only, as the authors do, or at every one."
                    ),
                ),
                *_person(2),
                *_person(3),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="conditioning", tooltip="The positive prompt, for a sampler."
                )
            ],
        )

    @classmethod
    def execute(cls, clip, text: str, occurrences: str = "first", **people) -> io.NodeOutput:
        from ...flashface_core.face2diffusion.text import Person, encode_text

        if clip is None:
            raise ValueError(
                "The clip input is empty: this checkpoint has no text encoder. Load CLIP-L of "
                "SD1.5 with Load CLIP."
            )
        named = [
            Person(people.get(f"placeholder{suffix}", default), identity.words)
            for suffix, default in zip(("", "_2", "_3"), PLACEHOLDERS, strict=True)
            if (identity := people.get(f"identity{suffix}")) is not None
        ]
        return io.NodeOutput(encode_text(clip, text, named, occurrences == "every"))
