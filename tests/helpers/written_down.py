"""FlashFace written down a second time, to compare with: none of the pack's patches is in it.

Forward hooks of torch on the UNet's own modules add the reference term, and one function of
ComfyUI's after cfg does the guidance. What another node X makes of such a model is what
X has to make of a model with Apply FlashFace and FlashFace Guidance, in every order of the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple
from uuid import uuid4

import comfy.samplers
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from composition import (
    BEFORE,
    LAUNCH,
    NEGATIVE,
    PROMPT,
    REFERENCE_GUIDANCE,
    RESCALE,
    STRENGTH,
    Patch,
    Setting,
    unchanged,
)
from core_nodes import run_core
from host_pack import pack_module
from sampling import cond
from torch import Tensor

HEADS = 8
STEPS = 3
"""Timesteps 999, 666 and 333 of sgm_uniform: one before the launch at 749.25, two after."""

MATTERS = 1e-3
"""What a patch or a conditioning changes, at least, relative to the largest value."""

Sample = Callable[[ModelPatcher], Tensor]

GUIDED_ORDERS = ("fAG", "AGf", "GfA")
"""X before, after and between Apply and Guidance; each of the two first once."""


def ksampler(model: ModelPatcher, **options: Any) -> Tensor:
    """What the node KSampler makes of a model, (B, 4, h, w)."""
    given = {
        "seed": 5,
        "steps": STEPS,
        "cfg": 7.5,
        "sampler_name": "euler",
        "scheduler": "sgm_uniform",
        "positive": cond(PROMPT),
        "negative": cond(NEGATIVE),
        "latent_image": {"samples": torch.zeros(1, 4, 16, 16)},
    }
    return run_core("KSampler", model=model, **{**given, **options})["samples"]


class Layer(NamedTuple):
    """One block's reference attention as the checkpoint has it."""

    to_q: Tensor
    to_k: Tensor
    to_v: Tensor
    out: Tensor
    bias: Tensor

    def __call__(self, y: Tensor, tokens: Tensor) -> Tensor:
        """Attention of y (B, L, C) to tokens (B, T, C), (B, L, C)."""
        q, k, v = (
            (x @ weight.to(x.device).T).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for x, weight in ((y, self.to_q), (tokens, self.to_k), (tokens, self.to_v))
        )
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        out, bias = self.out.to(y.device), self.bias.to(y.device)
        return (weights @ v).transpose(1, 2).flatten(2) @ out.T + bias


@cache
def layers(file: str) -> dict[str, Layer]:
    """A checkpoint's reference attention by block."""
    checkpoint = pack_module("flashface_core.flashface.checkpoint").open_checkpoint(file)
    found = dict(checkpoint.tensors())
    blocks = {name.split(".to_")[0] for name in found if name.startswith("reference_attention.")}
    ends = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
    return {
        block.removeprefix("reference_attention."): Layer(
            *(found[f"{block}.{end}"].float() for end in ends)
        )
        for block in blocks
    }


@cache
def referencenet(file: str) -> ModelPatcher:
    """A ReferenceNet that shares no memory with the UNet, whatever becomes of that."""
    _, flashface = pack_module("flashface_core.flashface.model").load_flashface(file, torch.float32)
    return flashface.referencenet


class WrittenDown:
    """A setting's FlashFace as hooks on a UNet's modules.

    guided: with guidance as `Setting.guide` sets it. strength: of the references. company: y and r
    are not the positive prompt alone, but beside the negative one, which some patches look at.
    """

    def __init__(
        self,
        setting: Setting,
        guided: bool,
        strength: float = STRENGTH,
        company: bool = False,
    ):
        self.setting, self.guided, self.strength = setting, guided, strength
        self.company = company
        self.file = folder_paths.get_full_path_or_raise("flashface", setting.flashface.name)
        self.layers = layers(self.file)
        self.twin, self.timestep = False, 0.0
        self._features: dict[int, dict[str, Tensor]] = {}
        self._y: dict[str, Tensor] = {}

    @contextmanager
    def on(self, unet: Any) -> Iterator[None]:
        """Hook into a UNet for a while."""
        hooks = [unet.register_forward_pre_hook(self._begin)]
        for block in self.layers:
            inner = unet.get_submodule(block).transformer_blocks[0]
            hooks.append(inner.norm1.register_forward_hook(self._keeper(block)))
            hooks.append(inner.norm2.register_forward_pre_hook(self._adder(block)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def guide(self, model: ModelPatcher) -> ModelPatcher:
        """A model whose last function after cfg is the guidance."""
        clone = model.clone()
        clone.set_model_sampler_post_cfg_function(self._finish)
        return clone

    def _begin(self, unet: Any, given: tuple) -> None:
        self.timestep = float(given[1][0])

    def _keeper(self, block: str):
        def keep(module: Any, given: tuple, y: Tensor) -> None:
            self._y[block] = y.clone()

        return keep

    def _adder(self, block: str):
        def add(module: Any, given: tuple) -> None:
            given[0].add_(self._term(block, self._y.pop(block)))  # the block goes on with it

        return add

    def _term(self, block: str, y: Tensor) -> Tensor:
        layer, base = self.layers[block], self.layers[block](y, y)
        strength = self._strength_now()
        if strength == 0:
            return base
        tokens = self._tokens()[block].to(y.device).expand(y.shape[0], -1, -1)
        term = base + strength * (layer(y, torch.cat([y, tokens], dim=1)) - base)
        if self.twin and self.company:  # core puts the negative prompt first
            term[: len(y) // 2] = base[: len(y) // 2]
        return term

    def _strength_now(self) -> float:
        if not self.guided or self.twin:
            return self.strength
        return 0.0 if self._launched(self.timestep) else BEFORE * bool(self.strength)

    @staticmethod
    def _launched(timestep: float) -> bool:
        return timestep <= (1 - LAUNCH) * 999

    def _tokens(self) -> dict[str, Tensor]:
        """Tokens by block, (1, N * L, C), with as many copies of each face as count."""
        timestep = round(self.timestep)
        if timestep not in self._features:
            (identity,) = self.setting.reference.identities
            compute = pack_module("flashface_core.flashface.referencenet").compute
            network = referencenet(self.file)
            _, found = next(compute(network, identity, [timestep], len(identity.latents)))
            copies = round(torch.tensor(identity.log_weights[0]).exp().item())
            self._features[timestep] = {
                name: tokens.float().flatten(0, 1).repeat(copies, 1)[None]
                for name, tokens in found.items()
            }
        return self._features[timestep]

    def _finish(self, args: dict[str, Any]) -> Tensor:
        x, out = args["input"], args["denoised"]
        y = self._positive(args)
        if self._launched(self.timestep):
            self.twin = True
            try:
                out = out + REFERENCE_GUIDANCE * (self._positive(args) - y)
            finally:
                self.twin = False
        a, b = x - y, x - out
        dims = tuple(range(1, x.ndim))
        ratio = a.std(dims, keepdim=True) / b.std(dims, keepdim=True)
        return x - b * (RESCALE * ratio + 1 - RESCALE)

    def _positive(self, args: dict[str, Any]) -> Tensor:
        """The positive prompt, under names of its own."""
        sides = [args["cond"], args["uncond"]] if self.company else [args["cond"]]
        entries = [[{**entry, "uuid": uuid4()} for entry in side] for side in sides]
        given = args["model"], entries, args["input"], args["sigma"], args["model_options"]
        return comfy.samplers.calc_cond_batch(*given)[0]


def written(
    setting: Setting,
    patch: Patch,
    sample: Sample,
    guided: bool,
    strength: float = STRENGTH,
    company: bool = False,
) -> Tensor:
    """What is sampled with a patch and FlashFace written down."""
    model = patch(setting.model)
    second = WrittenDown(setting, guided, strength, company)
    with second.on(model.model.diffusion_model):
        return sample(second.guide(model) if guided else model)


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest expected value."""
    assert found.shape == expected.shape and expected.isfinite().all()
    return float((found.double() - expected.double()).abs().max() / expected.abs().max())


def with_flashface(
    setting: Setting,
    patch: Patch = unchanged,
    sample: Sample = ksampler,
    orders: Sequence[str] = ("fA", "Af"),
    unlike: Tensor | None = None,
    company: bool = False,
) -> float:
    """The largest error of sampling with Apply, and Guidance, and a patch f.

    orders: of the patch f, Apply and Guidance on the model; those with a G are guided.
    unlike: what is sampled with Apply alone where patch and conditioning are the plain ones.
    company: see WrittenDown.
    Raises AssertionError where the patch changes nothing of that.
    """
    expected = {
        guided: written(setting, patch, sample, guided, company=company)
        for guided in sorted({"G" in order for order in orders})
    }
    assert unlike is None or difference(expected[False], unlike) > MATTERS
    errors = [
        difference(sample(setting.guided(patch, order)), expected["G" in order]) for order in orders
    ]
    return max(errors)
