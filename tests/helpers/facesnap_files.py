"""Small FaceSnap models with random weights, and a small FlashFace that they fit.

64 channels at every level: the least that ComfyUI's loader of ControlNets takes at unusual sizes.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import comfy.cldm.cldm
import comfy.ops
import torch
from core_nodes import fill, tiny_controlnet
from safetensors.torch import save_file
from torch import Tensor

from flashface_core.facesnap.encoder import FaceEncoder
from flashface_core.facesnap.mixer import Mixer
from flashface_core.facesnap.weights import metadata
from flashface_core.flashface.checkpoint.layout import Sizes, expected_shapes

WIDTH, TEXT, LEVELS = 64, 64, (1, 1, 1, 1)
FACE, TOKENS = 128, 8
CONFIG: dict[str, Any] = {
    "base": "small",
    "text_width": TEXT,
    "face_encoder": {"name": "facesnap-small", "width": FACE, "fingerprint": ""},
    "image_encoder": {"name": "facesnap-small-map", "width": FACE, "tokens": 49},
    "landmarks": "72.1",
    "drawing": 1,
    "data": "random numbers",
    "steps": 0,
    "licence": "none",
}
ARCFACE = {"name": "arcface-512", "width": 512, "fingerprint": ""}
CLIP = {"name": "clip-vit-h-14", "width": 96, "tokens": 257}


def write_base(file: Path) -> None:
    """Write a FlashFace checkpoint of 64 channels and text width 64, in the compact format."""
    goldens: Any = importlib.import_module("goldens")  # of tests/parity
    shapes = expected_shapes(Sizes(WIDTH, TEXT, LEVELS))
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: goldens.weight(name, shape, 4000) for name, shape in shapes.items()}
    save_file(tensors, file, {"flashface_format": "1"})


def model_tensors(
    control: torch.nn.Module, face: int = FACE, image: int = FACE, text: int = TEXT, seed: int = 50
) -> dict[str, Tensor]:
    """Random tensors of a FaceSnap model. face, image: widths of what the mixer reads.

    With the small face encoder where both are its own.
    """
    parts: dict[str, torch.nn.Module] = {"mixer": Mixer(face, image, 64, TOKENS, 2, text)}
    if (face, image) == (FACE, FACE):
        parts["face"] = FaceEncoder(8)
    for number, net in enumerate(parts.values()):
        fill(net, seed + number)
        for module in net.modules():
            if isinstance(module, torch.nn.LayerNorm | torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                module.weight.data += 1  # norms that keep what goes through them
    return {
        f"{part}.{name}": tensor.contiguous()
        for part, net in {**parts, "control": control}.items()
        for name, tensor in net.state_dict().items()
    }


def controlnet_for(model: Any, seed: int = 52) -> torch.nn.Module:
    """The network of a ControlNet with random weights for a MODEL."""
    return tiny_controlnet(model, seed).control_model


def least_controlnet(seed: int = 52) -> torch.nn.Module:
    """The network of the smallest ControlNet that ComfyUI's loader takes; fits no MODEL."""
    network = comfy.cldm.cldm.ControlNet(
        image_size=32,
        in_channels=4,
        model_channels=64,
        hint_channels=3,
        num_res_blocks=[1],
        channel_mult=[1],
        transformer_depth=[1],
        transformer_depth_middle=1,
        context_dim=TEXT,
        num_head_channels=64,
        use_spatial_transformer=True,
        operations=comfy.ops.disable_weight_init,
    )
    fill(network, seed)
    return network


def write_model(file: Path, tensors: dict[str, Tensor], **changes: Any) -> Path:
    """Write a FaceSnap model. changes: of its config."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, metadata({**CONFIG, **changes}))
    return file


def random_identity(model: Any, seed: int = 60, photos: int = 1) -> Any:
    """A person of random numbers, for a loaded model."""
    room = importlib.import_module(type(model.encoders).__module__)
    generator = torch.Generator().manual_seed(seed)
    face, image = model.config.face, model.config.image
    embeddings = torch.randn(photos, face.width, generator=generator)
    maps = torch.randn(photos, image.tokens, image.width, generator=generator)
    crops = torch.randint(256, (photos, 112, 112, 3), generator=generator, dtype=torch.uint8)
    return room.make_identity(model.encoders, embeddings, maps, crops)


def dots(seed: int = 70, count: int = 1, side: int = 128) -> Tensor:
    """(count, side, side, 3): coloured dots on black."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(count, side, side, 3)
    for image in picture:
        for x, y in torch.randint(8, side - 8, (72, 2), generator=generator).tolist():
            image[y - 1 : y + 2, x - 1 : x + 2] = torch.rand(3, generator=generator)
    return picture
