"""FlashFace beside what is done to CONDITIONING: ControlNets, areas, masks, ranges, text layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import comfy.gligen
import pytest
import torch
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import NEGATIVE, OTHER, PROMPT, Setting, random, unchanged
from core_nodes import core_node, fill, run_core, t2i_adapter_network, tiny_controlnet
from host_pack import pack_module, run_node
from safetensors.torch import save_file
from sampling import cond
from torch import Tensor
from written_down import difference, ksampler, with_flashface, written

BOUND = 1e-5
ORDERS = ("A", "AG", "GA")
TEXT, HEADS = 64, 8
"""Width of the tiny UNet's text tokens; heads of SD1.5's attention."""
PICTURE = random(1, 128, 128, 3, seed=90).sigmoid()

Conditioned = Callable[[ModelPatcher], Tensor]


def conditioned(positive: list, negative: list | None = None) -> Conditioned:
    """A sampling with a positive and a negative prompt, for models."""
    negative = negative or cond(NEGATIVE)
    return lambda model: ksampler(model, positive=positive, negative=negative)


def controlled(control: Any, positive: list, negative: list, **options: Any) -> list:
    """Positive and negative through ControlNetApplyAdvanced."""
    given = {"strength": 0.8, "start_percent": 0.0, "end_percent": 1.0, "image": PICTURE}
    node = core_node("ControlNetApplyAdvanced")
    given |= {"positive": positive, "negative": negative, "control_net": control, **options}
    return list(run_node(node, **given))


def controls(model: ModelPatcher) -> dict[str, tuple[list, list]]:
    """Prompts with ControlNets in every manner, by name."""
    one, two = tiny_controlnet(model), tiny_controlnet(model, seed=41)
    both = controlled(one, cond(PROMPT), cond(NEGATIVE))
    (only,) = run_node(
        core_node("ControlNetApply"),
        conditioning=cond(PROMPT),
        control_net=one,
        image=PICTURE,
        strength=0.8,
    )
    return {
        "one": tuple(both),
        "two, stacked": tuple(controlled(two, *both, strength=0.5)),
        "start and end": tuple(
            controlled(one, cond(PROMPT), cond(NEGATIVE), start_percent=0.3, end_percent=0.5)
        ),
        "positive only": (only, cond(NEGATIVE)),
    }


CONTROLS = ["one", "two, stacked", "start and end", "positive only"]


@composes("ControlNet")
@pytest.mark.parametrize("name", CONTROLS)
def test_controlnet(name, setting: Setting, plain, record):
    error = with_flashface(
        setting, unchanged, conditioned(*controls(setting.model)[name]), ORDERS, plain
    )
    record("composition: ControlNet", error)
    assert error < BOUND


@contextmanager
def residuals(model: ModelPatcher) -> Iterator[list]:
    """Collect what ControlNets hand to a model's UNet, call by call."""
    found: list[dict[str, list]] = []

    def keep(unet: Any, given: tuple, options: dict) -> None:
        control = options.get("control", given[4] if len(given) > 4 else None)
        found.append({place: list(tensors) for place, tensors in (control or {}).items()})

    unet: Any = model.model.diffusion_model
    hook = unet.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield found
    finally:
        hook.remove()


@composes("ControlNet")
def test_residuals_reach_the_same_blocks(setting: Setting):
    """In the first step, where both see the same latent, they are the same numbers."""
    sample = conditioned(*controls(setting.model)["one"])
    with residuals(setting.model) as plain:
        sample(setting.model)
    for order in ORDERS:
        with residuals(setting.model) as found:
            sample(setting.guided(unchanged, order))
        for place in ("input", "middle", "output"):
            ours, theirs = (calls[0].get(place, []) for calls in (found, plain))
            assert [tensor is None for tensor in ours] == [tensor is None for tensor in theirs]
            for a, b in zip(ours, theirs, strict=True):
                assert b is None or difference(a[: len(b)], b) < BOUND
        assert found[0]["output"]


@pytest.fixture(scope="module")
def t2i_adapter(comfyui_base: Path) -> Iterator[Any]:
    """A T2I-Adapter of the tiny UNet's sizes, in a file, through core's loader."""
    network = t2i_adapter_network([32, 64, 128, 128], seed=42)
    file = comfyui_base / "models" / "controlnet" / "composition_t2i.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), file)
    yield run_core("ControlNetLoader", control_net_name=file.name)
    file.unlink()


@composes("T2I-Adapter")
@pytest.mark.parametrize("stacked", [False, True])
def test_t2i_adapter(stacked, t2i_adapter, setting: Setting, plain, record):
    prompts = [cond(PROMPT), cond(NEGATIVE)]
    if stacked:
        prompts = controlled(tiny_controlnet(setting.model), *prompts)
    sample = conditioned(*controlled(t2i_adapter, *prompts))
    error = with_flashface(setting, unchanged, sample, ORDERS, plain)
    record("composition: T2I-Adapter", error)
    assert error < BOUND


def areas() -> dict[str, list]:
    """Positive prompts of several entries, made by core's nodes."""
    left = torch.zeros(1, 128, 128)
    left[..., :64] = 1
    area = {"width": 64, "height": 128, "x": 64, "y": 0, "strength": 0.9}
    mask = {"mask": left, "set_cond_area": "default", "strength": 1.0}
    bounds = {"mask": left, "set_cond_area": "mask bounds", "strength": 0.7}
    changed = {
        "area": run_core("ConditioningSetArea", conditioning=cond(OTHER), **area),
        "mask": run_core("ConditioningSetMask", conditioning=cond(OTHER), **mask),
        "mask bounds": run_core("ConditioningSetMask", conditioning=cond(OTHER), **bounds),
        "range": run_core(
            "ConditioningSetTimestepRange", conditioning=cond(OTHER), start=0.3, end=0.6
        ),
        "combined": cond(OTHER),
    }
    return {
        name: run_core("ConditioningCombine", conditioning_1=cond(PROMPT), conditioning_2=other)
        for name, other in changed.items()
    }


@composes("Conditioning Combine, Set Area, Set Mask and Set Timestep Range")
@pytest.mark.parametrize("name", ["area", "mask", "mask bounds", "range", "combined"])
def test_conditioning_nodes(name, setting: Setting, plain, record):
    error = with_flashface(setting, unchanged, conditioned(areas()[name]), ORDERS, plain)
    record(f"composition: conditioning, {name}", error)
    assert error < BOUND


def gligen(setting: Setting) -> ModelPatcher:
    """Core's GLIGEN of the tiny UNet's sizes, with random weights."""
    unet: Any = setting.model.model.diffusion_model
    blocks = (module for module in unet.modules() if isinstance(module, BasicTransformerBlock))
    widths = [block.norm1.normalized_shape[0] for block in blocks]
    fusers = [
        comfy.gligen.GatedSelfAttentionDense(width, TEXT, HEADS, width // HEADS) for width in widths
    ]
    network = comfy.gligen.Gligen(fusers, comfy.gligen.PositionNet(TEXT, TEXT), TEXT)
    fill(network, seed=95)
    return ModelPatcher(network, setting.model.load_device, setting.model.offload_device)


@composes("GLIGEN")
@pytest.mark.parametrize("sides", ["positive", "both"])
def test_gligen(sides: str, setting: Setting, plain, record):
    boxes = [(random(1, TEXT, seed=96), 8, 6, 2, 5), (random(1, TEXT, seed=97), 5, 9, 7, 0)]
    network = gligen(setting)
    positive = cond(PROMPT, gligen=("position", network, boxes))
    negative = cond(NEGATIVE, gligen=("position", network, boxes[:1]))
    sample = conditioned(positive, negative if sides == "both" else None)
    error = with_flashface(setting, unchanged, sample, ORDERS, plain)
    record("composition: GLIGEN", error)
    assert error < BOUND


@composes("CLIP Set Last Layer")
def test_clip_set_last_layer(setting: Setting, standin_models, record):
    """With the stand-in CLIP, whose width asks for another FlashFace."""
    model, flashface = run_node(
        setting.pack["FlashFaceModelLoader"],
        model_name="flashface_standin.safetensors",
        weight_dtype="fp32",
    )
    clip = run_core("CLIPLoader", clip_name="clip_standin.safetensors", type="stable_diffusion")
    skipped = run_core("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-2)

    def prompts(of: Any) -> list[list]:
        return [run_core("CLIPTextEncode", clip=of, text=text) for text in ("a face", "blurry")]

    positive, negative = prompts(skipped)
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    reference = make_reference(random(2, 4, 8, 8, seed=91), negative[0][0], 4)
    standin = replace(setting, model=model, flashface=flashface, reference=reference)
    sample = conditioned(positive, negative)
    last = written(standin, unchanged, conditioned(*prompts(clip)), guided=False)
    error = with_flashface(standin, unchanged, sample, ORDERS, last)
    record("composition: CLIP Set Last Layer", error)
    assert error < BOUND
