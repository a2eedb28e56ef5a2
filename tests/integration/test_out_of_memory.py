"""Out of memory in mid run: ComfyUI's own exception comes through, and the next run is clean."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as memory
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import NOISE, Setting, cfg_guider
from sampling import sampled
from torch import Tensor

STEPS = 4
LEFT = torch.zeros(1, 128, 128)
LEFT[..., :64] = 1


@pytest.fixture
def applied(setting: Setting, reference: Any) -> ModelPatcher:
    """A model with a reference in a mask, a region and guidance."""
    given = {"flashface": setting.flashface, "reference": reference, "strength": 1.2}
    given |= {"face_region": LEFT, "attention_mask": LEFT}
    return setting.guide(
        setting.run_node(setting.pack["FlashFaceApply"], model=setting.model, **given)[0]
    )


def picture(model: ModelPatcher, callback=None) -> Tensor:
    return sampled(cfg_guider(model), NOISE, STEPS, callback=callback)


class RaiseOnce:
    """Raises ComfyUI's out-of-memory exception at the n-th call, whatever it is called with."""

    def __init__(self, call: int):
        self.left = call

    def __call__(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise memory.OOM_EXCEPTION("Allocation failed")


@contextmanager
def failing(module: torch.nn.Module, call: int) -> Iterator[RaiseOnce]:
    """Have a module run out of memory at a call."""
    error = RaiseOnce(call)
    hook = module.register_forward_pre_hook(error)
    try:
        yield error
    finally:
        hook.remove()


PLACES: dict[str, tuple[Callable[[Setting], torch.nn.Module], int]] = {
    "in ReferenceNet": (
        lambda s: s.flashface.referencenet.model.diffusion_model.middle_block[1],
        1,
    ),
    "where references are projected": (
        lambda s: s.flashface.adapter.model.blocks["output_blocks_5_1"].to_k,
        3,
    ),
    "in a late reference layer": (
        lambda s: s.flashface.adapter.model.blocks["output_blocks_11_1"].to_out,
        3,
    ),
    "at the region's convolution": (lambda s: s.flashface.adapter.model.mask_conv, 2),
    "in the UNet": (lambda s: s.model.model.diffusion_model.output_blocks[8][1], 2),
}


@pytest.mark.parametrize(
    ("place", "unload"),
    [(place, True) for place in PLACES] + [("in ReferenceNet", False), ("in the UNet", False)],
)
def test_the_next_run_is_as_from_a_fresh_start(place, unload, setting, applied, reference):
    expected = picture(applied)
    reference.identities[0].features.__init__()
    before = state_of(applied)
    find, call = PLACES[place]
    with failing(find(setting), call) as error, pytest.raises(memory.OOM_EXCEPTION):
        picture(applied)
    assert error.left == 0
    if unload:  # what ComfyUI's executor does then
        memory.unload_all_models()
    assert state_of(applied) == before
    assert torch.equal(picture(applied), expected)
    assert state_of(applied) == before
    fresh = copy.deepcopy(reference)
    assert len(fresh.identities[0].features) == 0
    given = {"flashface": setting.flashface, "reference": fresh, "strength": 1.2}
    given |= {"face_region": LEFT, "attention_mask": LEFT}
    (other,) = setting.run_node(setting.pack["FlashFaceApply"], model=setting.model, **given)
    assert torch.equal(picture(setting.guide(other)), expected)


def test_a_function_wrapper_that_runs_out_of_memory(applied):
    """As custom nodes wrap the UNet: raised outside of it, in the third step."""
    expected, error = picture(applied), RaiseOnce(3)

    def wrapper(apply_model, arguments):
        error()
        return apply_model(arguments["input"], arguments["timestep"], **arguments["c"])

    wrapped = applied.clone()
    wrapped.set_model_unet_function_wrapper(wrapper)
    reached: list[int] = []
    with pytest.raises(memory.OOM_EXCEPTION):
        picture(wrapped, lambda step, *_: reached.append(step))
    assert reached == [0, 1]
    memory.unload_all_models()
    assert torch.equal(picture(wrapped), expected)
    assert torch.equal(picture(applied), expected)


def state_of(model: ModelPatcher) -> dict[str, Any]:
    """All that a run could leave behind in a model."""
    options = model.model_options["transformer_options"]
    return {
        "options": {name: value for name, value in options.items() if name != "patches"},
        "patches": {name: list(found) for name, found in options.get("patches", {}).items()},
        "others": model.model_options.keys(),
        "wrappers": {kind: dict(found) for kind, found in model.wrappers.items() if found},
        "object patches": dict(model.object_patches),
        "weight patches": (len(model.patches), model.patches_uuid),
        "additional": {name: len(found) for name, found in model.additional_models.items()},
        "patcher": model.model.current_patcher,
    }
