"""Values that no widget gives, but a link, a file or a script can: refused in words, and saved
people are never what loading refuses."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flashface_core.drawing import captioned, text_width
from flashface_core.errors import file_name, one_line, reason, shown
from flashface_core.face2diffusion.identity import Identity, parse_expression
from flashface_core.face2diffusion.identity_file import load_identity, save_identity
from flashface_core.faces.boxes import LARGEST, boxes_per_image
from flashface_core.files import saved
from flashface_core.files.saved import SavedFileError
from flashface_core.flashface.combine import combine_references
from flashface_core.flashface.curves import checked_curve
from flashface_core.flashface.reference import Reference, make_reference
from flashface_core.flashface.reference_file import load_reference, save_reference
from flashface_core.flashface.reference_sheet import reference_sheet
from flashface_core.numbers import parse_numbers

NAN, INF = math.nan, math.inf
HUGE = 10**400
PERSON = make_reference(torch.zeros(2, 4, 8, 8), torch.zeros(1, 7, 16), 4)


def refusal(kind: type[Exception], use: Any, *given: Any, **named: Any) -> str:
    with pytest.raises(kind) as caught:
        use(*given, **named)
    words = str(caught.value)
    assert len(words) < 600 and "\n" not in words
    return words


class Unwritable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    "value",
    ["x" * 10_000_000, 10**9999, [[0] * 10**6] * 9, {"a": {"b": {"c": {"d": 1}}}}, Unwritable()],
    ids=lambda value: type(value).__name__,
)
def test_what_is_echoed_is_short(value: Any) -> None:
    assert 0 < len(shown(value)) <= 140
    assert len(one_line("x\n" * 10**6)) <= 160


def test_words_of_others_are_one_line_that_can_be_sent() -> None:
    assert one_line("a\n b\tc\x00d") == "a b c\\x00d"
    assert one_line("name \udcff").encode() == b"name \\udcff"
    path = Path("/home/anna/secret/a.onnx")
    assert (
        reason(RuntimeError(f"Can't read {path}, sorry\nTrace"), path) == "Can't read a.onnx, sorry"
    )
    assert reason(FileNotFoundError(2, "No such file", str(path))) == "No such file"
    assert reason(KeyError("x")) == "KeyError: 'x'" and reason(ValueError()) == "ValueError"
    assert file_name(path) == "a.onnx"


@pytest.mark.parametrize(
    "value",
    [{}, 5, [[0]], [[1, 2, 3]], "abc", [None], {"points": 3}, {"points": [{}]}, [["a", "b"]],
     {"points": None}, object(), [1j], True],
)  # fmt: skip
def test_what_is_no_curve_is_refused(value: Any) -> None:
    words = refusal(ValueError, checked_curve, "strength_curve", value)
    assert words.startswith("strength_curve should be a curve, points of two numbers each, got ")


@pytest.mark.parametrize("number", [HUGE, -HUGE, 1e308, NAN, INF, "nan"])
def test_points_beyond_all_measure_are_refused(number: Any) -> None:
    for point in ([number, 0.5], [0.5, number]):
        words = refusal(ValueError, checked_curve, "guidance_curve", [[0, 0], point])
        assert "must lie from 0 to 1" in words


@pytest.mark.parametrize("kind", ["linear", "monotone_cubic", "x" * 10**6, 7, None, [], {}])
def test_curves_are_numbers_everywhere(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    least = 5e-324  # two percents that differ by less than a slope can be
    points = [[0, 1], [least, 0], [0.5, 0.2], [0.5, 0.9], [0.5 + 1e-16, 0], [1, 1]]
    curve = checked_curve("strength_curve", {"points": points, "interpolation": kind})
    assert curve is not None
    assert all(0 <= curve(x) <= 1 for x in (0, least, 1e-300, 0.3, 0.5, 0.500001, 1))
    assert len(caplog.text) < 1000


@pytest.mark.parametrize("key", ["x", "y", "width", "height"])
@pytest.mark.parametrize("value", [HUGE, -HUGE, NAN, INF, 1e30, [], {}, None, "a", "9" * 10**6])
def test_boxes_beyond_all_measure_are_refused(key: str, value: Any) -> None:
    box = {"x": 1, "y": 2, "width": 3, "height": 4, key: value}
    for payload in (box, [box], [[box]]):
        refusal(ValueError, boxes_per_image, payload, 1)


@pytest.mark.parametrize("payload", ["x" * 10**7, 5, [5], [[5]], [["a"]], [[], [[]]], object()])
def test_what_is_no_box_is_refused(payload: Any) -> None:
    refusal(ValueError, boxes_per_image, payload, 1 if not isinstance(payload, list) else 2)


@pytest.mark.parametrize("value", [10**30, -(10**30), HUGE, NAN, INF, 1e300, None, "a"])
@pytest.mark.parametrize("key", ["x", "y", "width", "height", "tilt"])
def test_crops_beyond_all_measure_are_not_known(key: str, value: Any) -> None:
    cut = {"x": 0, "y": 0, "width": 9, "height": 9, "tilt": 0.0, key: value}
    box = {"x": 1, "y": 2, "width": 3, "height": 4, "crop": cut, "score": value}
    ((found,),) = boxes_per_image(box, 1)
    assert found.cut is None and 0 <= found.score <= 1
    assert max(found.x2, found.y2) < LARGEST


@pytest.mark.parametrize("text", ["1e308", "-1e308", "nan", "inf", "1e39", "9" * 500])
def test_typed_numbers_have_to_fit_float32(text: str) -> None:
    words = refusal(ValueError, parse_numbers, f"1, {text}", "weights")
    assert words.startswith("weights should be numbers separated by commas")
    refusal(ValueError, parse_expression, ", ".join([text] * 64))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_latents_and_tokens_that_are_no_numbers_make_no_reference(value: float) -> None:
    latents, tokens = torch.zeros(2, 4, 8, 8), torch.zeros(1, 7, 16)
    latents[1, 2, 3, 4] = value
    words = refusal(ValueError, make_reference, latents, tokens, 4)
    assert "VAE" in words and "--bf16-vae or --fp32-vae" in words
    tokens[0, 3, 5] = value
    words = refusal(ValueError, make_reference, torch.zeros(2, 4, 8, 8), tokens, 4)
    assert words.startswith("The negative CONDITIONING holds numbers that are not finite")


ODD_PEOPLE = {
    "latents": {"latents": torch.full((2, 4, 8, 8), NAN)},
    "large latents": {"latents": torch.full((2, 4, 8, 8), 1e30)},
    "context": {"context": torch.full((1, 7, 16), INF)},
    "log_weights": {"log_weights": (0.0, 1e308)},
    "log weights": {"log_weights": (0.0, NAN)},
    "weight": {"weight": INF},
    "huge weight": {"weight": 1e308},
    "half latents": {"latents": torch.zeros(2, 4, 8, 8, dtype=torch.float16)},
    "no faces": {"latents": torch.zeros(0, 4, 8, 8), "log_weights": ()},
}


@pytest.mark.parametrize("kind", ODD_PEOPLE)
def test_what_load_reference_refuses_is_not_saved(kind: str, tmp_path: Path) -> None:
    odd = dataclasses.replace(PERSON.identities[0], **ODD_PEOPLE[kind])
    people = Reference((PERSON.identities[0], odd))
    words = refusal(SavedFileError, save_reference, people, tmp_path, "x")
    assert words.startswith("This reference cannot be saved: the ") and "person 2" in words
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["log_weights", "weight", "latents", "context"])
def test_a_reference_of_huge_numbers_is_not_loaded(part: str, tmp_path: Path) -> None:
    path, _ = save_reference(PERSON, tmp_path, "x")
    tensors = load_file(path)
    tensors[f"0.{part}"] = torch.full_like(tensors[f"0.{part}"], 1e38)
    save_file(tensors, path, {"flashface_reference": "1"})
    words = refusal(SavedFileError, load_reference, path)
    assert f"its '0.{part}' is " in words and "impossible values" in words


def test_files_that_loading_finds_too_large_are_not_saved(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(saved, "LARGEST_BYTES", 1000)
    words = refusal(SavedFileError, save_reference, PERSON, tmp_path, "x")
    assert "Use fewer faces" in words and not list(tmp_path.iterdir())


def test_weights_do_not_grow_beyond_what_is_kept() -> None:
    people = PERSON
    with pytest.raises(ValueError, match="multiply to more than 60000"):
        for _ in range(20):
            people = combine_references((people, 2.0), (people, 0.0))


class Model:
    """Answers with a word of the given number, in the place of the mapping network."""

    fingerprint = name = "a"

    def __init__(self, number: float = 0.0):
        self.number = number

    def words(self, *_: Any) -> torch.Tensor:
        return torch.full((2, 768), self.number)


def identity(**more: Any) -> Identity:
    crops = torch.zeros(2, 112, 112, 3, dtype=torch.uint8)
    parts: dict[str, Any] = {"vector": torch.zeros(1536), "crops": crops, "likeness": (1.0, 0.5)}
    return Identity(model=Model(), words=torch.zeros(2, 768), **(parts | more))  # type: ignore


FACE = torch.zeros(64)
ODD_IDENTITIES = {
    "vector": {"vector": torch.full((1536,), NAN)},
    "likeness": {"likeness": (INF, 1.0)},
    "expression": {"expression": torch.full((64,), INF), "expression_strength": 1.0},
    "strength": {"expression": FACE, "expression_strength": 1e308},
    "crops": {"crops": torch.zeros(0, 112, 112, 3, dtype=torch.uint8), "likeness": ()},
}


@pytest.mark.parametrize("kind", ODD_IDENTITIES)
def test_what_load_identity_refuses_is_not_saved(kind: str, tmp_path: Path) -> None:
    odd = identity(**ODD_IDENTITIES[kind])
    words = refusal(SavedFileError, save_identity, odd, tmp_path, "x")
    assert words.startswith("This identity cannot be saved: ") and not list(tmp_path.iterdir())


def test_words_that_are_no_numbers_are_that_files_error(tmp_path: Path) -> None:
    path, _ = save_identity(identity(), tmp_path, "x")
    assert load_identity(path, Model()).likeness == (1.0, 0.5)  # type: ignore[arg-type]
    words = refusal(SavedFileError, load_identity, path, Model(NAN))
    assert words.startswith("x.safetensors is not a saved Face2Diffusion identity: ")
    tensors = load_file(path)
    tensors |= {"expression": FACE, "expression_strength": torch.tensor(1e308).double()}
    save_file(tensors, path, {"face2diffusion_identity": "1"})
    assert "'expression_strength' is float64 []" in refusal(
        SavedFileError, load_identity, path, Model()
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
@pytest.mark.parametrize("raw", [b"an\nna", b"an\xffna"])
def test_files_of_odd_names_load_and_show(raw: bytes, tmp_path: Path) -> None:
    path, _ = save_reference(PERSON, tmp_path, "anna")
    odd = tmp_path / os.fsdecode(raw + b".safetensors")
    try:
        path.rename(odd)
    except OSError:
        pytest.skip("this file system has no such names")
    try:
        people = load_reference(odd)
    except SavedFileError as error:  # safetensors opens no name beyond UTF-8
        str(error).encode()
        assert str(tmp_path) not in str(error)
        people = PERSON
    assert reference_sheet(people, odd.stem).width > 100
    odd.write_bytes(b"x")
    words = refusal(SavedFileError, load_reference, odd)
    assert str(tmp_path) not in words and words.encode()


def test_a_line_break_is_drawn_as_a_blank() -> None:
    assert text_width("a\nb") == text_width("a b") > 0
    assert captioned(reference_sheet(PERSON, "x"), [("a\n\r\x00b", (1, 2, 3))]).width > 0


def test_a_placeholder_of_a_million_letters_is_not_echoed() -> None:
    from flashface_core.face2diffusion.text import _check_count

    words = refusal(ValueError, _check_count, "f\n" * 10**6, 0, False)
    assert words.startswith("The text has no placeholder 'f\\nf\\n")
