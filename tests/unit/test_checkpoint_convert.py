"""Conversion is exact, whole or absent, and never replaces a file unasked."""

from __future__ import annotations

import contextlib
import re
import shutil
import stat
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from checkpoint_files import official_tensors
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from flashface_core.files.weights import CheckpointError
from flashface_core.flashface.checkpoint import open_checkpoint
from flashface_core.flashface.checkpoint.convert import DTYPES, convert

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A small official checkpoint."""
    file = tmp_path_factory.mktemp("source") / "flashface.safetensors"
    save_file(official_tensors(), file)
    return file


def command(*arguments: object) -> list[str]:
    """Isolated as Windows' portable Python is: no folder but its own to find modules in."""
    return [sys.executable, "-I", "scripts/convert.py", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("name", DTYPES)
def test_a_compact_file_holds_the_rounded_weights_once(name, source, tmp_path):
    target = tmp_path / "compact.safetensors"
    convert(source, target, DTYPES[name])
    original, compact = open_checkpoint(source), open_checkpoint(target)
    assert compact.sizes == original.sizes and compact.dtype() == DTYPES[name]
    found = dict(compact.tensors())
    for ours, tensor in original.tensors():
        assert torch.equal(found[ours], tensor.to(DTYPES[name])), ours
    numbers = sum(tensor.numel() for tensor in found.values())
    assert 0 < target.stat().st_size - numbers * DTYPES[name].itemsize < 400_000
    with safe_open(target, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "flashface_format": "1"}


def test_a_compact_file_can_be_converted_again(source, tmp_path):
    first, second, direct = (tmp_path / f"{i}.safetensors" for i in range(3))
    convert(source, first, torch.float32)
    convert(first, second, torch.float16)
    convert(source, direct, torch.float16)
    found, expected = load_file(second), load_file(direct)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_compact_file_is_as_readable_as_any_new_file(source, tmp_path):
    (tmp_path / "other").touch()
    convert(source, tmp_path / "compact.safetensors", torch.float16)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_file_that_exists_is_not_replaced_unasked(source, tmp_path):
    target = tmp_path / "compact.safetensors"
    target.write_text("precious")
    words = f"{target} exists already. Give another name, or --overwrite to replace it."
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
        convert(source, target, torch.float16)
    assert target.read_text() == "precious"
    convert(source, target, torch.float16, overwrite=True)
    assert open_checkpoint(target).dtype() == torch.float16


def test_progress_counts_every_number_and_can_stop_it(source, tmp_path):
    told = []
    convert(source, tmp_path / "a.safetensors", torch.float16, False, lambda *n: told.append(n))
    numbers = sum(torch.Size(shape).numel() for shape in open_checkpoint(source).shapes.values())
    assert told[-1] == (numbers, numbers) and told == sorted(told)

    def stop(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "b.safetensors", torch.float16, False, stop)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_that_came_meanwhile_is_not_replaced(source, tmp_path):
    target = tmp_path / "compact.safetensors"

    def come(done, total):
        target.write_text("precious")

    with pytest.raises(CheckpointError, match="has come to exist while this was converted"):
        convert(source, target, torch.float16, False, come)
    assert target.read_text() == "precious" and list(tmp_path.iterdir()) == [target]


def test_two_conversions_at_once_write_files_of_their_own(source, tmp_path):
    target, seen = tmp_path / "compact.safetensors", []

    def inner(done, total):
        seen.append(len(list(tmp_path.glob(".*.partial"))))

    def outer(done, total):
        if done == total:
            convert(source, target, torch.float16, False, inner)

    with pytest.raises(CheckpointError, match="has come to exist while this was converted"):
        convert(source, target, torch.float16, False, outer)
    assert set(seen) == {2} and list(tmp_path.iterdir()) == [target]
    assert open_checkpoint(target).dtype() == torch.float16


@pytest.mark.parametrize("step", ["tempfile.mkstemp", "os.fsync", "os.replace"])
def test_a_folder_that_cannot_be_written_is_said_so(step, source, tmp_path, monkeypatch):
    def refuse(*_, **__):  # tests may run as root, who can write everywhere
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(step, refuse)
    words = (
        f"compact.safetensors could not be written in {tmp_path}: Permission denied. Check that "
        "the folder can be written and its disk has room, or give another one."
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
        convert(source, tmp_path / "compact.safetensors", torch.float16)
    assert not list(tmp_path.iterdir())


def test_a_file_is_not_converted_onto_itself(source):
    before = source.read_bytes()
    words = f"{source} exists already. Source and target are one file; rename one."
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
        convert(source, source, torch.float16, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "compact.ckpt",
            "The compact file is a .safetensors file, but the target is compact.ckpt. "
            "Give a name such as compact.safetensors.",
        ),
        (
            "nowhere/compact.safetensors",
            "There is no folder {}/nowhere. Make it, or give another one.",
        ),
    ],
)
def test_a_target_that_cannot_be(name, words, source, tmp_path):
    with pytest.raises(CheckpointError, match=f"^{re.escape(words.format(tmp_path))}$"):
        convert(source, tmp_path / name, torch.float16)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_told_before_anything_is_written(source, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**5))
    numbers = sum(torch.Size(shape).numel() for shape in open_checkpoint(source).shapes.values())
    words = (
        f"{tmp_path} has 0.0 GB free, the compact file needs {numbers * 2 / 1e9:.1f} GB. "
        "Free some space, or give a folder on another disk."
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
        convert(source, tmp_path / "compact.safetensors", torch.float16)
    assert not list(tmp_path.iterdir())


def test_weights_too_large_for_fp16_are_refused(tmp_path):
    tensors = official_tensors()
    tensors["head.2.bias"][1] = 70_000.0
    save_file(tensors, tmp_path / "large.safetensors")
    words = (
        "Weight 'unet.out.2.bias' of large.safetensors has values too large for float16 (up to "
        "7e+04). Choose bf16 or fp32."
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
        convert(tmp_path / "large.safetensors", tmp_path / "a.safetensors", torch.float16)
    convert(tmp_path / "large.safetensors", tmp_path / "b.safetensors", torch.bfloat16)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "b.safetensors",
        "large.safetensors",
    ]


def test_the_command_shows_progress_on_stderr_and_says_what_it_wrote(source, tmp_path):
    target = tmp_path / "compact.safetensors"
    done = run(source, target, "--dtype", "bf16")
    assert (done.returncode, done.stdout) == (0, "")
    assert "converting" in done.stderr and "100%" in done.stderr
    assert done.stderr.endswith(f"wrote {target}\n")
    assert open_checkpoint(target).dtype() == torch.bfloat16


def test_the_command_says_what_is_wrong_in_one_line(source, tmp_path):
    done = run(tmp_path / "no.ckpt", tmp_path / "compact.safetensors")
    words = f"error: There is no file {tmp_path / 'no.ckpt'}. Check the name and the folder.\n"
    assert (done.returncode, done.stderr) == (1, words)


def largest(folder: Path, source: Path) -> int:
    """The size of the largest file beside the source, 0 where there is none."""
    sizes = [0]
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # renamed since it was listed
            sizes.append(file.stat().st_size if file != source else 0)
    return max(sizes)


@pytest.mark.parametrize("moment", ["while weights are read", "while the file is written"])
def test_a_killed_conversion_leaves_nothing_that_looks_whole(moment, tmp_path):
    source, target = tmp_path / "flashface.safetensors", tmp_path / "compact.safetensors"
    save_file(official_tensors(width=32, text_width=64), source)
    process = subprocess.Popen(
        command(source, target, "--dtype", "fp32"), cwd=ROOT, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.read(len("\rconverting"))
    if moment == "while the file is written":
        while process.poll() is None and largest(tmp_path, source) == 0:
            pass
    process.kill()
    process.wait()
    process.stderr.close()
    endings = {file.suffix for file in tmp_path.iterdir() if file != source}
    if target.exists():  # it was quicker than the kill
        assert moment == "while the file is written"
        assert list(dict(open_checkpoint(target).tensors())) == list(open_checkpoint(source).shapes)
    else:
        assert endings <= {"", ".partial"}
