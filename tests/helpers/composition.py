"""What FlashFace Guidance promises beside any patch or guider f of ComfyUI, as a formula.

    after launch    R(b + c (r - y))        before launch   R(b)

b is what f makes of the model at strength 0 (before launch: at the strength before launch), through
the unmodified guider. y and r are the positive prompt alone, under f's network patches, at strength
0 and at strength s. R is the rescale towards std(y), of noise predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from comfy.samplers import CFGGuider
from sampling import cond, sigma_of
from torch import Tensor

STRENGTH, BEFORE, REFERENCE_GUIDANCE, RESCALE = 1.2, 0.85, 3.2, 0.5
LAUNCH, EARLY, LATE = 0.25, 900, 500
"""The launch as a percent; a timestep before it and one after it."""

ORDERS = ["".join(order) for order in permutations("fAG")]
"""All orders of a patch f, Apply and Guidance on a model."""

Patch = Callable[[ModelPatcher], ModelPatcher]
MakeGuider = Callable[[ModelPatcher], CFGGuider]


def random(*shape: int, seed: int) -> Tensor:
    """Standard normal numbers of a seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PROMPT, NEGATIVE, OTHER, EMPTY = (random(1, 77, 64, seed=seed) for seed in range(4))
NOISE = random(1, 4, 16, 16, seed=10)


@dataclass
class Setting:
    """A tiny FlashFace, a reference, and the pack's own nodes to put them on a model.

    options: optional inputs of Apply FlashFace.
    """

    model: ModelPatcher
    flashface: Any
    reference: Any
    pack: dict[str, type]
    run_node: Callable[..., tuple]
    options: dict[str, Any] = field(default_factory=dict)

    def apply(self, model: ModelPatcher, strength: float = STRENGTH) -> ModelPatcher:
        """The model through Apply FlashFace."""
        given = {"flashface": self.flashface, "reference": self.reference, **self.options}
        node = self.pack["FlashFaceApply"]
        return self.run_node(node, model=model, strength=strength, **given)[0]

    def guide(self, model: ModelPatcher, **options: Any) -> ModelPatcher:
        """The model through FlashFace Guidance."""
        given = {
            "reference_guidance": REFERENCE_GUIDANCE,
            "launch_percent": LAUNCH,
            "strength_before_launch": BEFORE,
            "rescale": RESCALE,
            **options,
        }
        return self.run_node(self.pack["FlashFaceGuidance"], model=model, **given)[0]

    def guided(self, patch: Patch, order: str = "AGf") -> ModelPatcher:
        """The model through Apply, Guidance and a patch, in an order such as "fAG"."""
        model = self.model
        for step in order:
            model = {"f": patch, "A": self.apply, "G": self.guide}[step](model)
        return model


@dataclass
class Points:
    """Where a model is evaluated: noisy latents, one for each sigma, in one sampling."""

    sigmas: list[Tensor]
    latents: list[Tensor]


def points(setting: Setting, timesteps: Iterable[int], noise: Tensor = NOISE) -> Points:
    """Evaluations of some noise at timesteps."""
    sigmas = [sigma_of(setting.model, timestep) for timestep in timesteps]
    return Points(sigmas, [noise * (sigma**2 + 1).sqrt() for sigma in sigmas])


class Replay(comfy.samplers.Sampler):
    """A sampler that evaluates given latents and keeps the noise predictions."""

    def __init__(self, latents: Sequence[Tensor]):
        self.latents, self.found = latents, []

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *args, **kwargs):
        torch.manual_seed(0)  # HyperTile and ToMe draw numbers in every call
        options = {"model_options": extra_args["model_options"], "seed": 0}
        for x, sigma in zip(self.latents, sigmas[:-1], strict=True):
            denoised = model_wrap(
                x.to(sigma.device, copy=True), sigma.expand(x.shape[0]), **options
            )
            self.found.append((x - denoised.cpu()) / sigma.cpu())
        return noise


class PositiveAlone(CFGGuider):
    """A guider that asks for the positive prompt and gives it as it is."""

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
        positive = self.conds["positive"]
        return comfy.samplers.calc_cond_batch(
            self.inner_model, [positive], x, timestep, model_options
        )[0]


def alone(made: CFGGuider) -> PositiveAlone:
    """A guider for the positive prompt of another guider."""
    guider = PositiveAlone(made.model_patcher)
    guider.original_conds = made.original_conds
    return guider


def noise_predictions(made: CFGGuider, at: Points) -> Tensor:
    """A guider's noise predictions, (points, B, 4, h, w)."""
    sampler, noise = Replay(at.latents), at.latents[0]
    sigmas = torch.stack([*at.sigmas, torch.zeros(())])
    made.sample(noise, torch.zeros_like(noise), sampler, sigmas, seed=0)
    return torch.stack(sampler.found)


def rescaled(out: Tensor, y: Tensor, phi: float = RESCALE) -> Tensor:
    """R(out), in float64; (points, B, 4, h, w)."""
    out, y = out.double(), y.double()
    std_y, std_out = (t.flatten(2).std(dim=2)[..., None, None, None] for t in (y, out))
    return out * (phi * std_y / std_out + 1 - phi)


def promised(setting: Setting, patch: Patch, guider: MakeGuider, at: Points) -> Tensor:
    """What the formula says for points that lie all before or all after the launch."""

    def run(strength: float, wrap: Callable[[CFGGuider], CFGGuider] = lambda made: made) -> Tensor:
        made = guider(patch(setting.apply(setting.model, strength)))
        return noise_predictions(wrap(made), at)

    sampling: Any = setting.model.get_model_object("model_sampling")
    launch = sampling.percent_to_sigma(LAUNCH)
    if min(at.sigmas) > launch:
        return rescaled(run(BEFORE), run(BEFORE, alone))
    assert max(at.sigmas) <= launch
    y = run(0.0, alone)
    return rescaled(run(0.0) + REFERENCE_GUIDANCE * (run(STRENGTH, alone) - y), y)


def worst_error(
    setting: Setting,
    patch: Patch,
    guider: MakeGuider,
    at: Points,
    orders: Sequence[str] = ORDERS,
) -> float:
    """The guided model's largest error against the formula, over orders of the nodes."""
    expected = promised(setting, patch, guider, at)
    scale = expected.abs().max()
    errors = [
        noise_predictions(guider(setting.guided(patch, order)), at) - expected for order in orders
    ]
    return max(float(error.abs().max() / scale) for error in errors)


def unchanged(model: ModelPatcher) -> ModelPatcher:
    """The model: the patch that does nothing."""
    return model


def cfg_guider(
    model: ModelPatcher, cfg: float = 7.5, positive: list | None = None, negative=None
) -> CFGGuider:
    """ComfyUI's ordinary guider."""
    made = CFGGuider(model)
    made.set_conds(positive or cond(PROMPT), negative or cond(NEGATIVE))
    made.set_cfg(cfg)
    return made
