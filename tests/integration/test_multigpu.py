"""ComfyUI's multi-GPU work units: a clone's UNet call uses the adapter that belongs to the clone.

`cpu:0` is a second device for ComfyUI (its tables know devices by name), so that its scheduler, its
threads and its clones are the real ones on any machine.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

import comfy.multigpu
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import NEGATIVE, PROMPT, Setting, cfg_guider, random
from core_nodes import core_node, run_core
from host_pack import pack_module, run_node
from sampling import cond, guider, sampled
from torch import Tensor

BOUND = 1e-5
SECOND = torch.device("cpu", 0)
NOISE = random(2, 4, 16, 16, seed=90)
LEFT = torch.zeros(1, 128, 128)
LEFT[..., :64] = 1

Patch = Callable[[ModelPatcher], ModelPatcher]


def work_units(model: ModelPatcher) -> ModelPatcher:
    """A model with a clone for the second device, as MultiGPU CFG Split makes it."""
    model = model.clone()
    second = model.deepclone_multigpu(new_load_device=SECOND)
    second.is_multigpu_base_clone = True
    model.set_additional_models("multigpu", [second])
    model.match_multigpu_clones()
    comfy.multigpu.GPUOptionsGroup().register(model)
    return model


@pytest.fixture(scope="module")
def other() -> Any:
    """A reference of another person."""
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    return make_reference(random(3, 4, 8, 8, seed=91), PROMPT, 4)


@pytest.fixture
def patches(setting: Setting, other) -> dict[str, Patch]:
    """What is put on a model, by name."""

    def two(model: ModelPatcher) -> ModelPatcher:
        left = copy.copy(setting)
        left.options = {"face_region": LEFT, "attention_mask": LEFT}
        right = copy.copy(setting)
        right.options, right.reference = {"attention_mask": 1 - LEFT}, other
        return right.apply(left.apply(model))

    return {
        "one person": setting.apply,
        "guided": lambda model: setting.guide(setting.apply(model)),
        "two people in masks, guided": lambda model: setting.guide(two(model)),
    }


class Ran(set[tuple[Any, int]]):
    """Which networks ran in which thread: (module, thread id)."""

    def __call__(self, module, given, out) -> None:
        self.add((module, threading.get_ident()))

    def threads(self, module: torch.nn.Module) -> set[int]:
        """The threads that ran a module."""
        return {thread for ran, thread in self if ran is module}


@pytest.fixture
def ran() -> Iterator[Ran]:
    """Every module that ran since the test began."""
    found = Ran()
    hook = torch.nn.modules.module.register_module_forward_hook(found)
    yield found
    hook.remove()


def adapter_of(model: ModelPatcher) -> Any:
    (patcher,) = model.get_additional_models_with_key("flashface")
    return patcher.model


def second_of(model: ModelPatcher) -> ModelPatcher:
    (second,) = model.get_additional_models_with_key("multigpu")
    return second


def picture(model: ModelPatcher) -> Tensor:
    with torch.inference_mode():  # as ComfyUI's executor; threads of its pool are outside of it
        return sampled(cfg_guider(model), NOISE, 4)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("device", [torch.device("cpu"), SECOND], ids=str)
def test_a_deep_clone_has_an_adapter_of_its_own_and_uses_it(device, setting, patches, ran):
    model = patches["two people in masks, guided"](setting.model)
    clone = model.deepclone_multigpu(new_load_device=device)
    assert clone.model is not model.model and adapter_of(clone) is not adapter_of(model)
    assert clone.get_additional_models()[0].load_device == device
    expected = picture(model)
    ran.clear()
    found = picture(clone)
    # A clone's weights lie elsewhere in memory, where CPU kernels may round in another way.
    assert error(found, expected) < BOUND
    for network, runs in ((clone.model.diffusion_model, 1), (model.model.diffusion_model, 0)):
        assert len(ran.threads(network)) == runs
    parts = ("mask_conv", "blocks.middle_block_1.to_k", "blocks.output_blocks_11_1.to_v")
    for part in parts:
        assert ran.threads(adapter_of(clone).get_submodule(part)), part
        assert not ran.threads(adapter_of(model).get_submodule(part)), part


def test_weights_of_a_deep_clones_adapter_are_its_own(setting, patches):
    model = patches["guided"](setting.model)
    expected = picture(model)
    clone = model.deepclone_multigpu(new_load_device=SECOND)
    for attention in adapter_of(clone).blocks.values():
        weight = attention.to_out[0].weight
        weight.data = weight.data * 1.5
    assert error(picture(clone), expected) > 1e-3
    assert torch.equal(picture(model), expected)


@pytest.mark.parametrize("order", ["apply first", "work units first"])
@pytest.mark.parametrize("name", ["one person", "two people in masks, guided"])
def test_work_units_share_a_step(name, order, setting, patches, ran):
    """Both devices take part, each with its own networks, and the picture is the same."""
    patch = patches[name]
    expected = picture(patch(setting.model))
    steps = [patch, work_units] if order == "apply first" else [work_units, patch]
    model = setting.model
    for step in steps:
        model = step(model)
    ran.clear()
    found = picture(model)
    assert error(found, expected) < BOUND
    second = second_of(model)
    assert adapter_of(second) is not adapter_of(model)
    main, extra = (
        [ran.threads(network) for network in (m.model.diffusion_model, adapter_of(m).mask_conv)]
        for m in (model, second)
    )
    assert len(main[0]) == len(extra[0]) == 1 and main[0] != extra[0]
    if "masks" in name:
        assert (main[1], extra[1]) == (main[0], extra[0])
    for m, threads in ((model, main), (second, extra)):
        assert ran.threads(adapter_of(m).blocks["middle_block_1"]) == threads[0]
    assert torch.equal(picture(model), found), "again, with features kept and clones there already"


def test_a_prompt_alone_leaves_a_device_without_work(setting, patches):
    patch = patches["two people in masks, guided"]

    def run(model: ModelPatcher) -> Tensor:
        return sampled(guider(model, cond(PROMPT), None, 1.0), NOISE, 3)

    assert error(run(work_units(patch(setting.model))), run(patch(setting.model))) < BOUND


def test_areas_go_to_either_device(setting, patches):
    """More entries than devices; every one keeps the mask and region of its own place."""
    patch = patches["two people in masks, guided"]
    positive = cond(PROMPT) + cond(NEGATIVE, area=(8, 8, 4, 8), strength=0.7)

    def run(model: ModelPatcher) -> Tensor:
        return sampled(cfg_guider(model, positive=positive), NOISE, 3)

    assert error(run(work_units(patch(setting.model))), run(patch(setting.model))) < BOUND


def test_a_lora_follows_to_every_device(setting, patches):
    lora = {"diffusion_model.out.2.weight": (torch.full((4, 32, 3, 3), 0.01),)}

    def patch(model: ModelPatcher) -> ModelPatcher:
        model = patches["guided"](model).clone()
        model.add_patches(lora, 1.0)
        return model

    expected = picture(patch(setting.model))
    assert error(expected, picture(patches["guided"](setting.model))) > 1e-3
    assert error(picture(work_units(patch(setting.model))), expected) < BOUND


def test_select_model_device(setting, patches):
    """The node puts the MODEL on a device of the user's choice, references included."""
    model = patches["two people in masks, guided"](setting.model)
    select = core_node("multigpu.SelectModelDeviceNode")
    (moved,) = run_node(select, model=model, device="cpu")
    assert torch.equal(picture(moved), picture(model))


def test_a_model_that_was_moved_first_gets_an_adapter_beside_it(setting, patches, ran):
    """Select Model Device asks to stand before all others: Apply comes after it."""
    patch = patches["two people in masks, guided"]
    moved = patch(setting.model.deepclone_multigpu(new_load_device=SECOND))
    (adapter,) = moved.get_additional_models_with_key("flashface")
    assert adapter.load_device == SECOND and adapter.model is not setting.flashface.adapter.model
    expected = picture(patch(setting.model))
    ran.clear()
    assert error(picture(moved), expected) < BOUND
    assert ran.threads(adapter_of(moved).mask_conv)
    assert not ran.threads(setting.flashface.adapter.model.mask_conv)


def test_comfyuis_node_on_a_single_device_changes_nothing(setting, patches):
    model = patches["guided"](setting.model)
    split = run_core("multigpu.MultiGPUCFGSplitNode", model=model, max_gpus=2)
    assert split.get_additional_models_with_key("multigpu") == []
    assert torch.equal(picture(split), picture(model))
