"""What only a device can tell; tests/accelerator runs it, not the other tests of this folder."""

from __future__ import annotations

from dataclasses import replace

import comfy.model_management
import pytest
import torch
from composition import unchanged
from host_pack import pack_module
from written_down import ksampler

FEW, MANY = 3, 7


def waits(model, steps: int) -> int:
    """How often the host waits for a result of the device in a sampling."""
    ksampler(model, steps=steps)  # loads it, and computes the reference's features
    before = torch.ops.pretended.waits()
    ksampler(model, steps=steps)
    return torch.ops.pretended.waits() - before


def test_what_is_missing_in_the_middle_of_a_sampling_is_computed_there(setting):
    """Though ReferenceNet has given its memory away, its weights come over one by one."""
    steps = {"steps": FEW, "sampler_name": "dpm_2"}
    expected = ksampler(setting.guided(unchanged, "AG"), **steps)
    fresh = replace(setting, reference=make_reference(setting))
    ksampler(fresh.guided(unchanged, "AG"), steps=FEW)  # keeps what euler needs
    comfy.model_management.unload_all_models()
    referencenet, ran_on = fresh.flashface.referencenet, set()
    hook = referencenet.model.diffusion_model.register_forward_pre_hook(
        lambda _, given: ran_on.add(given[0].device)
    )
    try:
        found = ksampler(fresh.guided(unchanged, "AG"), **steps)
    finally:
        hook.remove()
    assert ran_on == {comfy.model_management.get_torch_device()}
    assert next(referencenet.model.parameters()).device.type == "cpu"
    assert torch.allclose(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def make_reference(setting):
    """The setting's person, of whom nothing was computed yet."""
    (identity,) = setting.reference.identities
    make = pack_module("flashface_core.flashface.reference").make_reference
    return make(identity.latents, identity.context, 4)


@pytest.mark.parametrize(
    "operation",
    [
        torch.add,
        torch.matmul,
        lambda a, b: torch.cat([a, b]),
        lambda a, b: torch.conv2d(a[None, None], b[None, None]),
        lambda a, b: torch.nn.functional.scaled_dot_product_attention(a[None], b[None], b[None]),
    ],
    ids=["add", "matmul", "cat", "conv2d", "attention"],
)
def test_two_devices_in_one_operation_are_refused(operation):
    here = torch.ones(8, 8)
    there = here.to(comfy.model_management.get_torch_device())
    assert torch.equal(operation(there, there).cpu(), operation(here, here))
    for pair in ((here, there), (there, here)):
        with pytest.raises(RuntimeError, match=r"same device|should be the same"):
            operation(*pair)


@pytest.mark.parametrize("order", ["Af", "AGf"])
def test_an_evaluation_waits_once(setting, order):
    """Once more than the plain model's, to learn sigma; every wait leaves a GPU without work."""

    def a_step(model) -> float:
        return (waits(model, MANY) - waits(model, FEW)) / (MANY - FEW)

    model = setting.guided(unchanged, order)
    assert a_step(model) - a_step(setting.model) == 1
