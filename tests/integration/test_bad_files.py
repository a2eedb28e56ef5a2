"""Files that are no FlashFace checkpoint: the message says which, why, and what to do."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from checkpoint_files import official_tensors
from safetensors import SafetensorError, safe_open
from safetensors.torch import save, save_file

OFFICIAL = official_tensors()
GARBAGE = bytes(range(256)) * 40
SAFETENSORS_HINT = (
    "It is incomplete or of another format: compare its size with the original's and download it "
    "again."
)


@pytest.fixture
def folder(comfyui_base: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder of its own, where the loader node finds files for this test."""
    import folder_paths

    paths = folder_paths.folder_names_and_paths["flashface"][0]
    paths.append(str(tmp_path))
    yield tmp_path
    paths.remove(str(tmp_path))


@pytest.fixture
def refused(pack, run_node, folder) -> Callable[..., str]:
    """`refused(name)`: what the loader says of a file in `folder`."""

    def load(name: str, dtype: str = "default") -> str:
        with pytest.raises(ValueError) as caught:
            run_node(pack["FlashFaceModelLoader"], model_name=name, weight_dtype=dtype)
        assert type(caught.value).__name__ == "CheckpointError"
        return str(caught.value)

    return load


def words_of_safetensors(file: Path) -> str:
    with pytest.raises(SafetensorError) as caught, safe_open(file, framework="pt"):
        pass
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt", "a.sft", "a.pt"])
def test_an_empty_file(name, folder, refused):
    (folder / name).touch()
    assert refused(name) == f"{name} is empty (0 bytes). Download or copy it again."


@pytest.mark.parametrize("content", [GARBAGE, save(OFFICIAL)[:200_000], b"x"])
def test_a_corrupt_or_truncated_safetensors_file(content, folder, refused):
    (folder / "a.safetensors").write_bytes(content)
    why = words_of_safetensors(folder / "a.safetensors")
    assert refused("a.safetensors") == (
        f"a.safetensors is not a readable .safetensors file ({why}). {SAFETENSORS_HINT}"
    )


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.98])
def test_a_truncated_ckpt_file(keep, folder, refused):
    torch.save(OFFICIAL, folder / "a.ckpt")
    content = (folder / "a.ckpt").read_bytes()
    (folder / "a.ckpt").write_bytes(content[: int(len(content) * keep)])
    said = refused("a.ckpt")
    assert said.startswith("a.ckpt is not a readable torch checkpoint (PytorchStreamReader failed ")
    assert said.endswith(f"). {SAFETENSORS_HINT}") and "\n" not in said


def test_a_file_of_something_else_with_the_ending_ckpt(folder, refused):
    (folder / "a.ckpt").write_bytes(GARBAGE)
    assert refused("a.ckpt") == (
        "a.ckpt is not a torch checkpoint, or one of the old format of torch before 1.6, which "
        "cannot be read in parts. Use the file of the authors' release or a .safetensors file."
    )


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["alone", "beside the weights"])
def test_code_in_a_file_does_not_run(place, folder, refused):
    evil = Malicious(f"echo ran > {folder / 'ran'}")
    torch.save(evil if place == "alone" else {**OFFICIAL, "step": evil}, folder / "a.ckpt")
    assert refused("a.ckpt") == (
        "a.ckpt holds Python objects that are not weights, and code from a model file is never "
        "run. Use the file of the authors' release or a .safetensors file."
    )
    assert not (folder / "ran").exists()


def test_code_in_a_plain_pickle_does_not_run(folder, refused):
    evil = Malicious(f"echo ran > {folder / 'ran'}")
    (folder / "a.ckpt").write_bytes(pickle.dumps({"state_dict": evil}))
    assert refused("a.ckpt") == (
        "a.ckpt is not a torch checkpoint, or one of the old format of torch before 1.6, which "
        "cannot be read in parts. Use the file of the authors' release or a .safetensors file."
    )
    assert not (folder / "ran").exists()


def test_a_list_of_tensors(folder, refused):
    torch.save([torch.zeros(3)], folder / "a.pt")
    assert refused("a.pt") == (
        "a.pt holds a list, not a table of named weights. Use the file of the authors' release or "
        "a .safetensors file."
    )


@pytest.mark.parametrize("name", ["a.safetensors", "a.ckpt"])
def test_an_sd15_checkpoint(name, folder, refused):
    weights = {
        "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(320, 4, 3, 3),
        "model.diffusion_model.out.2.bias": torch.zeros(4),
        "first_stage_model.encoder.conv_in.weight": torch.zeros(128, 3, 3, 3),
        "cond_stage_model.transformer.text_model.final_layer_norm.bias": torch.zeros(768),
    }
    (torch.save if name.endswith("ckpt") else save_file)(weights, folder / name)
    assert refused(name) == (
        f"{name} is not a FlashFace checkpoint: a FlashFace checkpoint has 'ori_encoder.0.weight' "
        "(official) or 'mask_conv.weight' (compact), this file has "
        "cond_stage_model.transformer.text_model.final_layer_norm.bias, "
        "first_stage_model.encoder.conv_in.weight, model.diffusion_model.input_blocks.0.0.weight. "
        "It holds a Stable Diffusion model, such as Save Checkpoint writes of a MODEL. Load it "
        "with Load Checkpoint or Load Diffusion Model, and take FLASHFACE_MODEL from the original "
        "FlashFace file, as before."
    )


def test_a_table_without_weights(folder, refused):
    torch.save({"epoch": 3}, folder / "a.ckpt")
    assert "this file has no weights at all. Choose flashface.ckpt" in refused("a.ckpt")


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        (
            ["ori_decoder.4.1.blocks.0.self_attn.self_attn_first.q.weight"],
            "reference_attention.output_blocks.4.1.to_q.weight",
        ),
        (
            ["ref_encoder.0.weight", "ref_encoder.0.bias"],
            "referencenet.input_blocks.0.0.weight, referencenet.input_blocks.0.0.bias",
        ),
        (
            ["head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"],
            "unet.out.0.weight, unet.out.0.bias, unet.out.2.weight and 1 more",
        ),
        (
            ["ori_encoder.1.1.blocks.0.cross_attn.k.weight"],
            "unet.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
        ),
    ],
)
def test_missing_keys_are_named(missing, names, folder, refused):
    weights = {name: tensor for name, tensor in OFFICIAL.items() if name not in missing}
    save_file(weights, folder / "a.safetensors")
    assert refused("a.safetensors") == (
        f"a.safetensors is incomplete: it lacks {names}. "
        "Download it again, or convert it again from the original."
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nan_and_infinite_weights(value, folder, refused):
    weights = official_tensors(width=32)
    weights["ori_decoder.3.0.layer1.2.weight"][1, 2, 0, 1] = value
    save_file(weights, folder / "a.safetensors")
    assert refused("a.safetensors") == (
        "a.safetensors is damaged: its weight 'ori_decoder.3.0.layer1.2.weight' has NaN or "
        "infinite values. Download it again, or convert it again from the original."
    )


def test_weights_that_the_chosen_dtype_cannot_hold(folder, refused):
    weights = official_tensors(width=32)
    weights["ori_decoder.3.0.layer1.2.weight"][1, 2, 0, 1] = -1e6
    save_file(weights, folder / "a.safetensors")
    for dtype, kind in (("fp16", "float16"), ("fp8_e4m3fn", "float8_e4m3fn")):
        assert refused("a.safetensors", dtype) == (
            "Weight 'unet.output_blocks.3.0.in_layers.2.weight' of a.safetensors has values too "
            f"large for {kind} (up to 1e+06). Choose bf16 or fp32."
        )


def test_a_network_narrower_than_its_norms(folder, refused):
    save_file(OFFICIAL, folder / "a.safetensors")
    assert refused("a.safetensors") == (
        "a.safetensors is 8 channels wide, but SD1.5's networks are a multiple of 32. Choose "
        "another file."
    )


def test_a_weight_of_another_shape(folder, refused):
    weights = {**OFFICIAL, "head.2.weight": torch.zeros(4, 9, 3, 3)}
    save_file(weights, folder / "a.safetensors")
    assert refused("a.safetensors") == (
        "a.safetensors is not a FlashFace checkpoint for SD1.5: weight 'head.2.weight' has shape "
        "[4, 9, 3, 3], expected [4, 8, 3, 3]. Choose another file."
    )


@pytest.mark.parametrize(("name", "ending"), [("a.txt", ".txt"), ("flashface", "no extension")])
def test_an_unknown_extension(name, ending, folder, refused):
    (folder / name).write_bytes(GARBAGE)
    assert refused(name) == (
        f"{name} ends in {ending}; a model file of this pack ends in .safetensors, .ckpt or .pt. "
        "Rename it if it only lost its ending."
    )


def test_a_compact_file_of_a_later_version(folder, refused):
    weights = {"unet.input_blocks.0.0.weight": torch.zeros(1), "mask_conv.weight": torch.zeros(1)}
    save_file(weights, folder / "a.safetensors", metadata={"flashface_format": "2"})
    assert refused("a.safetensors") == (
        "a.safetensors is a compact FlashFace file of format 2; this version of the pack reads "
        "format 1. Update the pack, or convert the original again."
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ori_encoder.0.weight", [8]),
        ("ori_encoder.1.1.blocks.0.cross_attn.k.weight", [16]),
        ("ori_encoder.4.0.layer2.3.weight", []),
        ("ori_encoder.0.weight", [0, 5, 3, 3]),
    ],
)
def test_weights_that_tell_no_size(name, shape, folder, refused):
    save_file({**OFFICIAL, name: torch.zeros(shape)}, folder / "a.safetensors")
    assert refused("a.safetensors") == (
        f"a.safetensors is not a FlashFace checkpoint for SD1.5: weight {name!r} has shape "
        f"{shape}. Choose another file."
    )
