"""Saved identities of FaceSnap: what comes back, what is refused, and what is mixed of two."""

from __future__ import annotations

from pathlib import Path

import facesnap_files
import numpy as np
import pytest
import torch
from facesnap_files import least_controlnet, model_tensors
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from flashface_core.faces.sheet import faces_sheet
from flashface_core.facesnap.identity import Encoders, Identity, blend, make_identity
from flashface_core.facesnap.identity_file import SavedShape, load_identity, save_identity
from flashface_core.facesnap.model import load_facesnap
from flashface_core.facesnap.model_config import Encoder
from flashface_core.files.saved import FACESNAP_IDENTITY, SavedFileError

ENCODERS = Encoders(Encoder("facesnap-small", 12), Encoder("facesnap-small-map", 20, 7), "abc")
SHAPE = SavedShape(np.linspace(-1, 1, 5), np.full((72, 3), 0.25), "0123456789abcdef")


def identity(seed: int = 0, count: int = 2, encoders: Encoders = ENCODERS) -> Identity:
    random = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(count, encoders.face.width, generator=random)
    tokens, width = encoders.image.tokens, encoders.image.width
    maps = torch.randn(count, tokens, width, generator=random)
    crops = torch.randint(0, 256, (count, 112, 112, 3), generator=random, dtype=torch.uint8)
    return make_identity(encoders, embeddings, maps, crops)


@pytest.mark.parametrize("shape", [None, SHAPE])
@pytest.mark.parametrize("count", [1, 3])
def test_a_saved_identity_comes_back_bit_for_bit(count, shape, tmp_path):
    was = identity(count=count)
    path, new = save_identity(was, shape, tmp_path, "anna")
    assert new and path.name == "anna.safetensors"
    now, face = load_identity(path)
    for name in ("face", "image", "crops"):
        assert torch.equal(getattr(was, name), getattr(now, name))
    assert (was.likeness, was.encoders, str(was)) == (now.likeness, now.encoders, str(now))
    assert (face is None) == (shape is None)
    if face is not None and shape is not None:
        assert np.array_equal(face.shape, shape.shape) and np.array_equal(face.detail, shape.detail)
        assert face.fingerprint == shape.fingerprint


def test_a_blend_is_saved_too(tmp_path):
    mixed = blend(identity(0, 1), identity(1, 3), 0.3)
    now, _ = load_identity(save_identity(mixed, None, tmp_path, "both")[0])
    assert torch.equal(mixed.image, now.image) and now.likeness == ()


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return model_tensors(least_controlnet())


def loaded(folder: Path, tensors: dict[str, Tensor]):
    return load_facesnap(str(facesnap_files.write_model(folder / "tiny.safetensors", tensors)))


def test_an_identity_outlives_a_retrained_mixer(tmp_path, tensors):
    """Same encoders, other mixer: the file goes on, its tokens are the new ones."""
    model = loaded(tmp_path, tensors)
    was = identity(encoders=model.encoders)
    path, _ = save_identity(was, None, tmp_path, "anna")
    old = model.tokens(was)
    name = "mixer.out.bias"
    other = loaded(tmp_path, {**tensors, name: tensors[name] + 1})
    now, _ = load_identity(path)
    assert torch.allclose(other.tokens(now), old + 1, atol=1e-5)


def test_an_identity_of_another_encoder_is_refused(tmp_path, tensors):
    name, model = "face.map.weight", loaded(tmp_path, tensors)
    other = loaded(tmp_path, {**tensors, name: tensors[name] * 1.5})
    with pytest.raises(ValueError, match=r"another facesnap-small .*Encode the photos again"):
        other.tokens(identity(encoders=model.encoders))
    words = r"made by facesnap-small \(12\), but tiny.safetensors reads facesnap-small \(128\)"
    with pytest.raises(ValueError, match=words):
        model.tokens(identity())


def test_nothing_is_overwritten(tmp_path):
    first, _ = save_identity(identity(0), None, tmp_path, "anna")
    again, new = save_identity(identity(0), None, tmp_path, "anna")
    second, _ = save_identity(identity(1), None, tmp_path, "anna")
    assert again == first and not new and second.name == "anna_00002.safetensors"
    with pytest.raises(SavedFileError, match="folders are not possible"):
        save_identity(identity(0), None, tmp_path, "../anna")


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape)


def f16(*shape: int, value: float = 0.0) -> Tensor:
    return torch.full(shape, value, dtype=torch.float16)


@pytest.mark.parametrize(
    ("change", "about", "words"),
    [
        ({}, {"facesnap_identity": None}, "metadata lack"),
        (
            {},
            {"facesnap_identity": None, "flashface_reference": "1"},
            "it is a FlashFace reference",
        ),
        ({}, {FACESNAP_IDENTITY.key: "2"}, "of version '2'"),
        ({}, {"face_encoder": None}, "does not say which encoders"),
        ({}, {"face_encoder": "{}"}, "does not say which encoders"),
        ({}, {"image_encoder": "[" * 9000}, "does not say which encoders"),
        ({}, {"image_encoder": '{"name": 1, "width": 1e999}'}, "does not say which encoders"),
        ({"face": zeros(7)}, {}, r"its 'face' is float32 \[7\]"),
        ({"face": torch.full((12,), torch.nan)}, {}, "impossible values"),
        ({"face": zeros(12).double()}, {}, r"its 'face' is float64"),
        ({"image": f16(9, 20)}, {}, "'image' has 9 rows, not 7 for each photo"),
        ({"image": f16(0, 20)}, {}, "'image' has 0 rows"),
        ({"image": f16(7, 21)}, {}, r"its 'image' is float16 \[7, 21\]"),
        ({"image": f16(7, 20, value=torch.inf)}, {}, "impossible values"),
        ({"crops": torch.zeros(0, 112, 112, 3, dtype=torch.uint8)}, {}, "it has no crops"),
        ({"crops": torch.zeros(2, 50, 112, 3, dtype=torch.uint8)}, {}, "its 'crops' is"),
        ({"likeness": torch.zeros(3, dtype=torch.float64)}, {}, "its 'likeness' is"),
        ({"more": zeros(1)}, {}, "its tensors are .*more"),
        ({"face_shape": None}, {}, "half of its face's shape is gone"),
        ({"face_detail": zeros(68, 3).double()}, {}, "its 'face_detail' is"),
        ({"face_shape": torch.full((5,), torch.inf).double()}, {}, "impossible values"),
        ({"face": None}, {}, "its tensors are crops"),
    ],
)
def test_foreign_identity_files_are_refused(change, about, words, tmp_path):
    path, _ = save_identity(identity(), SHAPE, tmp_path, "anna")
    parts = load_file(path)
    with safe_open(path, "pt") as file:
        said = file.metadata()
    said = {k: v for k, v in {**said, **about}.items() if v is not None}
    kept = {k: t for k, t in {**parts, **change}.items() if t is not None}
    save_file(kept, path, metadata=said)
    with pytest.raises(SavedFileError, match=words):
        load_identity(path)


def test_damaged_identity_files_are_refused(tmp_path):
    path, _ = save_identity(identity(), None, tmp_path, "anna")
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(SavedFileError, match=r"anna.safetensors cannot be read"):
        load_identity(path)


def test_what_would_be_refused_is_not_saved(tmp_path):
    odd = Identity(ENCODERS, torch.full((12,), torch.nan), f16(7, 20), identity().crops)
    with pytest.raises(SavedFileError, match="This identity cannot be saved: its 'face' is"):
        save_identity(odd, None, tmp_path, "x")
    assert not list(tmp_path.iterdir())


def test_blending_is_a_straight_line():
    one, two = identity(0, 1), identity(1, 1)
    assert blend(one, two, 0.0) is one and blend(one, two, 1.0) is two
    half = blend(one, two, 0.5)
    assert torch.allclose(half.face, (one.face + two.face) / 2)
    mean = (one.image.float() + two.image.float()) / 2
    assert (half.image.float() - mean).abs().max() < 1e-3
    assert len(half.crops) == 2 and half.likeness == ()


def test_blending_takes_photos_again_where_one_has_fewer():
    one, two = identity(0, 1), identity(1, 3)
    near = blend(one, two, 1e-6)
    assert near.image.shape == (21, 20)
    for photo in near.image.unflatten(0, (3, 7)):
        assert (photo - one.image).abs().max() < 1e-3


def test_blending_needs_one_encoder_and_a_factor_between():
    stranger = Encoders(ENCODERS.face, ENCODERS.image, "other")
    with pytest.raises(ValueError, match=r"another facesnap-small \('abc'\)"):
        blend(identity(), identity(encoders=stranger), 0.5)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1.5"):
        blend(identity(0), identity(1), 1.5)


def test_the_order_of_photos_changes_nothing_of_who_it_is():
    embeddings, maps = torch.randn(4, 12), torch.randn(4, 7, 20)
    crops = torch.zeros(4, 112, 112, 3, dtype=torch.uint8)
    turn = [3, 1, 0, 2]
    one = make_identity(ENCODERS, embeddings, maps, crops)
    two = make_identity(ENCODERS, embeddings[turn], maps[turn], crops)
    assert (one.face - two.face).abs().max() < 1e-6
    assert sorted(one.image.sum(1).tolist()) == sorted(two.image.sum(1).tolist())


def test_photos_of_weight_0_are_left_out():
    embeddings, maps = torch.randn(3, 12), torch.randn(3, 7, 20)
    crops = torch.zeros(3, 112, 112, 3, dtype=torch.uint8)
    found = make_identity(ENCODERS, embeddings, maps, crops, [1, 0, 1])
    kept = make_identity(ENCODERS, embeddings[[0, 2]], maps[[0, 2]], crops[:2])
    assert torch.equal(found.face, kept.face) and torch.equal(found.image, kept.image)
    with pytest.raises(ValueError, match="weights has 2 numbers for 3 faces"):
        make_identity(ENCODERS, embeddings, maps, crops, [1, 1])


def test_numbers_that_are_not_finite_are_refused():
    crops = torch.zeros(1, 112, 112, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="gives numbers that are not finite"):
        make_identity(ENCODERS, torch.zeros(1, 12), torch.full((1, 7, 20), 1e6), crops)


def test_the_sheet_shows_every_face_once():
    for count in (1, 2, 5, 30):
        one = identity(count=count)
        sheet = faces_sheet(one.crops, one.likeness, "Saved as anna", str(one))
        assert sheet.width >= 360 and sheet.height > 112
    assert str(identity(count=1)) == "FaceSnap identity of 1 photo"
