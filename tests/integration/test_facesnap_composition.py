"""FaceSnap beside everything else that touches MODEL or CONDITIONING.

Where core's ControlNet of the same weights can stand in its place, both have to agree to the bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.supported_models
import facesnap_files
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composes import composes
from composition import NEGATIVE, OTHER, PROMPT, Setting, random, unchanged
from core_nodes import core_node, fill, inpaint_model, run_core, windows
from facesnap_files import dots
from facesnap_setting import HINT, Snap, controlled
from host_pack import pack_module
from safetensors.torch import save_file
from sampling import cond
from torch import Tensor
from written_down import difference, with_flashface

BOUND = 1e-5
SECOND = torch.device("cpu", 0)
LEFT = torch.zeros(1, 128, 128)
LEFT[..., :64] = 1
FRAMES = {"samples": torch.zeros(4, 4, 16, 16)}


def same(snap: Snap, positive: list | None = None, negative: list | None = None, **options: Any):
    """Assert that Apply FaceSnap is core's way on some prompts, and does something there."""
    found = snap.sample(*snap.apply(positive, negative), **options)
    assert torch.equal(found, snap.sample(*snap.core_way(positive, negative), **options))
    plain = snap.sample(positive or cond(PROMPT), negative or cond(NEGATIVE), **options)
    assert difference(found, plain) > 1e-3


@pytest.fixture(scope="module")
def lora(comfyui_base: Path) -> Iterator[str]:
    """A LoRA for two layers of the UNet."""
    tensors = {}
    for seed, name in enumerate(("attn2_to_v", "attn1_to_q"), start=60):
        key = f"lora_unet_mid_block_attentions_0_transformer_blocks_0_{name}"
        tensors[f"{key}.lora_down.weight"] = random(4, 64, seed=seed) * 0.4
        tensors[f"{key}.lora_up.weight"] = random(64, 4, seed=seed + 30) * 0.4
        tensors[f"{key}.alpha"] = torch.tensor(4.0)
    file = comfyui_base / "models" / "loras" / "facesnap_lora.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    yield file.name
    file.unlink()


def test_lora(lora, snap: Snap):
    changed = run_core("LoraLoaderModelOnly", model=snap.model, lora_name=lora, strength_model=0.8)
    same(snap, model=changed)


def hooked(lora: str) -> list[list]:
    """Positive and negative with a LoRA hook each."""
    hooks = run_core("hooks.CreateHookLora", lora_name=lora, strength_model=1.0, strength_clip=0.0)
    return [
        run_core(
            "hooks.ConditioningSetProperties",
            cond_NEW=cond(tokens),
            strength=1.0,
            set_cond_area="default",
            hooks=hooks,
        )
        for tokens in (PROMPT, NEGATIVE)
    ]


def test_lora_hooks(lora, snap: Snap):
    same(snap, *hooked(lora))


def areas() -> dict[str, list]:
    """Positive prompts of two entries, made by core's nodes."""
    area = {"width": 64, "height": 128, "x": 64, "y": 0, "strength": 0.9}
    mask = {"mask": LEFT, "set_cond_area": "default", "strength": 1.0}
    changed = {
        "area": run_core("ConditioningSetArea", conditioning=cond(OTHER), **area),
        "mask": run_core("ConditioningSetMask", conditioning=cond(OTHER), **mask),
        "range": run_core(
            "ConditioningSetTimestepRange", conditioning=cond(OTHER), start=0.3, end=0.6
        ),
        "combined": cond(OTHER),
    }
    return {
        name: run_core("ConditioningCombine", conditioning_1=cond(PROMPT), conditioning_2=other)
        for name, other in changed.items()
    }


@pytest.mark.parametrize("name", ["area", "mask", "range", "combined"])
def test_conditioning_nodes(name, snap: Snap):
    same(snap, areas()[name])


def test_conditioning_nodes_behind_it(snap: Snap):
    """What nodes do to entries afterwards leaves tokens and ControlNet on them."""
    area = {"width": 64, "height": 128, "x": 64, "y": 0, "strength": 0.9}

    def picture(prompts: tuple) -> Tensor:
        placed = run_core("ConditioningSetArea", conditioning=prompts[0], **area)
        both = run_core("ConditioningCombine", conditioning_1=cond(OTHER), conditioning_2=placed)
        return snap.sample(both, prompts[1])

    assert torch.equal(picture(snap.apply()), picture(snap.core_way()))


def test_the_positive_alone(snap: Snap):
    """The negative prompt is another one, without FaceSnap."""
    positive, _ = snap.apply()
    expected, _ = snap.core_way()
    found = snap.sample(positive, cond(NEGATIVE))
    assert torch.equal(found, snap.sample(expected, cond(NEGATIVE)))


def test_a_node_that_drops_the_tokens_is_told(snap: Snap, caplog):
    positive, negative = snap.apply()
    bare = [[text, {**entry, "model_conds": {}}] for text, entry in positive]
    found = snap.sample(bare, negative)
    assert "dropped the person's tokens" in caplog.text
    nobody = snap.sample(*snap.apply(identity_strength=0.0))
    assert difference(found, nobody) < BOUND  # prompts with other keys go in batches of their own


def test_inpainting(snap: Snap):
    latent = {"samples": random(1, 4, 16, 16, seed=5), "noise_mask": LEFT[:, None]}
    same(snap, latent_image=latent, denoise=0.7)


def test_pag(snap: Snap):
    changed = run_core("pag.PerturbedAttentionGuidance", model=snap.model, scale=2.0)
    same(snap, model=changed)


def test_an_inpainting_model(snap: Snap):
    """Nine input channels: the ControlNet sees the first four, as in core."""
    same(snap, model=inpaint_model(snap.model))


@pytest.mark.parametrize(("dim", "length"), [(0, 2), (3, 12)], ids=["frames", "columns"])
def test_context_windows(dim, length, snap: Snap):
    latent = FRAMES if dim == 0 else {"samples": torch.zeros(1, 4, 16, 16)}
    changed = windows(dim, length, "pyramid")(snap.model)
    same(snap, model=changed, latent_image=latent)


def test_a_batch_of_landmark_pictures_goes_to_its_batch(snap: Snap):
    """Each picture has its own hint and its own mask; with three for four the first comes again."""
    hints, masks = dots(72, count=3), torch.rand(3, 128, 128, generator=torch.manual_seed(3))
    noise = {"latent_image": FRAMES}
    found = snap.sample(*snap.apply(landmark_image=hints, region_mask=masks), **noise)
    for i in range(4):
        one = snap.apply(landmark_image=hints[[i % 3]], region_mask=masks[[i % 3]])
        assert difference(found[[i]], snap.sample(*one, **noise)[[i]]) < BOUND
    assert difference(found[[1]], snap.sample(*snap.apply(), **noise)[[1]]) > 1e-3


def test_windows_take_the_landmarks_of_their_own_frames(snap: Snap):
    prompts = snap.apply(landmark_image=dots(72, count=4), region_mask=torch.rand(4, 128, 128))
    whole = snap.sample(*prompts, latent_image=FRAMES)
    model = windows(0, 2, "flat", overlap=0)(snap.model)
    parts = snap.sample(*prompts, model=model, latent_image=FRAMES)
    assert difference(parts, whole) < BOUND


@pytest.fixture(scope="module")
def setting(snap: Snap) -> Setting:
    """FlashFace's own setting, at the size that FaceSnap's file is for."""
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    reference = make_reference(random(2, 4, 8, 8, seed=20), PROMPT, 4)
    return Setting(snap.model, snap.flashface, reference, snap.pack, snap.run_node)


@composes("FaceSnap")
@pytest.mark.parametrize("people", [1, 2])
@pytest.mark.parametrize("orders", [("A",), ("AG", "GA")], ids=["apply", "guided"])
def test_flashface(people, orders, snap: Snap, setting: Setting, record):
    prompts = snap.apply(region_mask=LEFT if people == 2 else None)
    if people == 2:
        prompts = snap.apply(*prompts, identity=snap.bert, region_mask=1 - LEFT)

    def sample(model: ModelPatcher) -> Tensor:
        return snap.sample(*prompts, model=model)

    error = with_flashface(setting, unchanged, sample, orders)
    record("composition: FaceSnap with FlashFace", error)
    assert error < BOUND
    alone = snap.sample(cond(PROMPT), cond(NEGATIVE), model=setting.apply(snap.model))
    assert difference(sample(setting.apply(snap.model)), alone) > 1e-3


def test_an_attention_mask_beside_a_region_mask(snap: Snap, setting: Setting):
    """FlashFace's person at the left, FaceSnap's at the right; neither reads the other's mask."""
    left = dataclasses.replace(setting, options={"attention_mask": LEFT})
    model = left.apply(snap.model)
    prompts = snap.apply(region_mask=1 - LEFT)
    found = snap.sample(*prompts, model=model)
    for other in (
        snap.sample(*prompts, model=setting.apply(snap.model)),
        snap.sample(*snap.apply(), model=model),
        snap.sample(*snap.apply(region_mask=LEFT), model=model),
    ):
        assert difference(found, other) > 1e-3
    none = snap.sample(*snap.apply(region_mask=torch.zeros(1, 16, 16)), model=model)
    assert torch.equal(none, snap.sample(cond(PROMPT), cond(NEGATIVE), model=model))


def test_face2diffusions_prompts(snap: Snap):
    """Its conditioning is text with entries of its own, which go on."""
    same(snap, cond(random(1, 154, 64, seed=31), pooled_output=torch.ones(1, 768)))


def work_units(model: ModelPatcher) -> ModelPatcher:
    """A model with a clone for the second device, as MultiGPU CFG Split makes it."""
    import comfy.multigpu  # ComfyUI 0.18 has none

    model = model.clone()
    second = model.deepclone_multigpu(new_load_device=SECOND)
    second.is_multigpu_base_clone = True
    model.set_additional_models("multigpu", [second])
    model.match_multigpu_clones()
    comfy.multigpu.GPUOptionsGroup().register(model)
    return model


@pytest.mark.skipif(not hasattr(ModelPatcher, "deepclone_multigpu"), reason="no work units yet")
def test_work_units_of_several_gpus(snap: Snap):
    prompts = snap.apply(region_mask=LEFT)
    prompts = controlled(snap.core_control(), *snap.apply(*prompts, identity=snap.bert))
    expected = snap.sample(*prompts)
    assert difference(snap.sample(*prompts, model=work_units(snap.model)), expected) < BOUND
    control = prompts[0][0][1]["control"].previous_controlnet
    clone = control.get_instance_for_device(SECOND)
    assert clone is not control and clone.control_model is not control.control_model
    assert (clone.key, clone.mask, clone.null) == (control.key, control.mask, control.null)


def test_untouched_copies_are_made_from_the_file(snap: Snap):
    for patcher in snap.facesnap.get_models():
        make, given = patcher.cached_patcher_init
        copy = make(*given)
        ours, theirs = patcher.model.state_dict(), copy.model.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert ours.keys() == theirs.keys()


def sdxl() -> Any:
    """A MODEL of SDXL's form, 64 channels wide, with random weights."""
    config = {
        **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 64},
        **{"num_res_blocks": [2, 2, 2], "transformer_depth": [0, 0, 2, 2, 2, 2]},
        **{"channel_mult": [1, 2, 2], "transformer_depth_middle": 2},
        **{"transformer_depth_output": [0, 0, 0, 2, 2, 2, 2, 2, 2], "context_dim": 2048},
        **{"use_linear_in_transformer": True, "adm_in_channels": 2816},
        **{"num_classes": "sequential", "use_spatial_transformer": True, "legacy": False},
        **{"use_checkpoint": False, "use_temporal_attention": False},
        "use_temporal_resblock": False,
    }
    made = comfy.supported_models.SDXL(config)
    made.set_inference_dtype(torch.float32, None)
    model = made.get_model({}, "", device=torch.device("cpu"))
    fill(model.diffusion_model, 7)
    return ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def test_sdxl(snap: Snap, comfyui_base: Path):
    """Its pooled text and sizes reach FFRNet as they reach every ControlNet."""
    model = sdxl()
    tensors = facesnap_files.model_tensors(facesnap_files.controlnet_for(model), text=2048)
    path = comfyui_base / "models" / "facesnap" / "xl.safetensors"
    facesnap_files.write_model(path, tensors, base="sdxl", text_width=2048)
    (loaded,) = snap.run_node(snap.pack["FaceSnapModelLoader"], model_name=path.name)
    other = dataclasses.replace(snap, model=model, facesnap=loaded, file=path)
    prompts = [
        cond(random(1, 77, 2048, seed=i), pooled_output=random(1, 1280, seed=i)) for i in (1, 2)
    ]
    same(other, *prompts)
    message = r"xl\.safetensors is for SDXL \(text width 2048\).*this MODEL is SD15: text width 64"
    with pytest.raises(ValueError, match=message):
        snap.sample(*other.apply())
    path.unlink()


FAMILIES: dict[str, dict[str, Any]] = {
    "Flux": {
        **{"in_channels": 16, "out_channels": 16, "vec_in_dim": 64, "context_in_dim": 64},
        **{"hidden_size": 128, "mlp_ratio": 2.0, "num_heads": 2, "depth": 1},
        **{"depth_single_blocks": 1, "axes_dim": [16, 24, 24], "theta": 10000, "txt_ids_dims": []},
        **{"qkv_bias": True, "guidance_embed": True, "patch_size": 2},
    },
    "SD3": {
        **{"in_channels": 16, "pos_embed_scaling_factor": None, "patch_size": 2, "depth": 1},
        **{"input_size": None, "adm_in_channels": 64, "pos_embed_max_size": 32},
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": 64, "out_features": 64},
        },
    },
}


@pytest.mark.parametrize("kind", FAMILIES)
def test_other_families_are_refused_at_sampling(kind, snap: Snap):
    """Transformers have no such blocks; ComfyUI would fail in the middle of a step."""
    config = getattr(comfy.supported_models, kind)
    made = config({**config.unet_config, **FAMILIES[kind]})
    made.set_inference_dtype(torch.float32, None)
    network = made.get_model({}, "", device=torch.device("cpu"))
    model = ModelPatcher(network, torch.device("cpu"), torch.device("cpu"))
    latent = {"samples": torch.zeros(1, 16, 16, 16)}
    prompts = [cond(tokens, pooled_output=torch.zeros(1, 64)) for tokens in (PROMPT, NEGATIVE)]
    with pytest.raises(ValueError, match=rf"this MODEL is {kind}, another kind of network"):
        snap.sample(*snap.apply(*prompts), model=model, latent_image=latent)


def test_landmark_images_may_have_an_alpha_channel(snap: Snap):
    alpha = torch.cat([HINT, torch.rand(1, 128, 128, 1)], -1)
    assert torch.equal(snap.sample(*snap.apply(landmark_image=alpha)), snap.sample(*snap.apply()))


def test_a_photo_as_landmark_image_is_told(snap: Snap, caplog):
    snap.apply(landmark_image=random(1, 128, 128, 3, seed=1).sigmoid())
    assert "not black around its dots" in caplog.text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"landmark_image": torch.zeros(0, 8, 8, 3)}, "landmark_image should be pictures"),
        ({"landmark_image": torch.zeros(1, 8, 8, 7)}, "landmark_image should be pictures"),
        ({"region_mask": torch.zeros(1, 0, 8)}, "region_mask should be a mask"),
        ({"region_mask": torch.zeros(8)}, "region_mask should be a mask"),
        ({"region_mask": torch.full((1, 8, 8), torch.nan)}, "region_mask holds numbers that are"),
        ({"strength": float("nan")}, "strength should be a number from 0 to 2"),
    ],
)
def test_what_is_no_picture_is_refused(given, words, snap: Snap):
    with pytest.raises(ValueError, match=words):
        snap.apply(**given)


def test_core_refuses_the_file_instead_of_half_using_it(snap: Snap, comfyui_base: Path):
    copy = comfyui_base / "models" / "controlnet" / "facesnap.safetensors"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(snap.file.read_bytes())
    with pytest.raises(RuntimeError):
        core_node("ControlNetLoader")().load_controlnet(copy.name)
    copy.unlink()
