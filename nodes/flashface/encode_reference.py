from __future__ import annotations

import logging

from comfy_api.latest import io

from ..types import CATEGORY, FlashFaceReferenceType

log = logging.getLogger(__name__)


class FlashFaceEncodeReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceEncodeReference",
            display_name="Encode Reference Faces",
            category=CATEGORY,
            description=(
                "Makes one reference of one person from face crops. Several different photos of "
                "the person keep identity better than one; four are the usual number."
            ),
            search_aliases=[
                "flashface reference",
                "encode face",
                "identity",
                "face embedding",
                "portrait",
                "人脸编码",
                "参考人脸",
            ],
            is_input_list=True,
            inputs=[
                io.Vae.Input("vae", tooltip="An SD1.5 VAE. Its posterior mean is used, no noise."),
                io.Image.Input(
                    "faces",
                    tooltip=(
                        "Square face crops of one person, from Detect & Crop Faces. A batch or a "
                        "list gives one reference."
                    ),
                ),
                io.Conditioning.Input(
                    "negative",
                    tooltip=(
                        "The negative prompt, the same one that goes to the sampler: FlashFace "
                        "reads its tokens beside the faces."
                    ),
                ),
                io.Int.Input(
                    "repeat_to",
                    default=4,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip=(
                        "With fewer faces than this, each counts as if it were repeated up to this "
                        "number. FlashFace was trained with up to 4. 1 turns it off."
                    ),
                ),
            ],
            outputs=[
                FlashFaceReferenceType.Output(
                    display_name="reference", tooltip="One person, for Apply FlashFace."
                )
            ],
        )

    @classmethod
    def execute(cls, vae, faces, negative, repeat_to) -> io.NodeOutput:
        from ...flashface_core.flashface import encode

        entries = negative[0]
        if not entries:
            raise ValueError(
                "The negative CONDITIONING is empty. Connect the negative prompt of CLIP Text "
                "Encode, the same one that goes to the sampler."
            )
        if len(negative) > 1 or len(entries) > 1:
            log.warning(
                "Encode Reference Faces: the negative conditioning has several entries; "
                "the first one's tokens are used."
            )
        tokens = entries[0][0]
        return io.NodeOutput(encode.encode_reference(vae[0], faces, tokens, repeat_to[0]))
