"""FlashFace beside another network, torch.compile, caches and context windows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import (
    LATE,
    NEGATIVE,
    PROMPT,
    STRENGTH,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    random,
    unchanged,
)
from core_nodes import SKIPPING, core_node, inpaint_model, run_core, windows
from host_pack import run_node
from sampling import cond
from written_down import GUIDED_ORDERS, MATTERS, difference, ksampler, with_flashface, written

BOUND = 1e-5


@composes(
    "Inpainting UNet (9 channels)",
    note="Apply FlashFace warns that the MODEL is not FlashFace's own",
)
def test_inpainting_unet(setting: Setting, standin_models, record):
    inpaint = replace(setting, model=inpaint_model(setting.model))
    vae = run_core("VAELoader", vae_name="vae_standin.safetensors")
    mask = torch.zeros(1, 128, 128)
    mask[:, 32:96, 32:96] = 1
    pixels = random(1, 128, 128, 3, seed=71).sigmoid()
    positive, negative, latent = run_node(
        core_node("InpaintModelConditioning"),
        positive=cond(PROMPT),
        negative=cond(NEGATIVE),
        pixels=pixels,
        vae=vae,
        mask=mask,
        noise_mask=True,
    )

    def sample(model: ModelPatcher) -> torch.Tensor:
        return ksampler(model, positive=positive, negative=negative, latent_image=latent)

    error = with_flashface(inpaint, unchanged, sample, ("A", "AG", "GA"))
    record("composition: inpainting UNet, 9 channels", error)
    assert error < BOUND
    found = sample(inpaint.apply(inpaint.model))
    kept = latent["samples"]
    assert torch.allclose(found[..., :2], kept[..., :2], atol=1e-4)
    assert difference(found, kept) > MATTERS


@composes("TorchCompileModel", note="FlashFace's own layers stay outside of the compiled graph")
def test_torch_compile(setting: Setting, record):
    """One compiled network serves all strengths: nothing of the first is frozen into it.

    Without Inductor, which takes minutes and sees the same graphs.
    """

    def compiled(model: ModelPatcher) -> ModelPatcher:
        return run_core("torch_compile.TorchCompileModel", model=model, backend="eager")

    torch.compiler.reset()

    def sample(model: ModelPatcher) -> torch.Tensor:
        return noise_predictions(cfg_guider(model), points(setting, [LATE]))

    first = compiled(setting.model)
    models = {(False, strength): setting.apply(first, strength) for strength in (STRENGTH, 0.5)}
    models[True, STRENGTH] = setting.guided(compiled, "AGf")
    for (guided, strength), model in models.items():
        error = difference(sample(model), written(setting, unchanged, sample, guided, strength))
        record("composition: TorchCompileModel", error)
        assert error < BOUND


def five_steps(model: ModelPatcher) -> torch.Tensor:
    return ksampler(model, steps=5)


@composes("EasyCache")
def test_easycache(setting: Setting, record, unet_batches):
    """From the third step on every prediction is taken from caches."""

    def patch(model):
        return run_core("easycache.EasyCacheNode", model=model, **SKIPPING)

    error = with_flashface(setting, patch, five_steps)
    assert len(unet_batches) == 3 * 2
    record("composition: EasyCache", error)
    assert error < BOUND


@composes("LazyCache")
def test_lazycache(setting: Setting, record, unet_batches):
    """From the third step on the whole guided result is taken from its cache."""

    def patch(model):
        return run_core("easycache.LazyCacheNode", model=model, **SKIPPING)

    error = with_flashface(setting, patch, five_steps, ("fA", "Af", *GUIDED_ORDERS))
    record("composition: LazyCache", error)
    assert error < BOUND


@composes("Context windows")
@pytest.mark.parametrize(("dim", "length"), [(0, 3), (3, 12)], ids=["frames", "columns"])
def test_context_windows(dim, length, setting: Setting, record):
    latents = torch.zeros(4 if dim == 0 else 1, 4, 16, 16)

    def sample(model: ModelPatcher) -> torch.Tensor:
        return ksampler(model, latent_image={"samples": latents})

    error = with_flashface(setting, windows(dim, length, "pyramid"), sample, ("fA", "Af", "fAG"))
    record("composition: context windows", error)
    assert error < BOUND
