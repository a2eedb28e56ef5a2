"""Groups D (one guided step), E (whole samplings) and G (schedules) of the authors' data."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import pytest
import torch
from goldens import cases, relative_error, tensors
from sampling import cond, evaluate, guider
from test_networks import inputs_of, make_reference, network_cases

BOUND = 1e-4
ROUNDED_BOUND = 5e-3
"""Where steps do not divide 1000: the authors round timesteps, ComfyUI keeps exact sigmas."""


@pytest.fixture
def guided(golden_model, pack, run_node):
    """`guided(case, data, order)`: the case's model through Apply and Guidance, in either order.

    A test has one reference, so that ReferenceNet runs once for both orders.
    """
    references: dict[str, Any] = {}

    def make(case: dict, data: dict, order: str):
        model, flashface = golden_model(case["config"])
        if case["id"] not in references:
            references[case["id"]] = make_reference(data["ref"], data["ref_context"])

        def apply(model):
            return run_node(
                pack["FlashFaceApply"],
                model=model,
                flashface=flashface,
                reference=references[case["id"]],
                strength=case["lambda"],
                face_region=data["region"],
            )[0]

        def guide(model):
            return run_node(
                pack["FlashFaceGuidance"],
                model=model,
                reference_guidance=case["classifier"],
                launch_percent=1 - min(case["step_to_launch"], 999) / 999,
                strength_before_launch=case["lambda_before"],
                rescale=case["guide_rescale"] or 0.0,
            )[0]

        return guide(apply(model)) if order == "apply first" else apply(guide(model))

    return make


@pytest.mark.parametrize(("group", "case"), network_cases("D_tiny", "D_full"))
def test_one_guided_step(group, case, guided, record):
    data = inputs_of(case)
    for order in ("apply first", "guidance first"):
        model = guided(case, data, order)
        made = guider(
            model, cond(data["context_cond"]), cond(data["context_uncond"]), case["guide_scale"]
        )
        found = evaluate(made, data["x"], case["t"][0])
        error = relative_error(found, tensors(group)[f"{case['id']}/eps"])
        record(group, error)
        assert error < BOUND, order


@pytest.mark.parametrize(("group", "case"), network_cases("E_tiny"))
def test_whole_sampling(group, case, guided, pack, run_node, record):
    data = inputs_of(case)
    model = guided(case, data, "apply first")
    (sigmas,) = run_node(pack["FlashFaceSigmas"], model=model, steps=case["steps"], denoise=1.0)
    made = guider(
        model, cond(data["context_cond"]), cond(data["context_uncond"]), case["guide_scale"]
    )
    steps: list[torch.Tensor] = []
    made.sample(
        data["x"],
        torch.zeros_like(data["x"]),
        comfy.samplers.sampler_object("euler"),
        sigmas,
        callback=lambda step, denoised, x, total: steps.append(denoised.clone()),
        seed=0,
    )
    expected = tensors(group)[f"{case['id']}/x0_steps"]
    error = max(relative_error(a, b) for a, b in zip(steps, expected, strict=True))
    exact = 1000 % case["steps"] == 0
    record(f"{group}, steps dividing 1000" if exact else f"{group}, other steps", error)
    assert error < (BOUND if exact else ROUNDED_BOUND)


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c["id"]) for c in cases("G_schedule") if "steps" in c]
)
def test_trailing_sigmas(case, golden_model, pack, run_node, record):
    model, _ = golden_model("tiny64")
    (sigmas,) = run_node(pack["FlashFaceSigmas"], model=model, steps=case["steps"], denoise=1.0)
    expected = torch.tensor(case["solver_sigmas_f32"])
    variance_preserving = sigmas / (1 + sigmas**2).sqrt()
    error = relative_error(variance_preserving, expected)
    record("G_schedule", error)
    assert error < 1e-6
    sampling = model.get_model_object("model_sampling")
    timesteps = [int(sampling.timestep(sigma)) for sigma in sigmas[:-1]]
    assert max(abs(a - b) for a, b in zip(timesteps, case["timesteps_used"], strict=True)) <= 1


def test_sigma_table(golden_model, record):
    model, _ = golden_model("tiny64")
    sigmas = model.get_model_object("model_sampling").sigmas.double()
    expected = tensors("G_schedule")["G-sigmas/sigmas"]
    error = relative_error(sigmas / (1 + sigmas**2).sqrt(), expected)
    record("G_schedule, table", error)
    assert error < 1e-6
