"""ReferenceNet runs once for a person: counted, and never at the price of features that are stale.

"Fresh" means objects of this run alone: a MODEL and a reference that nothing was computed with.
"""

from __future__ import annotations

import copy
import gc
import importlib
import os
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.model_management as memory
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import EMPTY, NEGATIVE, NOISE, OTHER, PROMPT, Setting, cfg_guider, random
from host_pack import pack_module
from safetensors.torch import load_file, save_file
from sampling import cond, sampled
from torch import Tensor

BOUND = 1e-5
STEPS = 3
PHOTO = torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(60))


@pytest.fixture(scope="module")
def vae(standin_models: Path) -> Any:
    """A small VAE, loaded by ComfyUI's own loader."""
    nodes: Any = importlib.import_module("nodes")
    return nodes.VAELoader().load_vae("vae_standin.safetensors")[0]


@pytest.fixture
def encode(pack, run_node, vae) -> Callable[..., Any]:
    """`encode(photo=PHOTO, negative=NEGATIVE, repeat_to=4)`: the node's reference."""

    def run(photo: Tensor = PHOTO, negative: Tensor = NEGATIVE, repeat_to: int = 4) -> Any:
        given = {"vae": [vae], "faces": [photo], "negative": [cond(negative)]}
        node = pack["FlashFaceEncodeReference"]
        return run_node(node, repeat_to=[repeat_to], **given)[0]

    return run


@pytest.fixture
def load(setting: Setting) -> Callable[..., Setting]:
    """`load(dtype="fp32", name=...)`: a FlashFace that was just loaded from its file."""

    def run(dtype: str = "fp32", name: str = "composition.safetensors") -> Setting:
        node = setting.pack["FlashFaceModelLoader"]
        model, flashface = setting.run_node(node, model_name=name, weight_dtype=dtype)
        return replace(setting, model=model, flashface=flashface)

    return run


def apply(on: Setting, reference: Any, **inputs: Any) -> ModelPatcher:
    given = {"model": on.model, "flashface": on.flashface, "reference": reference}
    return on.run_node(on.pack["FlashFaceApply"], **{"strength": 1.2, **given, **inputs})[0]


def picture(on: Setting, reference: Any, steps: int = STEPS, **options: Any) -> Tensor:
    return sampled(cfg_guider(apply(on, reference)), NOISE, steps, **options)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def counted(batches: list[int]) -> int:
    """How many crops ReferenceNet has computed since the last call."""
    total = sum(batches)
    batches.clear()
    return total


def test_a_second_picture_runs_no_referencenet(setting, reference, reference_batches):
    first = sampled(cfg_guider(apply(setting, reference)), NOISE, STEPS)
    assert counted(reference_batches) == 2 * STEPS
    left = torch.zeros(1, 128, 128)
    left[..., :64] = 1
    style = cond(OTHER) + cond(EMPTY, strength=0.5)
    variants = {
        "seed": lambda: sampled(
            cfg_guider(apply(setting, reference)), random(1, 4, 16, 16, seed=70), STEPS, seed=5
        ),
        "prompt": lambda: sampled(
            cfg_guider(apply(setting, reference), positive=style), NOISE, STEPS
        ),
        "sampler's negative": lambda: sampled(
            cfg_guider(apply(setting, reference), negative=cond(EMPTY)), NOISE, STEPS
        ),
        "cfg": lambda: sampled(cfg_guider(apply(setting, reference), cfg=3.0), NOISE, STEPS),
        "strength": lambda: sampled(
            cfg_guider(apply(setting, reference, strength=0.6)), NOISE, STEPS
        ),
        "masks": lambda: sampled(
            cfg_guider(apply(setting, reference, face_region=left, attention_mask=left)),
            NOISE,
            STEPS,
        ),
        "size": lambda: sampled(
            cfg_guider(apply(setting, reference)), random(1, 4, 24, 16, seed=71), STEPS
        ),
        "batch": lambda: sampled(
            cfg_guider(apply(setting, reference)), random(3, 4, 16, 16, seed=72), STEPS
        ),
        "guidance": lambda: sampled(
            cfg_guider(setting.guide(apply(setting, reference))), NOISE, STEPS
        ),
    }
    for name, run in variants.items():
        found = run()
        assert counted(reference_batches) == 0, name
        assert found.shape != first.shape or error(found, first) > 1e-3, name


def test_weights_of_a_mix_compute_nothing_anew(setting, reference, reference_batches):
    other = pack_module("flashface_core.flashface.reference").make_reference(
        random(3, 4, 8, 8, seed=21), PROMPT, 4
    )
    picture(setting, reference)
    assert counted(reference_batches) == 2 * STEPS
    for weight, crops in ((0.3, 3 * STEPS), (0.8, 0), (-0.2, 0)):
        given = {"reference_1": reference, "weight_1": 1.0, "reference_2": other}
        node = setting.pack["FlashFaceCombineReferences"]
        (mixed,) = setting.run_node(node, weight_2=weight, **given)
        picture(setting, mixed)
        assert counted(reference_batches) == crops


def test_somebody_who_is_there_twice_is_computed_once(setting, reference, reference_batches):
    node = setting.pack["FlashFaceCombineReferences"]
    given = {"reference_1": reference, "reference_2": reference}
    (twice,) = setting.run_node(node, weight_1=0.75, weight_2=0.25, **given)
    found = picture(setting, twice)
    assert counted(reference_batches) == 2 * STEPS
    assert error(found, picture(setting, reference)) < BOUND
    assert counted(reference_batches) == 0


@pytest.mark.parametrize(
    "changed",
    [{"photo": PHOTO.flip(2)}, {"photo": PHOTO[:1]}, {"negative": EMPTY}],
    ids=["another photo", "one photo less", "negative"],
)
def test_other_faces_or_another_negative(changed, setting, encode, load, reference_batches):
    before = picture(setting, encode())
    counted(reference_batches)
    reference = encode(**changed)
    found = picture(setting, reference)
    crops = reference.identities[0].latents.shape[0]
    assert counted(reference_batches) == crops * STEPS
    assert error(found, before) > 1e-4
    assert torch.equal(found, picture(load(), encode(**changed)))


def test_another_weighting_of_the_same_faces(setting, encode, load):
    before, found = picture(setting, encode()), picture(setting, encode(repeat_to=2))
    assert error(found, before) > 1e-4
    assert torch.equal(found, picture(load(), encode(repeat_to=2)))


def write_variant(file: Path, factor: float) -> None:
    """Write a checkpoint in whose ReferenceNet alone a weight differs, in one step."""
    weights = load_file(file.with_name("composition.safetensors"))
    name = "ref_encoder.0.weight"
    weights[name] = weights[name] * factor
    save_file(weights, file.with_suffix(".part"))
    os.replace(file.with_suffix(".part"), file)


def test_another_checkpoint(setting, reference, load, comfyui_base, reference_batches):
    file = comfyui_base / "models" / "flashface" / "variant.safetensors"
    write_variant(file, 1.5)
    first, variant = picture(setting, reference), load(name=file.name)
    counted(reference_batches)
    found = picture(variant, reference)
    assert counted(reference_batches) == 2 * STEPS
    assert error(found, first) > 1e-4
    assert torch.equal(found, picture(load(name=file.name), copy.deepcopy(reference)))
    counted(reference_batches)
    assert torch.equal(picture(setting, reference), first)
    assert counted(reference_batches) == 0, "both models' features are kept"

    write_variant(file, 0.5)
    replaced = load(name=file.name)
    again = picture(replaced, reference)
    assert counted(reference_batches) == 2 * STEPS
    assert error(again, found) > 1e-4
    assert torch.equal(again, picture(replaced, copy.deepcopy(reference)))


def test_the_same_checkpoint_loaded_again(setting, reference, load, reference_batches):
    first = picture(setting, reference)
    counted(reference_batches)
    assert torch.equal(picture(load(), reference), first)
    assert counted(reference_batches) == 0


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_another_dtype(dtype, setting, reference, load, reference_batches):
    first = picture(setting, reference)
    counted(reference_batches)
    found = picture(load(dtype), reference)
    assert counted(reference_batches) == 2 * STEPS
    assert 0 < error(found, first) < 0.1
    assert torch.equal(found, picture(load(dtype), copy.deepcopy(reference)))


def test_a_patched_model_keeps_the_features(setting, reference, load, reference_batches):
    """What changes the main UNet, such as a LoRA, leaves ReferenceNet as it was."""

    def patched(on: Setting) -> Setting:
        model = on.model.clone()
        changes = {"diffusion_model.out.2.weight": (torch.full((4, 32, 3, 3), 0.01),)}
        assert model.add_patches(changes, 1.0) == list(changes)
        return replace(on, model=model)

    first = picture(setting, reference)
    counted(reference_batches)
    found = picture(patched(setting), reference)
    assert counted(reference_batches) == 0
    assert error(found, first) > 1e-4
    assert torch.equal(found, picture(patched(load()), copy.deepcopy(reference)))


def test_other_steps_and_schedules(setting, reference, load, reference_batches):
    """Only timesteps that are new are computed; in other batches, so their last bits may differ."""
    picture(setting, reference)
    counted(reference_batches)
    for steps, scheduler in ((5, "sgm_uniform"), (4, "karras")):
        kept = len(reference.identities[0].features)
        found = picture(setting, reference, steps, scheduler=scheduler)
        new = len(reference.identities[0].features) - kept
        assert 0 < new <= steps
        assert counted(reference_batches) == 2 * new
        fresh = picture(load(), copy.deepcopy(reference), steps, scheduler=scheduler)
        assert error(found, fresh) < BOUND
        counted(reference_batches)
        assert torch.equal(picture(setting, reference, steps, scheduler=scheduler), found)
        assert counted(reference_batches) == 0


def test_what_is_evicted_is_computed_again(setting, reference, reference_batches):
    cache = reference.identities[0].features
    assert cache.limit == 2 * 1024**3
    expected = picture(setting, reference)
    one = cache.bytes_used() // STEPS
    cache.__init__(2 * one)
    counted(reference_batches)
    for _ in range(3):
        assert error(picture(setting, reference), expected) < BOUND
        assert (len(cache), cache.bytes_used()) == (2, 2 * one)
        assert 2 <= counted(reference_batches) <= 2 * (STEPS + 1)


def test_features_wait_on_the_offload_device_and_hold_nothing_else(setting, reference):
    picture(setting, reference)
    cache = reference.identities[0].features
    entries = list(cache._entries.values())
    tensors = [tensor for features in entries for tensor in features.values()]
    assert len(entries) == STEPS and len(tensors) == STEPS * 10
    offload = setting.flashface.referencenet.offload_device
    assert {tensor.device for tensor in tensors} == {offload}
    assert sum(tensor.untyped_storage().nbytes() for tensor in tensors) == cache.bytes_used()


def test_features_go_with_their_reference(setting):
    reference = copy.deepcopy(setting.reference)
    sampled(cfg_guider(setting.guide(apply(setting, reference))), NOISE, STEPS)
    cache = reference.identities[0].features
    held = [weakref.ref(tensor) for kept in cache._entries.values() for tensor in kept.values()]
    assert held and all(tensor() is not None for tensor in held)
    del reference, cache
    memory.cleanup_models_gc()
    gc.collect()
    assert [tensor for tensor in held if tensor() is not None] == []
