"""FlashFace beside what is done to latents: img2img, inpainting, batches, VAEs in tiles."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import NEGATIVE, Setting, random, unchanged
from core_nodes import run_core
from host_pack import run_node
from sampling import cond
from written_down import MATTERS, difference, ksampler, with_flashface, written

BOUND = 1e-5
ORDERS = ("A", "AG", "GA")


def latent(batch: int = 1, **more) -> dict:
    """A LATENT of a picture of 128 x 128 pixels."""
    return {"samples": random(batch, 4, 16, 16, seed=80), **more}


def sampled(given: dict, **options):
    """A sampling of a LATENT, for models."""
    return lambda model: ksampler(model, latent_image=given, **options)


@pytest.fixture(scope="module")
def vae(standin_models):
    """The stand-in VAE through core's loader."""
    return run_core("VAELoader", vae_name="vae_standin.safetensors")


@composes("img2img")
@pytest.mark.parametrize("denoise", [0.3, 0.6, 1.0])
def test_img2img(denoise, setting: Setting, record):
    sample = sampled(latent(), denoise=denoise, steps=4)
    error = with_flashface(setting, unchanged, sample, ORDERS)
    record("composition: img2img", error)
    assert error < BOUND
    alone = written(setting, unchanged, sample, guided=False, strength=0.0)
    assert difference(sample(setting.apply(setting.model)), alone) > 1e-4


@composes("Inpainting with Set Latent Noise Mask")
@pytest.mark.parametrize("denoise", [0.6, 1.0])
def test_inpainting(denoise, setting: Setting, record):
    mask = torch.zeros(1, 128, 128)
    mask[..., 64:] = 1
    given = run_core("SetLatentNoiseMask", samples=latent(), mask=mask)
    sample = sampled(given, denoise=denoise)
    error = with_flashface(setting, unchanged, sample, ORDERS)
    record("composition: inpainting", error)
    assert error < BOUND
    found = sample(setting.guided(unchanged, "AG"))
    assert torch.allclose(found[..., :8], given["samples"][..., :8], atol=1e-5)
    assert difference(found[..., 8:], given["samples"][..., 8:]) > MATTERS


@composes("DifferentialDiffusion")
def test_differential_diffusion(setting: Setting, record):
    slope = torch.linspace(0, 1, 128).expand(1, 128, 128)
    sample = sampled(run_core("SetLatentNoiseMask", samples=latent(), mask=slope), steps=4)

    def patch(model: ModelPatcher) -> ModelPatcher:
        return run_core("differential_diffusion.DifferentialDiffusion", model=model, strength=1.0)

    plain = written(setting, unchanged, sample, guided=False)
    error = with_flashface(setting, patch, sample, ("fA", "Af", "fAG", "AGf"), plain)
    record("composition: DifferentialDiffusion", error)
    assert error < BOUND


@composes("Latent batches, Repeat Latent Batch and Latent From Batch")
def test_batches(setting: Setting, record):
    """A batch is sampled as without FlashFace, and one of it alone as in the batch."""
    three = run_core("RepeatLatentBatch", samples=latent(), amount=3)
    assert three["samples"].shape[0] == 3
    error = with_flashface(setting, unchanged, sampled(three), ORDERS)
    record("composition: batches", error)
    assert error < BOUND
    model = setting.guided(unchanged, "AG")
    together = sampled(three)(model)
    assert difference(together[:1], together[1:2]) > MATTERS, "noises must differ"
    second = run_core("LatentFromBatch", samples=three, batch_index=1, length=1)
    assert difference(sampled(second)(model), together[1:2]) < BOUND


@composes("VAE Encode and Decode (Tiled)")
def test_tiled_vae(vae, setting: Setting, record):
    """Around the sampler, and with a reference that the same VAE has encoded."""
    picture = random(1, 192, 192, 3, seed=81).sigmoid()
    tiles = {"tile_size": 128, "overlap": 32}
    encoded = run_core("VAEEncodeTiled", pixels=picture, vae=vae, **tiles)
    whole = run_core("VAEEncode", pixels=picture, vae=vae)
    assert encoded["samples"].shape == whole["samples"].shape == (1, 4, 24, 24)
    assert not torch.equal(encoded["samples"], whole["samples"])
    (reference,) = run_node(
        setting.pack["FlashFaceEncodeReference"],
        vae=[vae],
        faces=[random(2, 64, 64, 3, seed=82).sigmoid()],
        negative=[cond(NEGATIVE)],
        repeat_to=[4],
    )
    own, sample = replace(setting, reference=reference), sampled(encoded, denoise=0.6)
    error = with_flashface(own, unchanged, sample, ORDERS)
    record("composition: tiled VAE", error)
    assert error < BOUND
    made = {"samples": sample(own.guided(unchanged, "AG"))}
    decoded = run_core("VAEDecodeTiled", samples=made, vae=vae, **tiles)
    assert decoded.shape == (1, 192, 192, 3)
    assert difference(decoded, run_core("VAEDecode", samples=made, vae=vae)) < 0.2
