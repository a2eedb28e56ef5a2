"""FaceSnap's model files and saved identities: what is read, and what is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import facesnap_files
import pytest
import torch
from facesnap_files import ARCFACE, CLIP, CONFIG, least_controlnet, model_tensors
from safetensors.torch import save_file
from torch import Tensor

from flashface_core.facesnap.ffrnet import load_control
from flashface_core.facesnap.model import load_facesnap
from flashface_core.facesnap.model_config import Encoder
from flashface_core.facesnap.weights import CONTROL, FACE, MIXER, metadata, open_model
from flashface_core.files.packed import write_packed
from flashface_core.files.weights import CheckpointError

Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return model_tensors(least_controlnet())


@pytest.fixture
def written(tmp_path: Path, tensors: Tensors) -> Callable[..., Path]:
    """`written(change, about, config)`: a file with some tensors, metadata or words exchanged."""

    def write(change: dict | None = None, about: dict | None = None, **config: Any) -> Path:
        found = {n: t for n, t in {**tensors, **(change or {})}.items() if t is not None}
        words = {"facesnap": "1", "facesnap.config": json.dumps({**CONFIG, **config})}
        save_file(found, tmp_path / "given.safetensors", {**words, **(about or {})})
        return tmp_path / "given.safetensors"

    return write


def refusal(path: Path, load: Callable[[str], Any] = open_model) -> str:
    with pytest.raises(CheckpointError) as caught:
        load(str(path))
    words = str(caught.value)
    assert len(words) < 500 and "\n" not in words and words[-1] in ".)"
    return words


def test_a_file_is_read_as_it_was_written(written, tensors):
    file = open_model(written())
    assert file.config.face == Encoder("facesnap-small", 128)
    assert file.config.image == Encoder("facesnap-small-map", 128, 49)
    assert file.config.title == "the small model of Load FlashFace Demo (text width 64)"
    for part in (MIXER, CONTROL, FACE):
        found = file.tensors(part)
        assert all(torch.equal(tensor, tensors[part + name]) for name, tensor in found.items())
        assert len(found) == sum(name.startswith(part) for name in tensors)
    assert {t.dtype for t in file.tensors(MIXER, torch.bfloat16).values()} == {torch.bfloat16}


def test_packed_files_are_read_alike(written, tensors, tmp_path):
    write_packed(tmp_path / "small.npz", tensors, metadata(CONFIG))
    packed, plain = open_model(tmp_path / "small.npz"), open_model(written())
    assert packed.config == plain.config
    assert packed.face_fingerprint == plain.face_fingerprint  # half of a float is half of it


def test_another_face_encoder_has_another_fingerprint(written, tensors):
    one = open_model(written()).face_fingerprint
    name = "face.map.weight"
    other = open_model(written({name: tensors[name] * 1.5})).face_fingerprint
    assert one != other and len(one) == 16


def test_models_with_encoders_of_others_bring_none(tmp_path):
    tensors = model_tensors(least_controlnet(), 512, 96)
    changes = {"face_encoder": ARCFACE, "image_encoder": CLIP}
    path = facesnap_files.write_model(tmp_path / "full.safetensors", tensors, **changes)
    file = open_model(path)
    assert not file.embedded and file.face_fingerprint == ""
    assert load_facesnap(str(path)).face is None


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"facesnap": "2"}, "version '2'; this pack reads version 1. Update"),
        ({"facesnap.config": "{"}, "no table of JSON"),
        ({"facesnap.config": "[]"}, "no table of JSON"),
        ({"facesnap.config": "[" * 90_000}, "no table of JSON"),
        ({"facesnap.config": '"' + "x" * 10**6 + '"'}, "no table of JSON"),
    ],
)
def test_metadata_of_others_are_refused(about, words, written):
    assert words in refusal(written(about=about))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"base": "sd4"}, "trained with base 'sd4'; this pack knows sd15, sdxl, small. Update"),
        ({"base": 5}, "'base' in its facesnap.config should be a word, got 5"),
        ({"landmarks": "68.2"}, "trained with landmarks '68.2'; this pack knows 72.1"),
        ({"drawing": 2}, "trained with drawing '2'; this pack knows 1. Update"),
        ({"text_width": 0}, "'text_width' in its facesnap.config should be a whole number from 1"),
        ({"text_width": True}, "should be a whole number"),
        ({"text_width": 10**400}, "should be a whole number"),
        ({"text_width": 768}, "writes tokens of width 64, its config says 768"),
        ({"steps": -1}, "'steps' in its facesnap.config should be a whole number from 0"),
        ({"face_encoder": None}, "has no face_encoder, got None"),
        (
            {"face_encoder": {"name": "adaface", "width": 128}},
            "trained with face_encoder 'adaface'",
        ),
        (
            {"face_encoder": {"name": "facesnap-small", "width": 64}},
            "reads faces of width 128, its config says 64",
        ),
        ({"face_encoder": ARCFACE}, "reads faces of width 128, its config says 512"),
        ({"image_encoder": {**CONFIG["image_encoder"], "tokens": 9}}, "config says 9 x 128"),
    ],
)
def test_words_that_do_not_fit_are_refused(config, words, written):
    assert words in refusal(written(**config))


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("facesnap_landmarks", "a landmark model. Choose it in Load Landmark Model"),
        ("facesnap_identity", "a saved identity. Choose it in Load Identity (FaceSnap)"),
        ("flashface_reference", "a saved FlashFace reference"),
        ("flashface_format", "a FlashFace model. Choose it in Load FlashFace Model"),
    ],
)
def test_swapped_files_are_told(key, words, tmp_path):
    save_file({"landmarks.mean": torch.zeros(72, 3)}, tmp_path / "a.safetensors", {key: "1"})
    assert words in refusal(tmp_path / "a.safetensors")


def test_other_files_are_told(tmp_path, tensors):
    own = {n.removeprefix("control."): t for n, t in tensors.items() if n.startswith("control.")}
    save_file(own, tmp_path / "a.safetensors")
    assert "but a ControlNet. Choose it in Load ControlNet" in refusal(tmp_path / "a.safetensors")
    save_file({"model.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    assert "its metadata lack 'facesnap', and it has model.weight" in refusal(
        tmp_path / "a.safetensors"
    )
    torch.save(tensors, tmp_path / "a.pt")
    assert "saved it without its metadata. Choose the original" in refusal(tmp_path / "a.pt")
    assert "There is no file" in refusal(tmp_path / "gone.safetensors")


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mixer.queries": None}, "it lacks mixer.queries"),
        ({"mixer.queries": zeros(8, 0)}, "mixer.queries has shape [8, 0]"),
        ({"mixer.queries": zeros(8)}, "queries has shape [8], expected 2 sizes"),
        ({"mixer.queries": zeros(8, 40)}, "its mixer is 40 wide"),
        ({"mixer.queries": zeros(8, 128)}, "expected"),
        ({"mixer.out.bias": None}, "it lacks mixer.out.bias"),
        ({"mixer.out.bias": zeros(3)}, "mixer.out.bias has shape [3], expected [64]"),
        ({"mixer.more": zeros(3)}, "it has a weight 'mixer.more', which FaceSnap has not"),
        ({"mixer.layers.7.norm1.bias": zeros(3)}, "with layers 0, 1, 7"),
        ({"image.weight": zeros(3)}, "has a weight 'image.weight', which this pack does not know"),
        ({"face.map.bias": None}, "it lacks face.map.bias"),
        ({"face.stem.0.weight": zeros(8)}, "its weight face.stem.0.weight has shape [8]"),
        ({"control.input_hint_block.0.weight": None}, "it lacks control.input_hint_block.0"),
        (
            {"control.middle_block.1.transformer_blocks.0.attn2.to_k.weight": zeros(64, 9)},
            "reads tokens of width [9, 64]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change, words, written):
    assert words in refusal(written(change))


def test_face_tensors_that_are_all_gone_are_missed(written, tensors):
    gone = {name: None for name in tensors if name.startswith("face.")}
    assert "should carry a face encoder (face.*)" in refusal(written(gone))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"control.time_embed.0.bias": None}, "it lacks control.time_embed.0.bias"),
        (
            {"control.middle_block_out.0.bias": zeros(3)},
            "middle_block_out.0.bias has shape",
        ),
        ({"control.time_embed.0.weight": zeros(9, 64)}, "control.time_embed.0.weight has shape"),
        ({"control.more": zeros(1)}, "it has a weight 'control.more'"),
        ({"control.input_blocks.0.0.weight": zeros(0, 4, 3, 3)}, "is no ControlNet of a UNet"),
        ({"control.input_blocks.0.0.weight": zeros(2)}, "is no ControlNet of a UNet"),
        ({"control.input_blocks.1.0.out_layers.3.weight": None}, ""),
        ({"control.input_blocks.0.0.weight": zeros(2**20, 4, 3, 3)}, ""),
    ],
)
def test_ffrnets_that_do_not_fit_are_refused(change, words, written):
    assert words in refusal(written(change), lambda path: load_control(path, None))


@pytest.mark.parametrize("part", [MIXER, CONTROL, FACE])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_no_numbers_are_refused(part, value, written, tensors):
    name = next(n for n, t in tensors.items() if n.startswith(part) and t.ndim > 1)
    change = {name: torch.full_like(tensors[name], value)}
    words = refusal(written(change), load_facesnap)
    assert f"weight '{name}' has NaN or infinite values" in words


@pytest.mark.parametrize("part", [MIXER, CONTROL, FACE])
def test_whole_numbers_are_no_weights(part, written, tensors):
    name = next(n for n, t in tensors.items() if n.startswith(part) and t.ndim > 1)
    words = refusal(written({name: tensors[name].to(torch.int32)}), load_facesnap)
    assert f"weight '{name}' holds int32" in words


def test_cut_off_files_are_refused(written):
    path = written()
    path.write_bytes(path.read_bytes()[:-2000])
    assert "is not a readable .safetensors file" in refusal(path)


def test_weights_may_be_stored_in_16_bits_and_compute_in_32(written):
    exact, half = load_facesnap(str(written())), load_facesnap(str(written()), torch.float16)
    assert half.mixer.model.queries.dtype == torch.float16
    assert half.control.control_model.dtype == torch.float16
    found, expected = half.null_tokens(), exact.null_tokens()
    assert found.dtype == torch.float32 and found.shape == (1, 8, 64)
    assert (found - expected).abs().max() < 1e-2 * expected.abs().max()
    crops = torch.randint(256, (20, 112, 112, 3), dtype=torch.uint8)
    for a, b in zip(half.look(crops), exact.look(crops), strict=True):
        assert a.dtype == torch.float32 and (a - b).abs().max() < 2e-2 * b.abs().max()


def test_weights_of_the_wanted_dtype_stay_in_the_file(written):
    """Memory-mapped: loading takes no memory for them until they are used."""
    path = str(written())
    mapped = load_facesnap(path).control.control_model.input_blocks[0][0].weight
    assert not mapped.is_pinned() and mapped.untyped_storage().nbytes() >= mapped.nbytes
    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux tells what is mapped")
    with open("/proc/self/maps", encoding="utf-8") as maps:
        assert any("given.safetensors" in line for line in maps)


def test_metadata_that_would_be_refused_are_not_written():
    with pytest.raises(CheckpointError, match="trained with base 'sd9'"):
        metadata({**CONFIG, "base": "sd9"})
