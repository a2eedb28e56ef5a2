"""Weights that come with the pack: fp16 in an .npz, bit by bit, and smaller than without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from flashface_core.files.packed import write_packed
from flashface_core.files.weights import CheckpointError, open_source


def test_fp16_comes_back_bit_by_bit(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    tensors = {
        "a.weight": torch.randn(3, 5, 2, generator=random) * 1e-4,
        "b": torch.tensor([0.0, -0.0, 6e-8, 65504.0]),
        "scale": torch.tensor(0.18215),
        "ids": torch.tensor([49407, 3]),
    }
    path = tmp_path / "small.npz"
    write_packed(path, tensors, {"flashface_format": "1"})
    source = open_source(path)
    assert source.shapes == {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert getattr(source, "metadata", None) == {"flashface_format": "1"}
    for name, tensor in source.load(list(tensors)).items():
        expected = tensors[name].half() if tensors[name].is_floating_point() else tensors[name]
        expected = tensors[name] if not expected.ndim else expected
        assert tensor.dtype == expected.dtype
        assert tensor.numpy().tobytes() == expected.numpy().tobytes(), name


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_off_says_what_to_do(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "small.npz"
    write_packed(path, {"a": torch.randn(64, 64)}, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)] or b"PK")
    with pytest.raises(CheckpointError, match="update or reinstall ComfyUI-FlashFace"):
        open_source(path).load(["a"])


def test_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no tensors of uint8"):
        write_packed(tmp_path / "small.npz", {"a": torch.zeros(2, 3, dtype=torch.uint8)}, {})


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full_disk(file, **arrays) -> None:
        file.write(b"PK")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_packed(tmp_path / "small.npz", {"a": torch.zeros(2)}, {})
    assert list(tmp_path.iterdir()) == []
