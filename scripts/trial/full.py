"""The guided workflow with the authors' weights, or with stand-ins of random numbers."""

from __future__ import annotations

from standins.weights import Weights

from .graph import Prompt, nodes_of, read, set_inputs

STANDIN_STEPS, STANDIN_SIZE = 4, 512


def guided(found: Weights, image: str, text: str | None, steps: int | None) -> Prompt:
    """The workflow with models, photo, prompt text and step count in it."""
    prompt = read("2_new_picture_of_a_person")
    set_inputs(prompt, "FlashFaceModelLoader", model_name=found.flashface)
    set_inputs(prompt, "CLIPLoader", clip_name=found.clip, type="stable_diffusion")
    set_inputs(prompt, "VAELoader", vae_name=found.vae)
    set_inputs(prompt, "LoadImage", image=image)
    if not found.real:
        steps = steps or STANDIN_STEPS
        for kind in ("EmptyLatentImage", "FlashFaceRegion"):
            set_inputs(prompt, kind, width=STANDIN_SIZE, height=STANDIN_SIZE)
    if steps is not None:
        set_inputs(prompt, "KSampler", steps=steps)
    if text is not None:
        sampler = prompt[nodes_of(prompt, "KSampler")[0]]
        prompt[sampler["inputs"]["positive"][0]]["inputs"]["text"] = text
    return prompt
