"""Untrained stand-ins for a ControlNet and a LoRA that fit flashface.py's checkpoint."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from setup.host import PACK

from .flashface import fill, save
from .shapes import Shape, official_shapes

WIDTH = 32  # as in standin.make_flashface
RANK = 4
NARROW = re.compile(r"input_blocks\.[12]\.1\.")
# Of the network that reads the hint: channels from layer to layer.
HINT = ((3, 16), (16, 16), (16, 32), (32, 32), (32, 96), (96, 96), (96, 256))


def controlnet_shapes(width: int = WIDTH) -> dict[str, Shape]:
    """Names and shapes of a ControlNet for SD1.5 in the format of its authors."""
    sys.path.append(str(PACK))  # last: ComfyUI has a module `nodes` too
    from flashface_core.flashface.checkpoint.keys import from_official

    kept = ("unet.time_embed.", "unet.input_blocks.", "unet.middle_block.")
    names = {from_official(name): shape for name, shape in official_shapes(width).items()}
    unet = {name[5:]: shape for name, shape in names.items() if name and name.startswith(kept)}
    # ComfyUI builds one of unknown width with heads of 64 channels: none fits into the first blocks
    unet = {name: shape for name, shape in unet.items() if not NARROW.match(name)}
    unet["input_blocks.0.0.weight"] = (width, 4, 3, 3)  # no region
    last = ("0.weight", "0.op.weight", "0.out_layers.3.weight")  # one of them ends a block
    channels = [
        next(unet[name][0] for end in last if (name := f"input_blocks.{index}.{end}") in unet)
        for index in range(12)
    ]
    found = {f"control_model.{name}": shape for name, shape in unet.items()}
    ends = [(f"zero_convs.{index}.0", n) for index, n in enumerate(channels)]
    ends.append(("middle_block_out.0", channels[-1]))
    for name, n in ends:
        found |= _conv(f"control_model.{name}", n, n, 1)
    for index, (into, out) in enumerate((*HINT, (256, width))):
        found |= _conv(f"control_model.input_hint_block.{2 * index}", out, into, 3)
    return found


def _conv(name: str, out: int, into: int, kernel: int) -> dict[str, Shape]:
    return {f"{name}.weight": (out, into, kernel, kernel), f"{name}.bias": (out,)}


def lora_shapes(width: int = WIDTH, context: int = 768) -> dict[str, Shape]:
    """Names and shapes of a LoRA on the text attention of the first block and on one of CLIP."""
    layers = {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k": (width, context),
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (width, width),
        "lora_te_text_model_encoder_layers_0_self_attn_q_proj": (768, 768),
    }
    found: dict[str, Shape] = {}
    for name, (out, into) in layers.items():
        found |= {f"{name}.lora_up.weight": (out, RANK), f"{name}.lora_down.weight": (RANK, into)}
    return found


def make_controlnet(path: Path, seed: int = 20) -> None:
    """Write an untrained ControlNet."""
    save(fill(controlnet_shapes(), seed), path)


def make_lora(path: Path, seed: int = 21) -> None:
    """Write an untrained LoRA that ComfyUI's LoRA loaders read."""
    save(fill(lora_shapes(), seed), path)
