"""Official and compact files give the same tensors under our names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import TEXT_WIDTH, WIDTH, official_tensors
from safetensors.torch import save_file

from flashface_core.flashface.checkpoint import open_checkpoint, reader
from flashface_core.flashface.checkpoint.convert import convert
from flashface_core.flashface.checkpoint.keys import FIRST_CONV, MASK_CONV, from_official
from flashface_core.flashface.checkpoint.layout import Sizes, expected_shapes

OFFICIAL = official_tensors()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """One checkpoint in every format that is read."""
    folder = tmp_path_factory.mktemp("checkpoints")
    found = {
        name: folder / name
        for name in ("flashface.ckpt", "nested.pth", "flashface.safetensors", "compact.safetensors")
    }
    torch.save(OFFICIAL, found["flashface.ckpt"])
    torch.save({"state_dict": OFFICIAL, "epoch": 3}, found["nested.pth"])
    save_file(OFFICIAL, found["flashface.safetensors"])
    convert(found["flashface.ckpt"], found["compact.safetensors"], torch.float32)
    return found


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in open_checkpoint(path).tensors()}


def test_every_format_gives_equal_tensors(files):
    tables = [tensors_of(path) for path in files.values()]
    for table in tables:
        assert list(table) == list(expected_shapes(Sizes(WIDTH, TEXT_WIDTH)))
        for name, tensor in table.items():
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, tables[0][name]), name


def test_tensors_are_those_of_the_file(files):
    table = tensors_of(files["flashface.ckpt"])
    for name, tensor in OFFICIAL.items():
        ours = from_official(name)
        if ours is not None and ours != FIRST_CONV:
            assert torch.equal(table[ours], tensor), name


def test_the_fifth_channel_of_the_first_convolution_is_the_mask_convolution(files):
    table = tensors_of(files["flashface.safetensors"])
    unet, mask = table[FIRST_CONV], table[MASK_CONV]
    assert unet.shape == (WIDTH, 4, 3, 3) and mask.shape == (WIDTH, 1, 3, 3)
    assert torch.equal(torch.cat([unet, mask], dim=1), OFFICIAL["ori_encoder.0.weight"])


@pytest.mark.parametrize(("width", "text_width"), [(8, 16), (16, 24)])
def test_sizes_are_read_from_the_tensors(width, text_width, tmp_path):
    save_file(official_tensors(width, text_width), tmp_path / "a.safetensors")
    sizes = open_checkpoint(tmp_path / "a.safetensors").sizes
    assert sizes == Sizes(width, text_width, (1, 2, 4, 4), 4)
    assert str(sizes) == f"width {width}, text width {text_width}"


def test_an_ending_is_read_in_any_case(files, tmp_path):
    (tmp_path / "A.SAFETENSORS").symlink_to(files["flashface.safetensors"])
    assert open_checkpoint(tmp_path / "A.SAFETENSORS").sizes.width == WIDTH


def test_what_lies_beside_the_weights_is_ignored(tmp_path):
    more = {"optimizer.state": torch.zeros(3), "ema.decay": torch.ones(1)}
    torch.save({**OFFICIAL, **more, "step": 50_000}, tmp_path / "a.ckpt")
    assert list(tensors_of(tmp_path / "a.ckpt")) == list(expected_shapes(Sizes(8, 16)))


def test_prefixes_choose_a_part(files):
    checkpoint = open_checkpoint(files["flashface.ckpt"])
    parts = ("reference_attention.", "mask_conv.")
    found = [name for name, _ in checkpoint.tensors(parts)]
    assert found == [name for name in checkpoint.shapes if name.startswith(parts)]
    assert len(found) == 10 * 5 + 1


def test_reading_in_small_groups_changes_nothing(files, monkeypatch):
    whole = tensors_of(files["nested.pth"])
    monkeypatch.setattr(reader, "GROUP_BYTES", 300_000)
    in_parts = tensors_of(files["nested.pth"])
    assert list(whole) == list(in_parts)
    assert all(torch.equal(whole[name], in_parts[name]) for name in whole)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_is_the_files_own(dtype, tmp_path):
    save_file({k: v.to(dtype) for k, v in OFFICIAL.items()}, tmp_path / "a.safetensors")
    checkpoint = open_checkpoint(tmp_path / "a.safetensors")
    assert checkpoint.dtype() == dtype
    assert {tensor.dtype for _, tensor in checkpoint.tensors(("mask_conv", "unet.out."))} == {dtype}
