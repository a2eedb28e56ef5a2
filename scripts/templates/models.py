"""Stand-in models under the file names that the example workflows ask for."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setup.host import PACK
from standins import control as standin_control
from standins import detector as standin_detector
from standins import face2diffusion as standin_face2diffusion
from standins import flashface as standin

# What workflows/*.json name, as somebody with the real weights has it.
NAMES = {
    "flashface/flashface.safetensors": standin.FLASHFACE,
    "text_encoders/clip_l.safetensors": standin.CLIP,
    "vae/vae-ft-mse-840000-ema-pruned.safetensors": standin.VAE,
}
FACE2DIFFUSION_NAMES = {
    "face2diffusion/msid.pt": standin_face2diffusion.MSID,
    "face2diffusion/mapping.pt": standin_face2diffusion.MAPPING,
    "checkpoints/v1-5-pruned-emaonly-fp16.safetensors": standin_face2diffusion.CHECKPOINT,
}
CONTROLNET = "controlnet/control_v11p_sd15_openpose_fp16.safetensors"
LORA = "loras/sd15_lora.safetensors"
# The pictures that they name, as somebody with photos has them.
PICTURES = (
    *("reference.png", "reference_2.png", "reference_3.png", "person_1.png", "person_2.png"),
    *("photo.png", "avatar.png", "pose.png"),
)


def place_named(models: Path, target: Path) -> None:
    """Put the stand-ins in `models` into the models folder `target` under the real names.

    Those of Face2Diffusion come with them.
    """
    _link(models, target, NAMES)
    _link(standin_face2diffusion.standin_files(), target, FACE2DIFFUSION_NAMES)


def place_detector(target: Path) -> None:
    """Put a stand-in for a face detector with landmarks into the models folder `target`."""
    standin_detector.make_detector(target / standin_detector.YUNET)


def place_control(target: Path) -> None:
    """Put stand-ins for a ControlNet and a LoRA into the models folder `target`."""
    standin_control.make_controlnet(target / CONTROLNET)
    standin_control.make_lora(target / LORA)


def place_person(target: Path) -> None:
    """Save a person of random numbers as "person" into the models folder `target`."""
    sys.path.append(str(PACK))  # last: ComfyUI has a module `nodes` too
    import torch

    from flashface_core.flashface.reference import make_reference
    from flashface_core.flashface.reference_file import save_reference

    draw = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 4, 28, 28, generator=draw)
    folder = target / "flashface_references"
    folder.mkdir(parents=True, exist_ok=True)
    tokens = torch.randn(1, 77, 768, generator=draw)
    save_reference(make_reference(latents, tokens, 4), folder, "person")


def _link(source: Path, target: Path, names: dict[str, str]) -> None:
    for name, own in names.items():
        link = target / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            try:
                link.symlink_to(source / own)
            except OSError:  # Windows, without the right to make links
                shutil.copyfile(source / own, link)
