"""The same pictures through what the nodes call: ModelPatchers, ComfyUI's guider and sampler."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .. import text
from ..config import Evaluate
from ..taesd import LATENT_SCALE
from .conditions import Condition
from .painter import Sitters


@torch.no_grad()
def latents_through_nodes(
    file: Path, words: text.Words | text.Clip, sitters: Sitters, condition: Condition, own: Evaluate
) -> Tensor:
    """The latents (P, 4, h, w) of one condition, one picture after another, in fp32.

    file: the exported network, as Load FlashFace Model reads it.
    """
    import comfy.samplers

    from flashface_core.flashface.guidance import Guidance, trailing_timesteps
    from flashface_core.flashface.model import load_flashface
    from flashface_core.flashface.patch import apply_reference, set_guidance
    from flashface_core.flashface.patch.state import AppliedReference
    from flashface_core.flashface.reference import make_reference

    model, adapter = load_flashface(str(file), torch.float32)
    sampling = model.get_model_object("model_sampling")
    times = trailing_timesteps(own.steps)
    sigmas = torch.tensor([*(float(sampling.sigma(torch.tensor(t))) for t in times), 0.0])
    device = next(iter(words.buffers()), torch.zeros(())).device
    empty, *contexts = words(
        torch.tensor(
            [text.tokenize(t) for t in ("", *sitters.prompts[condition.prompt])], device=device
        )
    ).cpu()
    found = []
    for person, context in enumerate(contexts):
        # Without references one stands there all the same, at strength 0: N = 0 is FlashFace's own.
        faces = sitters.faces[person, : max(condition.references, 1)]
        reference = make_reference(faces, empty[None], own.repeat_to)
        strength = condition.strength if condition.references else 0.0
        region = sitters.region[person] * float(condition.region)
        patched = apply_reference(
            model, adapter, AppliedReference(reference, strength, region=region)
        )
        patched = set_guidance(patched, Guidance(condition.schedule(), own.rescale))
        guider = comfy.samplers.CFGGuider(patched)
        guider.set_conds([[context[None], {}]], [[empty[None], {}]])
        guider.set_cfg(own.cfg)
        noise = sitters.noise[person : person + 1]
        sampler = comfy.samplers.sampler_object("euler")
        made = guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True)
        found.append(made.cpu() * LATENT_SCALE)
    return torch.cat(found)


def largest_difference(painted: Sequence[Tensor], through: Sequence[Tensor]) -> float:
    """Of latents; both lists have the same shapes."""
    return max(float((a - b).abs().max()) for a, b in zip(painted, through, strict=True))
