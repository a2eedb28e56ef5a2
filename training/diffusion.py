"""SD1.5's diffusion: noising, the loss of a noise prediction, and a DDIM sampler for previews.

x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e; the network predicts e. `a` is the cumulative product of
1 - beta, betas rise with their square roots from 0.00085 to 0.012 in 1,000 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

STEPS = 1000


def alphas() -> Tensor:
    """a_t for t = 0..999, (1000,), float32."""
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64)
    return torch.cumprod(1 - roots**2, 0).float()


@lru_cache(8)
def alphas_on(device: torch.device) -> Tensor:
    """`alphas` on a device, brought there once."""
    return alphas().to(device)


def stratified_times(groups: int, random: torch.Generator) -> Tensor:
    """One whole timestep for each group, spread evenly over 0..999 and then shuffled, (G,)."""
    places = torch.arange(groups) + torch.rand(groups, generator=random)
    times = (places * STEPS / groups).long().clamp(max=STEPS - 1)
    return times[torch.randperm(groups, generator=random)]


def add_noise(latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t of latents and noise (B, 4, h, w) at t (B,)."""
    a = alphas_on(latents.device)[t].view(-1, 1, 1, 1)
    return a.sqrt() * latents + (1 - a).sqrt() * noise


def loss_weight(t: Tensor, ceiling: float) -> Tensor:
    """min(snr, ceiling) / snr for noise predictions, (B,); ones for ceiling 0.

    It keeps almost noiseless pictures, whose noise is hard to see, from ruling the loss (min-SNR).
    """
    if ceiling == 0:
        return torch.ones(t.shape, device=t.device)
    a = alphas_on(t.device)[t]
    snr = a / (1 - a)
    return snr.clamp(max=ceiling) / snr


def squared_error(predicted: Tensor, noise: Tensor, inside: Tensor | None, weight: float) -> Tensor:
    """Mean squared error of each sample, (B,).

    inside: (B, 1, h, w), 0..1, where errors count `weight` times as much as elsewhere.
    """
    error = (predicted.to(noise.dtype) - noise).square().mean(1, keepdim=True)
    if inside is None or weight == 1:
        return error.mean((1, 2, 3))
    shares = 1 + (weight - 1) * inside
    return (shares * error).sum((1, 2, 3)) / shares.sum((1, 2, 3))


def even_times(steps: int) -> list[int]:
    """Evenly spaced timesteps from 999 on."""
    return torch.linspace(STEPS - 1, 0, steps + 1).round().long().tolist()[:-1]


@torch.no_grad()
def ddim(
    predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, times: int | Sequence[int]
) -> Tensor:
    """The latents that DDIM makes of noise (B, 4, h, w).

    predict: noise prediction of (x, t), t (B,) float. times: falling timesteps, or the number of
    evenly spaced ones.
    """
    a = alphas().to(noise.device)
    times = even_times(times) if isinstance(times, int) else times
    x = noise
    for now, then in zip(times, [*times[1:], None], strict=True):
        e = predict(x, torch.full((len(x),), float(now), device=x.device)).float()
        clean = (x - (1 - a[now]).sqrt() * e) / a[now].sqrt()
        after = a[then] if then is not None else torch.ones((), device=x.device)
        x = after.sqrt() * clean + (1 - after).sqrt() * e
    return x


def guided(u: Tensor, y: Tensor, r: Tensor | None, cfg: float, c: float) -> Tensor:
    """u + cfg (y - u) + c (r - y): negative prompt, prompt, prompt with references."""
    out = u + cfg * (y - u)
    return out if r is None else out + c * (r - y)
