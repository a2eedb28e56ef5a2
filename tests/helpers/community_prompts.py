"""Prompts and tiny files for other packs' nodes, around the shipped basic prompt."""

from __future__ import annotations

from pathlib import Path

import torch
from composition import random
from core_nodes import t2i_adapter_network
from prompts import Prompt
from safetensors.torch import save_file

LAYERS = [32, 32, 64, 64, 128, 128, 128, 128, 128, 64, 64, 64, 32, 32, 32, 128]
"""Channels of the stand-in UNet's text attention layers: encoder, decoder, middle."""


def place_files(base: Path) -> None:
    """Write an IPAdapter of random weights, its image embeddings, and a T2I-Adapter."""
    weights = {
        "image_proj.proj.weight": random(4 * 768, 32, seed=120) * 0.2,
        "image_proj.proj.bias": torch.zeros(4 * 768),
        "image_proj.norm.weight": torch.ones(768),
        "image_proj.norm.bias": torch.zeros(768),
    }
    for index, width in enumerate(LAYERS):
        for seed, name in enumerate("kv"):
            made = random(width, 768, seed=130 + 2 * index + seed)
            weights[f"ip_adapter.{2 * index + 1}.to_{name}_ip.weight"] = made * 0.05
    for folder in ("ipadapter", "controlnet"):
        (base / "models" / folder).mkdir(parents=True, exist_ok=True)
    save_file(weights, base / "models" / "ipadapter" / "tiny.safetensors")
    for name, seed in (("positive", 121), ("negative", 122)):
        torch.save(random(1, 32, seed=seed), base / "input" / f"{name}.ipadpt")
    adapter = t2i_adapter_network([32, 64, 128, 128], seed=42)
    save_file(adapter.state_dict(), base / "models" / "controlnet" / "t2i.safetensors")


def node_of(prompt: Prompt, kind: str) -> str:
    """The id of the only node of a class."""
    (found,) = (name for name, node in prompt.items() if node["class_type"] == kind)
    return found


def with_guidance(prompt: Prompt) -> Prompt:
    """Put FlashFace Guidance before the sampler."""
    sampler = prompt[node_of(prompt, "KSampler")]["inputs"]
    guidance = {"reference_guidance": 3.2, "launch_percent": 0.25, "rescale": 0.5}
    guidance |= {"strength_before_launch": 0.85, "model": sampler["model"]}
    prompt["guidance"] = {"class_type": "FlashFaceGuidance", "inputs": guidance}
    sampler["model"] = ["guidance", 0]
    return prompt


def with_ipadapter(prompt: Prompt, order: str, strength: float = 1.2) -> Prompt:
    """Put IPAdapterEmbeds on the model, before Apply FlashFace ("fA") or last ("Af")."""
    apply = node_of(prompt, "FlashFaceApply")
    after = apply if order == "fA" else node_of(prompt, "KSampler")
    prompt[apply]["inputs"]["strength"] = strength
    prompt["adapter"] = {
        "class_type": "IPAdapterModelLoader",
        "inputs": {"ipadapter_file": "tiny.safetensors"},
    }
    for name in ("positive", "negative"):
        embeds = {"embeds": f"{name}.ipadpt"}
        prompt[name] = {"class_type": "IPAdapterLoadEmbeds", "inputs": embeds}
    prompt["ipadapter"] = {
        "class_type": "IPAdapterEmbeds",
        "inputs": {
            "model": prompt[after]["inputs"]["model"],
            "ipadapter": ["adapter", 0],
            "pos_embed": ["positive", 0],
            "neg_embed": ["negative", 0],
            "weight": 0.8,
            "weight_type": "linear",
            "start_at": 0.0,
            "end_at": 1.0,
            "embeds_scaling": "V only",
        },
    }
    prompt[after]["inputs"]["model"] = ["ipadapter", 0]
    return prompt


def with_control(prompt: Prompt, advanced: bool) -> Prompt:
    """Put a T2I-Adapter on both prompts, through the pack's nodes or core's."""
    sampler = prompt[node_of(prompt, "KSampler")]["inputs"]
    kinds = ("ACN_ControlNetLoaderAdvanced", "cnet", "ACN_AdvancedControlNetApply_v2")
    if not advanced:
        kinds = ("ControlNetLoader", "control_net_name", "ControlNetApplyAdvanced")
    loader, name, apply = kinds
    prompt["control"] = {"class_type": loader, "inputs": {name: "t2i.safetensors"}}
    prompt["controlled"] = {
        "class_type": apply,
        "inputs": {
            "positive": sampler["positive"],
            "negative": sampler["negative"],
            "control_net": ["control", 0],
            "image": [node_of(prompt, "LoadImage"), 0],
            "strength": 0.8,
            "start_percent": 0.0,
            "end_percent": 1.0,
        },
    }
    sampler.update(positive=["controlled", 0], negative=["controlled", 1])
    return prompt


def with_detailer(prompt: Prompt, model: str) -> Prompt:
    """Refine the place of the face region with Impact Pack's detailer and this node's MODEL."""
    sampler = prompt[node_of(prompt, "KSampler")]["inputs"]
    region = node_of(prompt, "FlashFaceRegion")
    prompt["segs"] = {
        "class_type": "MaskToSEGS",
        "inputs": {
            "mask": [region, 0],
            "combined": True,
            "crop_factor": 1.5,
            "bbox_fill": True,
            "drop_size": 1,
            "contour_fill": False,
        },
    }
    prompt["detailer"] = {
        "class_type": "DetailerForEach",
        "inputs": {
            "image": [node_of(prompt, "VAEDecode"), 0],
            "segs": ["segs", 0],
            "model": [model, 0],
            "clip": [node_of(prompt, "CLIPLoader"), 0],
            "vae": [node_of(prompt, "VAELoader"), 0],
            "positive": sampler["positive"],
            "negative": sampler["negative"],
            **{"guide_size": 128, "guide_size_for": True, "max_size": 128, "seed": 3, "steps": 2},
            **{"cfg": 5.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 0.6},
            **{"feather": 0, "noise_mask": True, "force_inpaint": True, "wildcard": ""},
            "cycle": 1,
        },
    }
    prompt[node_of(prompt, "SaveImage")]["inputs"]["images"] = ["detailer", 0]
    return prompt
