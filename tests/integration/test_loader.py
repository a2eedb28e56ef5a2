"""Load FlashFace Model follows its dtype setting, and gives models that ComfyUI can work with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import official_tensors
from composition import NOISE, PROMPT, Setting, cfg_guider
from host_pack import pack_module
from sampling import evaluate

CHECKPOINT = "composition.safetensors"
DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp8_e4m3fn": torch.float8_e4m3fn,
    "fp8_e5m2": torch.float8_e5m2,
}


def load(setting: Setting, name: str, dtype: str) -> tuple[Any, Any]:
    node = setting.pack["FlashFaceModelLoader"]
    return setting.run_node(node, model_name=name, weight_dtype=dtype)


def predict(setting: Setting, model: Any, flashface: Any) -> torch.Tensor:
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    latents = setting.reference.identities[0].latents
    (applied,) = setting.run_node(
        setting.pack["FlashFaceApply"],
        model=model,
        flashface=flashface,
        reference=make_reference(latents, PROMPT, 4),
        strength=1.2,
        face_region=torch.ones(1, 128, 128),
    )
    return evaluate(cfg_guider(applied, cfg=2.0), NOISE, 500)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_samples_on_this_machine(name, setting):
    model, flashface = load(setting, CHECKPOINT, name)
    for network in (model.model.diffusion_model, flashface.referencenet.model.diffusion_model):
        assert {parameter.dtype for parameter in network.parameters()} == {DTYPES[name]}
    adapter = {parameter.dtype for parameter in flashface.adapter.model.parameters()}
    assert len(adapter) == 1 and all(dtype.itemsize > 1 for dtype in adapter)
    found = predict(setting, model, flashface)
    expected = predict(setting, *load(setting, CHECKPOINT, "fp32"))
    assert found.isfinite().all()
    error = float((found - expected).abs().max() / expected.abs().max())
    print(f"{name}: {error:.1e} of fp32")
    assert error < {4: 1e-6, 2: 0.2, 1: 1.0}[DTYPES[name].itemsize]


@pytest.mark.parametrize("name", ["default", "fp16"])
def test_official_and_compact_files_give_the_same_model(name, setting, comfyui_base: Path):
    folder = comfyui_base / "models" / "flashface"
    convert = pack_module("flashface_core.flashface.checkpoint.convert").convert
    tensors = official_tensors(32, 64)
    torch.save(tensors, folder / "same.ckpt")
    convert(folder / "same.ckpt", folder / "same.safetensors", torch.float32, overwrite=True)
    first, second = (load(setting, f"same.{end}", name) for end in ("ckpt", "safetensors"))
    parts = [
        [model.model, flashface.referencenet.model, flashface.adapter.model]
        for model, flashface in (first, second)
    ]
    for one, two in zip(*parts, strict=True):
        weights = one.state_dict(), two.state_dict()
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert first[1].fingerprint != second[1].fingerprint
    for file in folder.glob("same.*"):
        file.unlink()


def test_all_group_norms_have_the_authors_eps(setting):
    networks = [
        setting.model.model.diffusion_model,
        setting.flashface.referencenet.model.diffusion_model,
    ]
    for network in networks:
        norms = [m for m in network.modules() if isinstance(m, torch.nn.GroupNorm)]
        assert norms and {norm.eps for norm in norms} == {1e-6}


def test_comfyui_finds_the_models_for_its_accounting(setting):
    flashface = setting.flashface
    assert flashface.patcher is flashface.referencenet
    assert flashface.get_models() == [flashface.referencenet, flashface.adapter]


def test_every_patcher_can_be_made_anew(setting):
    flashface = setting.flashface
    for patcher in (setting.model, flashface.referencenet, flashface.adapter):
        factory, arguments = patcher.cached_patcher_init
        for options in ({}, {"disable_dynamic": True}):
            again = factory(*arguments, **options)
            old, new = patcher.model.state_dict(), again.model.state_dict()
            assert again.model is not patcher.model and old.keys() == new.keys()
            assert all(torch.equal(old[key], new[key]) for key in old)


def test_no_weight_is_held_twice_in_one_network_or_left_on_meta(setting):
    for patcher in (setting.model, *setting.flashface.get_models()):
        tensors = list(patcher.model.state_dict().values())
        assert {tensor.device.type for tensor in tensors} == {"cpu"}
        assert len({tensor.data_ptr() for tensor in tensors if tensor.numel()}) == len(
            [tensor for tensor in tensors if tensor.numel()]
        )
