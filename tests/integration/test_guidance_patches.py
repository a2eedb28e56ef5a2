"""Guidance composes with ComfyUI's patches of the MODEL, in every order of the nodes."""

from __future__ import annotations

import comfy.samplers
import pytest
import torch
from composes import composes
from composition import (
    EARLY,
    EMPTY,
    LATE,
    ORDERS,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    random,
    unchanged,
    worst_error,
)
from core_nodes import core_node, run_core, takes
from sampling import cond
from written_down import difference, written

BOUND = 1e-5
MATTERS = 1e-4
WITHOUT_EFFECT = "slg.SkipLayerGuidanceDiTSimple"  # a UNet has no such layers
DOWNSCALE = {
    "block_number": 3,
    "downscale_factor": 2.0,
    "start_percent": 0.0,
    "end_percent": 1.0,
    "downscale_after_skip": True,
    "downscale_method": "bicubic",
    "upscale_method": "bicubic",
}
FREEU = {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}
LAYERS = {"double_layers": "7", "single_layers": "7", "start_percent": 0.0, "end_percent": 1.0}
HYPERTILE = {"tile_size": 32, "swap_size": 2, "max_depth": 1, "scale_depth": False}
MULTIPLY = {"q": 1.1, "k": 0.9, "v": 1.2, "out": 0.8}
SAMPLING = "model_advanced.ModelSamplingDiscrete"
V_PREDICTION = composes(
    "v-prediction models", note="with ModelSamplingDiscrete, as for every SD1.x in ComfyUI"
)
DISCRETE = composes("ModelSamplingDiscrete (eps, lcm, v_prediction, zsnr)")
NODES = [
    (
        "pag.PerturbedAttentionGuidance",
        {"scale": 3.0},
        composes("PerturbedAttentionGuidance (PAG)"),
    ),
    (
        "sag.SelfAttentionGuidance",
        {"scale": 0.5, "blur_sigma": 2.0},
        composes("Self-Attention Guidance (SAG)"),
    ),
    (
        "apg.APG",
        {"eta": 0.5, "norm_threshold": 5.0, "momentum": 0.0},
        composes("Adaptive Projected Guidance"),
    ),
    ("tcfg.TCFG", {}, composes("Tangential Damping CFG")),
    ("mahiro.Mahiro", {}, composes("Mahiro CFG")),
    ("cfg.CFGZeroStar", {}, composes("CFGZeroStar")),
    ("cfg.CFGNorm", {"strength": 0.8}, composes("CFGNorm")),
    ("cfg.CFGNorm", {"strength": 0.8, "pre_cfg": True}, composes("CFGNorm")),
    ("model_advanced.RescaleCFG", {"multiplier": 0.7}, composes("RescaleCFG")),
    ("lumina2.RenormCFG", {"cfg_trunc": 100.0, "renorm_cfg": 1.0}, composes("RenormCFG")),
    ("video_model.VideoLinearCFGGuidance", {"min_cfg": 1.0}, composes("VideoLinearCFGGuidance")),
    ("fresca.FreSca", {"scale_low": 1.0, "scale_high": 1.25, "freq_cutoff": 4}, composes("FreSca")),
    (WITHOUT_EFFECT, LAYERS, ()),
    (
        "perpneg.PerpNeg",
        {"empty_conditioning": cond(EMPTY), "neg_scale": 1.0},
        composes("Perp-Neg"),
    ),
    (
        "custom_sampler.CFGOverride",
        {"cfg": 3.0, "start_percent": 0.0, "end_percent": 1.0},
        composes("CFG Override"),
    ),
    ("eps.EpsilonScaling", {"scaling_factor": 1.05}, composes("Epsilon Scaling")),
    ("eps.TemporalScoreRescaling", {"tsr_k": 0.9, "tsr_sigma": 1.0}, composes("TSR")),
    ("hypertile.HyperTile", HYPERTILE, composes("HyperTile")),
    ("tomesd.TomePatchModel", {"ratio": 0.3}, composes("Token merging (TomePatchModel)")),
    ("freelunch.FreeU", FREEU, composes("FreeU")),
    ("freelunch.FreeU_V2", FREEU, composes("FreeU_V2")),
    (
        "model_downscale.PatchModelAddDownscale",
        DOWNSCALE,
        composes("Deep Shrink (PatchModelAddDownscale)"),
    ),
    (
        "attention_multiply.UNetSelfAttentionMultiply",
        MULTIPLY,
        composes("UNetSelfAttentionMultiply"),
    ),
    (SAMPLING, {"sampling": "v_prediction", "zsnr": False}, V_PREDICTION),
    (SAMPLING, {"sampling": "v_prediction", "zsnr": True}, V_PREDICTION),
    (SAMPLING, {"sampling": "lcm", "zsnr": False}, DISCRETE),
    (SAMPLING, {"sampling": "eps", "zsnr": True}, DISCRETE),
]


def core_patches() -> list:
    """The nodes as parameters; those that this ComfyUI lacks are skipped and say so."""
    found = []
    for name, inputs, row in NODES:
        marks = [row] if row else []
        if core_node(name) is None or not all(takes(name, option) for option in inputs):
            wanted = " ".join([name, *inputs])
            marks.append(pytest.mark.skip(reason=f"this ComfyUI has no {wanted}"))
        chosen = [str(v) for v in inputs.values() if isinstance(v, str | bool)]
        title = " ".join([name.split(".")[1], *chosen])
        found.append(pytest.param(name, inputs, id=title, marks=marks))
    return found


@pytest.mark.parametrize(("name", "inputs"), core_patches())
def test_patches(name, inputs, setting: Setting, record, request):
    def patch(model):
        return run_core(name, model=model, **inputs)

    for timestep, orders in ((EARLY, ["fGA"]), (LATE, ORDERS)):
        error = worst_error(setting, patch, cfg_guider, points(setting, [timestep]), orders)
        record(f"patches: {request.node.callspec.id}", error)
        assert error < BOUND


@pytest.mark.parametrize(("name", "inputs"), core_patches())
def test_patches_without_guidance(name, inputs, setting: Setting, record, request):
    """Beside Apply alone, a patch does what it does to a UNet that has the reference term."""

    def patch(model):
        return run_core(name, model=model, **inputs)

    def sample(model):
        return noise_predictions(cfg_guider(model), points(setting, [LATE]))

    expected = written(setting, patch, sample, guided=False)
    if name != WITHOUT_EFFECT:
        for other in (
            written(setting, unchanged, sample, guided=False),
            written(setting, patch, sample, guided=False, strength=0.0),
        ):
            assert difference(other, expected) > MATTERS
    for order in ("fA", "Af"):
        error = difference(sample(setting.guided(patch, order)), expected)
        record(f"Apply alone: {request.node.callspec.id}", error)
        assert error < BOUND


@pytest.mark.parametrize("cfg", [1.0, 0.0])
@pytest.mark.parametrize("name", ["pag.PerturbedAttentionGuidance", "sag.SelfAttentionGuidance"])
def test_patches_at_other_cfg(name, cfg, setting: Setting, record):
    inputs = next(inputs for node, inputs, _ in NODES if node == name)
    at = points(setting, [LATE])

    def patch(model):
        return run_core(name, model=model, **inputs)

    error = worst_error(setting, patch, lambda model: cfg_guider(model, cfg), at)
    record(f"patches: {name.split('.')[1]} at cfg {cfg:g}", error)
    assert error < BOUND


def table_by_prompt(model):
    """A model whose function wrapper and attention patch look up tables of two."""

    def scaled(out, options):
        rows = out.shape[0] // len(options["cond_or_uncond"])
        table = torch.tensor([1.3, 0.6])[options["cond_or_uncond"]]
        return out * table.repeat_interleave(rows).view(-1, 1, 1)

    def wrapper(apply_model, arguments):
        out = apply_model(arguments["input"], arguments["timestep"], **arguments["c"])
        inner = arguments["c"]["transformer_options"]["cond_or_uncond"]
        assert inner == arguments["cond_or_uncond"]
        rows = out.shape[0] // len(inner)
        table = torch.tensor([0.9, 1.1])[inner].repeat_interleave(rows)
        return out * table.view(-1, 1, 1, 1)

    clone = model.clone()
    clone.set_model_unet_function_wrapper(wrapper)
    clone.set_model_attn1_output_patch(scaled)
    clone.set_model_attn2_output_patch(scaled)
    return clone


def nested_call(model):
    """A model that asks for one prompt again after guidance, and for the positive alone."""

    def again(args):
        out = args["denoised"]
        for name, share in (("cond", 0.2), ("uncond", 0.1)):
            (more,) = comfy.samplers.calc_cond_batch(
                args["model"],
                [args[name]],
                args["input"] * 0.9,
                args["sigma"],
                args["model_options"],
            )
            out = out + share * more
        return out

    clone = model.clone()
    clone.set_model_sampler_post_cfg_function(again)
    return clone


@pytest.mark.parametrize("patch", [table_by_prompt, nested_call], ids=lambda f: f.__name__)
@pytest.mark.parametrize("batch", [1, 2])
def test_patches_of_others(patch, batch, setting: Setting, record):
    for timestep in (EARLY, LATE):
        at = points(setting, [timestep], random(batch, 4, 16, 16, seed=12))
        error = worst_error(setting, patch, cfg_guider, at)
        record(f"patches: {patch.__name__}", error)
        assert error < BOUND
