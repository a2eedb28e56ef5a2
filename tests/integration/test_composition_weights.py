"""FlashFace beside what changes a MODEL's weights: LoRA, hooks, merging; see written_down.py."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import NEGATIVE, PROMPT, Setting, random, unchanged
from core_nodes import core_node, run_core, stock_model
from host_pack import run_node
from safetensors.torch import save_file
from sampling import cond
from written_down import GUIDED_ORDERS, ksampler, with_flashface

BOUND = 1e-5
ORDERS = ("fA", "Af", *GUIDED_ORDERS)
LORA = "composition_lora.safetensors"


@pytest.fixture(scope="module")
def lora(comfyui_base: Path) -> Iterator[str]:
    """A LoRA in kohya's format, for layers that the UNet shares with ReferenceNet and others."""
    sizes = {
        "mid_block_attentions_0_transformer_blocks_0_attn2_to_v": (64, 128),
        "mid_block_attentions_0_transformer_blocks_0_attn1_to_q": (128, 128),
        "up_blocks_1_attentions_2_transformer_blocks_0_attn1_to_k": (128, 128),
        "up_blocks_3_attentions_0_transformer_blocks_0_attn2_to_out_0": (32, 32),
        "down_blocks_0_attentions_1_proj_in": (32, 32),
    }
    tensors = {}
    for seed, (name, (given, made)) in enumerate(sizes.items(), start=60):
        end = (1, 1) if name.endswith("proj_in") else ()
        tensors[f"lora_unet_{name}.lora_down.weight"] = random(4, given, *end, seed=seed) * 0.4
        tensors[f"lora_unet_{name}.lora_up.weight"] = random(made, 4, *end, seed=seed + 30) * 0.4
        tensors[f"lora_unet_{name}.alpha"] = torch.tensor(4.0)
    file = comfyui_base / "models" / "loras" / LORA
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    yield file.name
    file.unlink()


def with_lora(name: str, strength: float = 0.8):
    """A patch: the node LoraLoaderModelOnly."""
    return lambda model: run_core(
        "LoraLoaderModelOnly", model=model, lora_name=name, strength_model=strength
    )


def features(setting: Setting, patch, sample=ksampler) -> dict[int, list[torch.Tensor]]:
    """All features that a sampling computes anew, by timestep."""
    fresh = copy.deepcopy(setting.reference)  # without its features
    sample(replace(setting, reference=fresh).guided(patch, "fA"))
    cache, key = fresh.identities[0].features, setting.flashface.fingerprint
    found = {timestep: cache.get((key, timestep)) for timestep in range(1000)}
    return {timestep: list(kept.values()) for timestep, kept in found.items() if kept}


def equal(one: dict[int, list[torch.Tensor]], two: dict[int, list[torch.Tensor]]) -> bool:
    """Whether two samplings computed the same features, bit for bit."""
    return one.keys() == two.keys() and all(
        torch.equal(a, b) for at in one for a, b in zip(one[at], two[at], strict=True)
    )


@composes("LoRA", note="on the UNet; ReferenceNet keeps FlashFace's own weights")
def test_lora(lora, setting: Setting, plain, record):
    error = with_flashface(setting, with_lora(lora), orders=ORDERS, unlike=plain)
    record("composition: LoRA", error)
    assert error < BOUND


@composes("LoRA")
def test_lora_leaves_referencenet_alone(lora, setting: Setting):
    found = features(setting, with_lora(lora))
    assert found.keys() == {999, 666, 333}
    assert equal(found, features(setting, unchanged))


def hooked(lora: str, sides: str):
    """Positive and negative with core's nodes for a LoRA hook of three keyframes."""
    hooks = run_core("hooks.CreateHookLora", lora_name=lora, strength_model=1.0, strength_clip=0.0)
    frames = None
    for start, strength in ((0.0, 0.0), (0.3, 0.8), (0.6, -0.5)):
        frames = run_core(
            "hooks.CreateHookKeyframe",
            strength_mult=strength,
            start_percent=start,
            prev_hook_kf=frames,
        )
    hooks = run_core("hooks.SetHookKeyframes", hooks=hooks, hook_kf=frames)
    found = []
    for side, tokens in (("positive", PROMPT), ("negative", NEGATIVE)):
        given = {"hooks": hooks} if side in sides else {}
        node = core_node("hooks.ConditioningSetProperties")
        made = run_node(node, cond_NEW=cond(tokens), strength=1.0, set_cond_area="default", **given)
        found.append(made[0])
    return found


@composes("LoRA hooks with keyframes")
@pytest.mark.parametrize("sides", ["positive", "positive and negative"])
def test_lora_hooks_with_keyframes(sides, lora, setting: Setting, plain, record):
    positive, negative = hooked(lora, sides)

    def sample(model: ModelPatcher) -> torch.Tensor:
        return ksampler(model, positive=positive, negative=negative)

    error = with_flashface(setting, unchanged, sample, ("A", "AG", "GA"), plain)
    record("composition: LoRA hooks with keyframes", error)
    assert error < BOUND


@composes("LoRA hooks with keyframes")
def test_lora_hooks_leave_referencenet_alone(lora, setting: Setting):
    """dpm_2 evaluates between the scheduled steps: ReferenceNet runs while a hook is in force."""
    positive, negative = hooked(lora, "positive and negative")

    def sample(model: ModelPatcher, **conditioning) -> torch.Tensor:
        return ksampler(model, sampler_name="dpm_2", steps=5, **conditioning)

    def with_hooks(model: ModelPatcher) -> torch.Tensor:
        return sample(model, positive=positive, negative=negative)

    found = features(setting, unchanged, with_hooks)
    assert len(found) == 5 + 4
    assert equal(found, features(setting, unchanged, sample))


@pytest.fixture(scope="module")
def other(setting: Setting) -> ModelPatcher:
    """Another SD1.5 checkpoint's MODEL."""
    made = stock_model(setting.model)
    generator = torch.Generator().manual_seed(70)
    for weight in made.model.diffusion_model.parameters():
        spread = 0.3 * (weight.std() if weight.numel() > 1 else 1)
        weight.data.add_(torch.randn(weight.shape, generator=generator) * spread)
    return made


MERGES = {
    "ModelMergeSimple": {"ratio": 0.6},
    "ModelMergeBlocks": {"input.": 0.2, "middle.": 0.5, "out.": 0.9},
}


def merged(name: str, model1: ModelPatcher, model2: ModelPatcher) -> ModelPatcher:
    """Two models through one of core's nodes."""
    node = f"model_merging.{name}"
    return run_core(node, model1=model1, model2=model2, **MERGES[name])


@composes(
    "ModelMergeSimple, ModelMergeBlocks",
    note="before FlashFace's nodes, or after them as model1: merging takes only weights of model2",
)
@pytest.mark.parametrize("name", MERGES)
def test_merging(name, other, setting: Setting, plain, record):
    known: dict[int, ModelPatcher] = {}

    def merge(model: ModelPatcher) -> ModelPatcher:
        if id(model) not in known:  # core's nodes take seconds
            known[id(model)] = merged(name, model, other)
        return known[id(model)]

    error = with_flashface(setting, merge, orders=("fA", "Af"), unlike=plain)
    record(f"composition: {name}", error)
    assert error < BOUND


def test_of_model2_merging_takes_only_the_weights(other, setting: Setting):
    """Core's nodes drop whatever was applied to model2; the limit that the README names."""
    found = merged("ModelMergeSimple", other, setting.guided(unchanged, "AG"))
    assert found.model_options == other.model_options
    assert not any(found.wrappers.values()) and not found.additional_models
