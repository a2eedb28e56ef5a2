"""The frozen base that FaceSnap is trained on: the embedded model's UNet, words and autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flashface_core.demo import folder as demo
from flashface_core.files.weights import open_source

from .. import text
from ..taesd import Autoencoder


@dataclass(frozen=True)
class Base:
    """unet: predicted noise of (x, t, context=, control=). coder: unit latents and pictures."""

    unet: Any
    words: text.Words
    coder: Autoencoder

    def to(self, device: str) -> Base:
        """All of it on a device, frozen."""
        for part in (self.unet, self.words, self.coder):
            part.to(device).eval().requires_grad_(False)
        return self


def load_base(folder: Path | None = None) -> Base:
    """The base of a demo's folder, the pack's own where none is named; call `host.enter` before."""
    from flashface_core.flashface.checkpoint.layout import Sizes

    from .. import graph

    folder = folder or demo.demo_folder()
    about = demo.read_manifest(folder)["network"]
    tensors = read_weights(demo.file_of(folder, demo.PLAIN))
    unet = {n.removeprefix("unet."): t for n, t in tensors.items() if n.startswith("unet.")}
    net = graph.build_unet(Sizes(about["width"], text.WIDTH, tuple(about["multipliers"])))
    net.load_state_dict(unet)
    words = read_weights(demo.file_of(folder, demo.WORDS))
    known = text.Words(words["ids"].long().tolist())
    known.rows.data.copy_(words["rows"])
    return Base(net, known, _coder(demo.file_of(folder, demo.AUTOENCODER)))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of the demo, floats in fp32."""
    source = open_source(path)
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in source.load(list(source.shapes)).items()
    }


def _coder(path: Path) -> Autoencoder:
    tensors = read_weights(path)
    net = Autoencoder(half_blocks=3)
    for part, layers in (("encoder", net.encoder), ("decoder", net.decoder)):
        layers.load_state_dict({n: tensors[f"taesd_{part}.{n}"] for n in layers.state_dict()})
    return net


def build_ffrnet(unet: nn.Module) -> Any:
    """A ControlNet of a UNet: its encoder copied, what it adds zero."""
    import comfy.cldm.cldm
    import comfy.model_detection
    import comfy.ops
    import comfy.supported_models
    import comfy.supported_models_base

    from .. import graph

    state = unet.state_dict()
    found = comfy.model_detection.detect_unet_config(dict(state), "")
    # As core's loader of ControlNets sees it: at small widths it is of no known kind.
    known = comfy.supported_models.SD15
    kind = known if known.matches(found) else comfy.supported_models_base.BASE
    config = {n: v for n, v in kind(found).unet_config.items() if n != "out_channels"}
    net: Any = comfy.cldm.cldm.ControlNet(
        **config, hint_channels=3, device="cpu", operations=comfy.ops.disable_weight_init
    )
    graph.initialise(net)
    own = net.state_dict()
    net.load_state_dict(own | {name: state[name] for name in own if name in state})
    for part in (*net.zero_convs, net.middle_block_out, net.input_hint_block[-1:]):
        for parameter in part.parameters():
            nn.init.zeros_(parameter)
    return net


@torch.no_grad()
def encoded(base: Base, pictures: Tensor, device: str) -> Tensor:
    """Unit latents (N, 4, S / 8, S / 8) of pictures (N, S, S, 3) uint8, on the device."""
    parts = [
        base.coder.encode(part.to(device).permute(0, 3, 1, 2).float() / 255)
        for part in pictures.split(64)
    ]
    return torch.cat(parts)
