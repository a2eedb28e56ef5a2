"""Names of FlashFace's weights: the official checkpoint's, and the ones used here.

The official file lists every main-UNet block twice (`encoder` and `ori_encoder` are one module, and
so on; `load_state_dict` reads the `ori_*` names last, so those count) and carries a `ref_middle`
that its code never runs. What is left is renamed to the usual Stable Diffusion names:

    unet.*                       the fine-tuned SD1.5 UNet (4 input channels)
    referencenet.*               the Face ReferenceNet's encoder and decoder
    reference_attention.BLOCK.*  to_q, to_k, to_v, to_out.0 of the extra attention layers
    mask_conv.weight             the fifth input channel of the UNet's first convolution
"""

from __future__ import annotations

import re

MASK_CONV = "mask_conv.weight"
FIRST_CONV = "unet.input_blocks.0.0.weight"
OFFICIAL_FIRST_CONV = "ori_encoder.0.weight"

_PARTS = {
    "ori_encoder": "unet.input_blocks",
    "ori_middle": "unet.middle_block",
    "ori_decoder": "unet.output_blocks",
    "ref_encoder": "referencenet.input_blocks",
    "ref_decoder": "referencenet.output_blocks",
    "time_embedding": "unet.time_embed",
    "head": "unet.out",
}
_DROPPED = ("encoder", "middle", "decoder", "ref_middle")

_RENAMES = (
    (r"\.layer1\.", ".in_layers."),
    (r"\.embedding\.1\.", ".emb_layers.1."),
    (r"\.layer2\.", ".out_layers."),
    (r"\.shortcut\.", ".skip_connection."),
    (r"(?<!blocks\.0)\.norm1\.", ".norm."),
    (r"\.conv1\.", ".proj_in."),
    (r"\.conv2\.", ".proj_out."),
    (r"\.self_attn\.([qkv])\.", r".attn1.to_\1."),
    (r"\.self_attn\.o\.", ".attn1.to_out.0."),
    (r"\.cross_attn\.([qkv])\.", r".attn2.to_\1."),
    (r"\.cross_attn\.o\.", ".attn2.to_out.0."),
    (r"\.ffn\.0\.proj\.", ".ff.net.0.proj."),
    (r"\.ffn\.2\.", ".ff.net.2."),
    (r"(?<!transformer_)blocks\.0\.", "transformer_blocks.0."),
)


def from_official(name: str) -> str | None:
    """Our name of an official entry, or None for one that is not needed.

    >>> from_official("ori_middle.1.blocks.0.self_attn.self_attn_first.o.bias")
    'reference_attention.middle_block.1.to_out.0.bias'

    Raises KeyError for a name that the official checkpoint does not have.
    """
    part, _, rest = name.partition(".")
    if part in _DROPPED:
        return None
    prefix = _PARTS[part]
    if ".self_attn_first." in rest:
        return _reference_attention_name(prefix, rest)
    if prefix.endswith("input_blocks") and rest.count(".") == 1:  # convolutions without a wrapper
        block, leaf = rest.split(".")
        return f"{prefix}.{block}.0.{leaf}" if block == "0" else f"{prefix}.{block}.0.op.{leaf}"
    if prefix.endswith("output_blocks"):
        upsampler = re.fullmatch(r"(\d+\.\d+)\.1\.(weight|bias)", rest)
        if upsampler:
            return f"{prefix}.{upsampler[1]}.conv.{upsampler[2]}"
    rest = "." + rest
    # Block-level norm1 is renamed before `blocks.0` moves, while the look-behind can tell them
    # apart.
    for pattern, replacement in _RENAMES:
        rest = re.sub(pattern, replacement, rest)
    return prefix + rest


def _reference_attention_name(prefix: str, rest: str) -> str:
    block, _, leaf = rest.partition(".blocks.0.self_attn.self_attn_first.")
    projection, _, kind = leaf.partition(".")
    target = "to_out.0" if projection == "o" else f"to_{projection}"
    return f"reference_attention.{prefix.removeprefix('unet.')}.{block}.{target}.{kind}"
