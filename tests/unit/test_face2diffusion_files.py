"""Face2Diffusion's two weight files, and saved identities: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flashface_core.face2diffusion.identity import Identity, blend, parse_expression
from flashface_core.face2diffusion.identity_file import load_identity, save_identity
from flashface_core.face2diffusion.sheet import identity_sheet
from flashface_core.face2diffusion.weights import MAPPING, MSID, expected_shapes, open_weights
from flashface_core.files.saved import FACE2DIFFUSION_IDENTITY, SavedFileError
from flashface_core.files.weights import CheckpointError
from flashface_core.numbers import parse_numbers

Tensors = dict[str, torch.Tensor]
KINDS = [MSID, MAPPING]


def blank(kind: str) -> Tensors:
    """Zeros that take no room in memory or in a .pt file."""
    return {name: torch.zeros(()).expand(shape) for name, shape in expected_shapes(kind).items()}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(tensors: Any, name: str = "given.pt") -> Path:
        torch.save(tensors, tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_released_files_are_read(kind, written):
    entries = blank(kind)
    if kind == MSID:  # the released file has these too; nothing uses them
        entries |= {"norm.weight": torch.ones(384), "norm.bias": torch.ones(384)}
        entries["norms.layer_2.0.num_batches_tracked"] = torch.tensor(7)
    found = open_weights(written(entries), kind).tensors(None)
    assert {name: tuple(t.shape) for name, t in found.items()} == expected_shapes(kind)
    assert {t.dtype for t in found.values()} == {torch.float32}


def test_safetensors_and_other_dtypes_are_read(tmp_path):
    entries = {name: torch.zeros(s).bfloat16() for name, s in expected_shapes(MAPPING).items()}
    save_file(entries, tmp_path / "mapping.safetensors")
    weights = open_weights(tmp_path / "mapping.safetensors", MAPPING)
    assert {t.dtype for t in weights.tensors(None).values()} == {torch.bfloat16}
    assert {t.dtype for t in weights.tensors(torch.float16).values()} == {torch.float16}


@pytest.mark.parametrize("kind", KINDS)
def test_swapped_files_are_told(kind, written):
    other = MAPPING if kind == MSID else MSID
    with pytest.raises(CheckpointError, match=rf"\({other}\), but .*\({kind}\) is.*Swap the two"):
        open_weights(written(blank(other)), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_weight_is_named(kind, written):
    entries = blank(kind)
    for name in list(entries)[-5:]:
        del entries[name]
    with pytest.raises(CheckpointError, match=r"given.pt is incomplete: .* and 2 more, this file"):
        open_weights(written(entries), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_shape_is_named(kind, written):
    entries = blank(kind)
    name = list(entries)[-1]
    entries[name] = torch.zeros(5)
    with pytest.raises(CheckpointError, match=rf"'{name}' has shape \[5\], .* has \["):
        open_weights(written(entries), kind)


def test_a_larger_network_is_refused(written):
    entries = blank(MSID) | {"blocks.12.norm1.weight": torch.zeros(384)}
    with pytest.raises(CheckpointError, match=r"has a weight 'blocks\.12\.norm1\.weight'"):
        open_weights(written(entries), MSID)


@pytest.mark.parametrize("kind", KINDS)
def test_other_models_are_refused(kind, written):
    path = written({"model.diffusion_model.out.0.weight": torch.zeros(4)})
    with pytest.raises(CheckpointError, match=rf"this file has model\.diff.*Choose {kind}\.pt"):
        open_weights(path, kind)


def test_damaged_files_are_refused(tmp_path, written):
    path = written(blank(MSID))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match=r"given\.pt is not a readable"):
        open_weights(path, MSID)
    (tmp_path / "msid.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00nonsense")
    with pytest.raises(CheckpointError, match=r"msid\.safetensors is not a readable"):
        open_weights(tmp_path / "msid.safetensors", MSID)
    (tmp_path / "empty.pt").touch()
    with pytest.raises(CheckpointError, match=r"empty\.pt is empty"):
        open_weights(tmp_path / "empty.pt", MSID)
    with pytest.raises(CheckpointError, match="There is no file"):
        open_weights(tmp_path / "gone.pt", MSID)


class Evil:
    def __reduce__(self):
        return (print, ("code from a model file ran",))


def test_code_in_a_file_does_not_run(written, capsys):
    with pytest.raises(CheckpointError, match="code from a model file is never run"):
        open_weights(written({"cls_token": Evil()}), MSID)
    assert not capsys.readouterr().out


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_no_numbers_are_refused(value, written):
    entries = blank(MAPPING) | {"null_exp": torch.full((64,), value)}
    with pytest.raises(CheckpointError, match="weight 'null_exp' has NaN or infinite"):
        open_weights(written(entries), MAPPING).tensors(None)
    entries = blank(MAPPING) | {"null_exp": torch.full((64,), 1e9)}
    with pytest.raises(CheckpointError, match=r"'null_exp' .* too large for float16"):
        open_weights(written(entries), MAPPING).tensors(torch.float16)


@dataclass
class Model:
    """Words that are simple sums, in the place of the mapping network."""

    fingerprint: str = "a"
    name: str = "a model"

    def words(self, vector, expression, strength):
        more = 0 if expression is None else expression.sum() * strength
        return torch.stack([vector[:768] + more, vector[768:] - more])


MODEL: Any = Model()
EXPRESSION = torch.linspace(-1, 1, 64).pow(2)


def identity(
    seed: int = 0,
    count: int = 2,
    expression: torch.Tensor | None = EXPRESSION,
    strength: float = 0.5,
) -> Identity:
    random = torch.Generator().manual_seed(seed)
    vector = torch.randn(1536, generator=random)
    crops = torch.randint(0, 256, (count, 112, 112, 3), generator=random, dtype=torch.uint8)
    words = MODEL.words(vector, expression, strength)
    likeness = tuple(torch.rand(count, generator=random, dtype=torch.float64).tolist())
    return Identity(MODEL, vector, words, crops, likeness, expression, strength)


@pytest.mark.parametrize("expression", [None, EXPRESSION])
def test_a_saved_identity_comes_back_bit_for_bit(expression, tmp_path):
    was = identity(expression=expression, strength=0.3 if expression is not None else 0.0)
    path, new = save_identity(was, tmp_path, "anna")
    assert new and path.name == "anna.safetensors" and path.stat().st_size < 100_000
    now = load_identity(path, MODEL)
    for name in ("vector", "words", "crops"):
        assert torch.equal(getattr(was, name), getattr(now, name))
    assert (was.likeness, was.expression_strength) == (now.likeness, now.expression_strength)
    if expression is not None:
        assert now.expression is not None and torch.equal(now.expression, expression)
    assert str(now) == str(was)


def test_nothing_is_overwritten(tmp_path):
    first, _ = save_identity(identity(0), tmp_path, "anna")
    again, new = save_identity(identity(0), tmp_path, "anna")
    second, _ = save_identity(identity(1), tmp_path, "anna")
    assert again == first and not new and second.name == "anna_00002.safetensors"
    with pytest.raises(SavedFileError, match="folders are not possible"):
        save_identity(identity(0), tmp_path, "../anna")


@pytest.mark.parametrize(
    ("change", "metadata", "words"),
    [
        ({}, {}, "metadata lack"),
        ({}, {"flashface_reference": "1"}, "it is a FlashFace reference"),
        ({}, {FACE2DIFFUSION_IDENTITY.key: "2"}, "of version '2'"),
        ({"vector": torch.zeros(7)}, None, r"its 'vector' is float32 \[7\]"),
        ({"vector": torch.full((1536,), torch.nan)}, None, "impossible values"),
        ({"crops": torch.zeros(0, 112, 112, 3, dtype=torch.uint8)}, None, "it has no crops"),
        ({"likeness": torch.zeros(3, dtype=torch.float64)}, None, "its 'likeness' is"),
        ({"more": torch.zeros(1)}, None, "its tensors are .*more"),
        ({"expression": None}, None, "half of its expression is gone"),
        ({"vector": None}, None, "its tensors are crops"),
    ],
)
def test_foreign_identity_files_are_refused(change, metadata, words, tmp_path):
    path, _ = save_identity(identity(), tmp_path, "anna")
    parts = {**load_file(path), **change}
    metadata = {FACE2DIFFUSION_IDENTITY.key: "1"} if metadata is None else metadata
    save_file({k: t for k, t in parts.items() if t is not None}, path, metadata=metadata)
    with pytest.raises(SavedFileError, match=words):
        load_identity(path, MODEL)


def test_damaged_identity_files_are_refused(tmp_path):
    path, _ = save_identity(identity(), tmp_path, "anna")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(SavedFileError, match=r"anna.safetensors cannot be read"):
        load_identity(path, MODEL)
    with pytest.raises(SavedFileError, match="cannot be read"):
        load_identity(tmp_path / "gone.safetensors", MODEL)


def test_blending_is_a_straight_line():
    one, two = identity(0), identity(1, 3, expression=None, strength=0.0)
    for factor, end in ((0.0, one), (1.0, two)):
        mixed = blend(one, two, factor)
        assert torch.equal(mixed.vector, end.vector) and torch.equal(mixed.words, end.words)
        assert len(mixed.crops) == len(end.crops)
    half = blend(one, two, 0.5)
    assert torch.allclose(half.vector, (one.vector + two.vector) / 2)
    # half of an expression at half strength: the neutral one makes up the rest
    assert half.expression is not None and half.expression_strength == 0.25
    assert torch.allclose(half.expression, EXPRESSION)
    assert torch.allclose(half.words, (one.words + two.words) / 2, atol=1e-5)
    assert len(half.crops) == 5 and half.likeness == ()


def test_blending_needs_one_model_and_a_factor_between():
    other: Any = Model("b", "another model")
    stranger = Identity(other, torch.zeros(1536), torch.zeros(2, 768), identity().crops)
    with pytest.raises(ValueError, match=r"different models .a model; another model"):
        blend(identity(), stranger, 0.5)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1.5"):
        blend(identity(0), identity(1), 1.5)


def test_numbers_are_read_as_people_write_them():
    assert parse_numbers(" 1, 2.5;-3\n4e-1 ", "weights") == [1, 2.5, -3, 0.4]
    assert parse_numbers("", "weights") == [] and parse_expression(" \n") is None
    for word in ("one", "nan", "inf", "1,2.3.4"):
        with pytest.raises(ValueError, match="weights should be numbers separated by commas"):
            parse_numbers(word, "weights")
    expression = parse_expression(" ".join(["0.5"] * 64))
    assert expression is not None and expression.shape == (64,)
    with pytest.raises(ValueError, match=r"64 numbers .* got 3"):
        parse_expression("1 2 3")


def test_the_sheet_shows_every_face_once():
    for count in (1, 2, 5, 30):
        sheet = identity_sheet(identity(count=count), "Saved as anna")
        assert sheet.width >= 360 and sheet.height > 112
    assert str(identity(count=1, strength=0.0)) == "Face2Diffusion identity of 1 photo"
