"""Checkpoints that hold what weights are not: every one is refused in words, none is half read."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import official_tensors
from safetensors.torch import save_file

from flashface_core.files.weights import CheckpointError, cast_weight, check_weight, open_source
from flashface_core.flashface.checkpoint import open_checkpoint
from flashface_core.flashface.checkpoint.convert import convert

OFFICIAL = official_tensors()
NAME = "head.2.weight"
WEIGHT = OFFICIAL[NAME]


def read(path: Path) -> None:
    for _ in open_checkpoint(path).tensors():
        pass


def load(path: Path) -> None:
    """Read a small file the way that networks do, less the names that these want."""
    source = open_source(path)
    for name, tensor in source.load(list(source.shapes)).items():
        check_weight(path, name, tensor)


def refusal(use: Callable[[], Any]) -> str:
    """What a CheckpointError says, which has to be one line of a reasonable length."""
    with pytest.raises(CheckpointError) as caught:
        use()
    words = str(caught.value)
    assert "\n" not in words and len(words) < 600
    return words


def with_pickle(path: Path, program: bytes) -> Path:
    """A .ckpt whose pickle is another program."""
    torch.save({"a": torch.zeros(2)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, program if name.endswith("data.pkl") else content)
    return path


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02.",  # an empty stack
        b"\x80\x02h\x09.",  # a memo that was never written
        b"\x80\x02}K\x01K\x02\x86s.",  # a value for a pair
        b"\x80\x02K\x01K\x02s.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01tR.",
        b"\x80\x02ccollections\nOrderedDict\nK\x05R.",
        b"\x80\x02K\x01}b.",
        b"\x80\x02K\x07Q.",  # a persistent id that is none
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"",
    ],
)
def test_a_broken_pickle_is_refused_in_words(program: bytes, tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "a.ckpt", program)
    assert refusal(lambda: open_source(path)).startswith("a.ckpt ")


def odd_tensors() -> dict[str, Any]:
    flat = WEIGHT.reshape(4, -1)
    return {
        "sparse": flat.to_sparse(),
        "sparse csr": flat.to_sparse_csr(),
        "quantized": torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8),
        "meta": WEIGHT.to("meta"),
        "nested": torch.nested.nested_tensor([WEIGHT, WEIGHT[:, :2]]),
    }


@pytest.mark.parametrize("kind", ["sparse", "sparse csr", "quantized", "meta", "nested"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_that_are_no_plain_numbers_are_refused(kind: str, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), NAME: odd_tensors()[kind]}, tmp_path / "a.ckpt")
    words = refusal(lambda: load(tmp_path / "a.ckpt"))
    # some kinds are beyond what weights_only reads
    named = f"its weight {NAME!r} is a {kind.split()[0]}"
    assert named in words or "code from a model file" in words


def test_a_checkpoint_with_such_a_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({**OFFICIAL, NAME: WEIGHT.to("meta")}, tmp_path / "a.ckpt")
    assert f"its weight {NAME!r} is a meta" in refusal(lambda: read(tmp_path / "a.ckpt"))


def test_names_that_are_no_strings_are_passed_over(tmp_path: Path) -> None:
    odd = {1: torch.zeros(2), ("a", 2): torch.zeros(2), None: torch.zeros(2), b"x": torch.zeros(2)}
    torch.save({**odd, **OFFICIAL}, tmp_path / "a.ckpt")
    read(tmp_path / "a.ckpt")
    torch.save(odd, tmp_path / "b.ckpt")
    assert "no weights at all" in refusal(lambda: read(tmp_path / "b.ckpt"))


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.int8, torch.uint8, torch.bool, torch.complex64]
)
@pytest.mark.parametrize("ending", ["ckpt", "safetensors"])
def test_weights_that_are_no_floats_are_refused(dtype, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    tensors = {"a": torch.ones(1), NAME: torch.ones(3, dtype=dtype)}
    torch.save(tensors, path) if ending == "ckpt" else save_file(tensors, path)
    kind = str(dtype).removeprefix("torch.")
    assert refusal(lambda: load(path)) == (
        f"{path.name} cannot be used: its weight {NAME!r} holds {kind}, not floating-point "
        "numbers. Use the file of the authors' release or one converted from it."
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_become_infinite_when_cast_are_refused(dtype, sign, tmp_path: Path) -> None:
    path, most = tmp_path / "a.safetensors", torch.finfo(dtype).max
    values = torch.linspace(-1, 1, 50) * most
    assert torch.isfinite(cast_weight(path, "x", values, dtype).float()).all()
    values[7] = sign * most * 1.5
    words = refusal(lambda: cast_weight(path, "x", values, dtype))
    assert words.startswith("Weight 'x' of a.safetensors has values too large for float")
    assert words.endswith("Choose bf16 or fp32.")


def test_a_name_that_is_no_utf8_and_one_with_a_line_break(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("Windows has no such names")
    for raw in (b"a\xff.safetensors", b"a\xff.ckpt", b"a\nb.safetensors", b"a\nb.ckpt"):
        path = tmp_path / os.fsdecode(raw)
        try:
            path.write_bytes(b"PK" + bytes(100))
        except OSError:
            pytest.skip("this file system has no such names")
        words = refusal(lambda path=path: open_source(path))
        words.encode("utf-8")
        assert str(tmp_path) not in words


def test_unreadable_files_are_refused_without_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    source = open_source(path)
    path.unlink()
    assert str(tmp_path) not in refusal(lambda: source.load(["a"]))
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.ckpt")
    source = open_source(tmp_path / "a.ckpt")
    (tmp_path / "a.ckpt").unlink()
    assert str(tmp_path) not in refusal(lambda: source.load(["a"]))


def test_conversion_refuses_them_too(tmp_path: Path) -> None:
    save_file({**OFFICIAL, NAME: WEIGHT.int()}, tmp_path / "a.safetensors")
    refusal(lambda: convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", torch.float16))
    assert not (tmp_path / "b.safetensors").exists()
