"""Runs a MODEL through ComfyUI's own guiders, for tests that compare numbers.

Noise predictions of the network are read from a guider's denoised result, x0 = x - sigma eps, so
that everything between sampler and UNet takes part.
"""

from __future__ import annotations

from typing import Any

import comfy.samplers
import torch
from torch import Tensor


class OneEvaluation(comfy.samplers.Sampler):
    """A sampler that evaluates the model once, at the first sigma, and keeps the result."""

    def sample(
        self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, *args, **kwargs
    ):
        options = {key: extra_args[key] for key in ("model_options", "seed")}
        self.denoised = model_wrap(noise, sigmas[0].expand(noise.shape[0]), **options)
        return self.denoised


def cond(tokens: Tensor, **options: Any) -> list:
    """A CONDITIONING of text tokens (B, T, C)."""
    return [[tokens, options]]


def guider(model, positive: list, negative: list | None, cfg: float) -> comfy.samplers.CFGGuider:
    """ComfyUI's ordinary guider."""
    made = comfy.samplers.CFGGuider(model)
    if negative is None:
        made.inner_set_conds({"positive": positive})
    else:
        made.set_conds(positive, negative)
    made.set_cfg(cfg)
    return made


def sigma_of(model, timestep: float) -> Tensor:
    """The model's sigma of a timestep."""
    return model.get_model_object("model_sampling").sigma(torch.tensor(float(timestep)))


# As ComfyUI runs its nodes: weights that a node brought to a GPU are only good for this.
@torch.inference_mode()
def evaluate(made: comfy.samplers.CFGGuider, x: Tensor, timestep: int, **options: Any) -> Tensor:
    """The guider's noise prediction for network input x (B, 4, h, w) at a timestep."""
    sigma = sigma_of(made.model_patcher, timestep)
    scaled = x * (sigma**2 + 1).sqrt()
    sampler = OneEvaluation()
    sigmas = torch.stack([sigma, torch.zeros(())])
    made.sample(scaled, torch.zeros_like(x), sampler, sigmas, seed=0, **options)
    return (scaled - sampler.denoised.cpu()) / sigma


@torch.inference_mode()
def sampled(
    made: comfy.samplers.CFGGuider, noise: Tensor, steps: int, seed: int = 0, **options: Any
) -> Tensor:
    """What Euler makes of noise (B, 4, h, w) and an empty picture in evenly spaced steps.

    options: of the guider's `sample`, and `scheduler`, the name of another spacing.
    """
    sampling = made.model_patcher.get_model_object("model_sampling")
    scheduler = options.pop("scheduler", "sgm_uniform")
    sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
    euler = comfy.samplers.sampler_object("euler")
    return made.sample(noise, torch.zeros_like(noise), euler, sigmas, seed=seed, **options)
