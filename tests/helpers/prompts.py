"""The shipped basic prompt for a running server, made small, and what comes out of it."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import numpy as np
from host_pack import ROOT
from PIL import Image
from setup.comfy_server import ComfyServer

Prompt = dict[str, Any]

MODELS: dict[str, dict[str, Any]] = {
    "FlashFaceModelLoader": {"model_name": "flashface_standin.safetensors"},
    "CLIPLoader": {"clip_name": "clip_standin.safetensors"},
    "VAELoader": {"vae_name": "vae_standin.safetensors"},
}


def basic_prompt(photo: str, width: int, height: int, steps: int = 2) -> Prompt:
    """The basic prompt with stand-in models and a photo of the server's input folder."""
    size = {"width": width, "height": height}
    file = ROOT / "tests" / "workflows" / "2_new_picture_simplest_api.json"
    return changed(
        json.loads(file.read_text()),
        LoadImage={"image": photo},
        EmptyLatentImage=size,
        FlashFaceRegion=size,
        KSampler={"steps": steps},
        **MODELS,
    )


def changed(prompt: Prompt, **inputs: dict[str, Any]) -> Prompt:
    """A prompt with other inputs for nodes of a class; every class must be there."""
    prompt = copy.deepcopy(prompt)
    for kind, values in inputs.items():
        found = [node for node in prompt.values() if node["class_type"] == kind]
        assert found, f"the prompt has no {kind}"
        for node in found:
            node["inputs"].update(values)
    return prompt


def is_saver(prompt: Prompt, name: str) -> bool:
    """Whether a node saves pictures."""
    return prompt[name]["class_type"] == "SaveImage"


def pictures(server: ComfyServer, entry: dict[str, Any], prompt: Prompt) -> list[np.ndarray]:
    """The pictures that a finished prompt saved, (H, W, 3) uint8 each."""
    saver = next(name for name in prompt if is_saver(prompt, name))
    return [np.asarray(Image.open(io.BytesIO(png))) for png in server.images(entry, saver)]
