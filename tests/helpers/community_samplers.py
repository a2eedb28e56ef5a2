"""The basic prompt, sampled by other packs' nodes in the place of core's KSampler."""

from __future__ import annotations

from typing import Any

from community_prompts import node_of
from prompts import Prompt

Node = dict[str, Any]


def _node(kind: str, **inputs: Any) -> Node:
    return {"class_type": kind, "inputs": inputs}


def _instead(prompt: Prompt, made: Prompt, output: tuple[str, int]) -> Prompt:
    """A prompt with other nodes in the place of KSampler, whose links come from `output`."""
    sampler = node_of(prompt, "KSampler")
    rest = {name: node for name, node in prompt.items() if name != sampler}
    for node in rest.values():
        for name, value in node["inputs"].items():
            if value == [sampler, 0]:
                node["inputs"][name] = list(output)
    return {**rest, **made}


def _without(given: Node, *names: str) -> Node:
    return {name: value for name, value in given.items() if name not in names}


def by_guider(prompt: Prompt, kind: str, **more: float) -> Prompt:
    """Sample by a guider node of core or of KJNodes, and SamplerCustomAdvanced."""
    given = prompt[node_of(prompt, "KSampler")]["inputs"]
    prompts = {name: given[name] for name in ("model", "positive", "negative", "cfg")}
    scheduled = {name: given[name] for name in ("model", "scheduler", "steps", "denoise")}
    custom = {
        "noise": ["noise", 0],
        "guider": ["guider", 0],
        "sampler": ["sampler", 0],
        "sigmas": ["sigmas", 0],
        "latent_image": given["latent_image"],
    }
    made = {
        "guider": _node(kind, **prompts, **more),
        "noise": _node("RandomNoise", noise_seed=given["seed"]),
        "sampler": _node("KSamplerSelect", sampler_name=given["sampler_name"]),
        "sigmas": _node("BasicScheduler", **scheduled),
        "custom": _node("SamplerCustomAdvanced", **custom),
    }
    return _instead(prompt, made, ("custom", 0))


def by_kjnodes(prompt: Prompt) -> Prompt:
    """KJNodes: the model through its nodes, a guider whose cfg counts from the start to the end."""
    given = prompt[node_of(prompt, "KSampler")]["inputs"]
    attention = {"sage_attention": "disabled", "allow_compile": False}
    prompt["sage"] = _node("PathchSageAttentionKJ", model=given["model"], **attention)
    prompt["through"] = _node("ModelPassThrough", model=["sage", 0])
    given["model"] = ["through", 0]
    return by_guider(prompt, "ScheduledCFGGuidance", start_percent=0.0, end_percent=1.0)


def by_easy_use(prompt: Prompt) -> Prompt:
    """Easy-Use: everything in a pipe, and its sampler."""
    given = prompt[node_of(prompt, "KSampler")]["inputs"]
    pipe = {
        "model": given["model"],
        "pos": given["positive"],
        "neg": given["negative"],
        "latent": given["latent_image"],
        "vae": [node_of(prompt, "VAELoader"), 0],
        "clip": [node_of(prompt, "CLIPLoader"), 0],
        "image": [node_of(prompt, "LoadImage"), 0],
    }
    settings = _without(given, "model", "positive", "negative", "latent_image")
    hidden = {"image_output": "Hide", "link_id": 0, "save_prefix": "easy"}
    made = {
        "pipe": _node("easy pipeIn", **pipe),
        "settings": _node("easy preSampling", pipe=["pipe", 0], **settings),
        "easy": _node("easy kSampler", pipe=["settings", 0], **hidden),
        "out": _node("easy pipeOut", pipe=["easy", 0]),
    }
    return _instead(prompt, made, ("out", 4))


def by_efficiency(prompt: Prompt) -> Prompt:
    """efficiency-nodes: its KSampler."""
    given = prompt[node_of(prompt, "KSampler")]["inputs"]
    shown = {"preview_method": "none", "vae_decode": "false"}
    made = {"efficient": _node("KSampler (Efficient)", **given, **shown)}
    return _instead(prompt, made, ("efficient", 3))


def by_inspire(prompt: Prompt) -> Prompt:
    """Inspire: its KSampler, with noise as core makes it."""
    given = prompt[node_of(prompt, "KSampler")]["inputs"]
    noise = {"noise_mode": "CPU", "batch_seed_mode": "comfy"}
    variation = {"variation_seed": 0, "variation_strength": 0.0}
    made = {"inspire": _node("KSampler //Inspire", **given, **noise, **variation)}
    return _instead(prompt, made, ("inspire", 0))


def by_rgthree(prompt: Prompt) -> Prompt:
    """rgthree: all of it through a context, the model through a switch and a LoRA loader."""
    sampler = node_of(prompt, "KSampler")
    given = prompt[sampler]["inputs"]
    carried = {name: given[name] for name in ("model", "positive", "negative")}
    clip = [node_of(prompt, "CLIPLoader"), 0]
    made = {
        "context": _node("Context (rgthree)", **carried, latent=given["latent_image"], clip=clip),
        "switch": _node("Any Switch (rgthree)", any_01=["context", 1]),
        "loras": _node("Power Lora Loader (rgthree)", model=["switch", 0], clip=["context", 2]),
    }
    outputs = {"positive": 4, "negative": 5, "latent_image": 6}
    links = {name: ["context", index] for name, index in outputs.items()}
    sampled = _node("KSampler", **{**given, **links, "model": ["loras", 0]})
    return _instead(prompt, {**made, "sampled": sampled}, ("sampled", 0))
