"""What a user can connect wrongly: the message says what was given, expected and to do."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import comfy.supported_models
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import Setting, random
from host_pack import pack_module


@pytest.fixture
def refuses(setting: Setting) -> Callable[..., None]:
    """`refuses(words, **inputs)`: Apply FlashFace raises exactly these words."""

    def run(words: str, **inputs: Any) -> None:
        given = {
            "model": setting.model,
            "flashface": setting.flashface,
            "reference": setting.reference,
            "strength": 1.2,
        }
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            setting.run_node(setting.pack["FlashFaceApply"], **{**given, **inputs})

    return run


SDXL = {
    **{"image_size": 32, "out_channels": 4, "use_spatial_transformer": True, "legacy": False},
    **{"num_classes": "sequential", "adm_in_channels": 2816, "in_channels": 4},
    **{
        "model_channels": 320,
        "num_res_blocks": [2, 2, 2],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
    },
    **{"channel_mult": [1, 2, 4], "transformer_depth_middle": 10, "context_dim": 2048},
    **{"transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "num_head_channels": 64},
    **{"use_linear_in_transformer": True, "use_temporal_attention": False},
}
FLUX = {
    **{"image_model": "flux", "in_channels": 16, "out_channels": 16, "vec_in_dim": 768},
    **{"context_in_dim": 4096, "hidden_size": 3072, "mlp_ratio": 4.0, "num_heads": 24, "depth": 1},
    **{"depth_single_blocks": 1, "axes_dim": [16, 56, 56], "theta": 10000, "patch_size": 2},
    **{"qkv_bias": True, "guidance_embed": True, "txt_ids_dims": []},
}


def meta_model(kind: Any, unet_config: dict[str, Any]) -> ModelPatcher:
    """A MODEL of another architecture, without memory for its weights."""
    meta = torch.device("meta")
    config = kind(unet_config)
    config.set_inference_dtype(torch.float16, None)
    return ModelPatcher(config.get_model({}, "", device=meta), meta, meta)


@pytest.mark.parametrize(
    ("kind", "config", "given"),
    [
        ("SDXL", SDXL, "SDXL (width 320, text width 2048)"),
        ("Flux", FLUX, "Flux (no UNet at all)"),
    ],
)
def test_a_model_of_another_architecture(kind, config, given, refuses, setting):
    model = meta_model(getattr(comfy.supported_models, kind), config)
    refuses(
        f"This MODEL is {given}, but {setting.flashface.name} needs an SD1.5 UNet of width 32, "
        "text width 64. Connect the MODEL of Load FlashFace Model, or one of another SD1.5 "
        "checkpoint.",
        model=model,
    )


def test_a_reference_made_with_another_text_encoder(refuses, setting):
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    reference = make_reference(random(1, 4, 8, 8, seed=60), torch.zeros(1, 77, 1024), 4)
    refuses(
        f"This reference was encoded with a text width of 1024, but {setting.flashface.name} "
        "needs 64. Encode it again, with the negative prompt of an SD1.5 CLIP.",
        reference=reference,
    )


@pytest.mark.parametrize("name", ["face_region", "attention_mask"])
@pytest.mark.parametrize("shape", [(1, 2, 64, 64), (64,), (1, 0, 64), (1, 64, 64, 3)])
def test_a_mask_of_another_rank(name, shape, refuses):
    refuses(
        f"{name} must be a MASK of shape (batch, height, width), got {list(shape)}. "
        "Connect the MASK output of Face Region, Load Image or another mask node.",
        **{name: torch.zeros(shape)},
    )


def test_two_flashface_models_on_one_model(setting, refuses, comfyui_base):
    file = comfyui_base / "models" / "flashface" / "second.safetensors"
    file.write_bytes((file.parent / "composition.safetensors").read_bytes())
    node = setting.pack["FlashFaceModelLoader"]
    _, second = setting.run_node(node, model_name=file.name, weight_dtype="fp32")
    refuses(
        "This MODEL already has a reference of composition.safetensors (float32) applied, and "
        "second.safetensors (float32) was given now. Connect the same FLASHFACE_MODEL to every "
        "Apply FlashFace of a MODEL.",
        model=setting.apply(setting.model),
        flashface=second,
    )
    file.unlink()


def test_a_picture_without_a_face(pack, run_node):
    settings = {"order": "largest", "index": 0, "faces_per_image": 1, "if_no_face": "error"}
    settings |= {"threshold": 0.6, "padding": 0.0, "level_eyes": True, "size": 224}
    nodes: Any = importlib.import_module("nodes")
    black = nodes.EmptyImage().generate(128, 96)[0]
    with pytest.raises(ValueError) as caught:
        run_node(
            pack["FlashFaceCropFaces"],
            image=[black],
            **{name: [value] for name, value in settings.items()},
        )
    assert str(caught.value).startswith("Image 1 of 1 (128 x 96): no face found")
    assert "if_no_face" in str(caught.value)


@pytest.mark.parametrize("denoise", [5e-324, 1e-300, 1e-7])
def test_a_denoise_next_to_nothing_gives_sigmas(denoise, setting):
    node = setting.pack["FlashFaceSigmas"]
    (sigmas,) = setting.run_node(node, model=setting.model, steps=4, denoise=denoise)
    assert torch.isfinite(sigmas).all() and sigmas[-1] == 0


def test_a_vae_that_overflows_is_told_at_encode_reference(pack, run_node, standin_models):
    nodes: Any = importlib.import_module("nodes")
    vae = nodes.VAELoader().load_vae("vae_standin.safetensors")[0]
    for parameter in vae.first_stage_model.parameters():
        parameter.data.mul_(1e30)
    given = {"faces": [torch.rand(2, 64, 64, 3)], "negative": [[[random(1, 77, 768, seed=1), {}]]]}
    with pytest.raises(ValueError, match=r"^The VAE gives latents .* not finite .*--bf16-vae"):
        run_node(pack["FlashFaceEncodeReference"], vae=[vae], repeat_to=[4], **given)
