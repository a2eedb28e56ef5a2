"""Encode Reference Faces through a real small VAE: batches and lists give one reference."""

from __future__ import annotations

import importlib
import logging
import re
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import pytest
import torch
from composition import random
from host_pack import pack_module
from torch import Tensor

TOKENS = random(2, 77, 768, seed=50)
FACES = torch.rand(5, 64, 64, 3, generator=torch.Generator().manual_seed(51))


@pytest.fixture(scope="module")
def vae(standin_models: Path) -> Any:
    """A small VAE, loaded by ComfyUI's own loader."""
    nodes: Any = importlib.import_module("nodes")
    return nodes.VAELoader().load_vae("vae_standin.safetensors")[0]


@pytest.fixture
def encode(pack, run_node, vae):
    """`encode(faces, negative=..., repeat_to=4)`: the reference that the node makes."""

    def run(faces: list[Tensor], negative=None, repeat_to: int = 4, vae=vae) -> Any:
        given = {"negative": [[[TOKENS, {}]]] if negative is None else negative}
        node = pack["FlashFaceEncodeReference"]
        return run_node(node, vae=[vae], faces=faces, repeat_to=[repeat_to], **given)[0]

    return run


def latents(reference: Any) -> Tensor:
    (identity,) = reference.identities
    return identity.latents


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))


def test_latents_are_the_vaes_scaled_as_sd15s(encode, vae):
    found = latents(encode([FACES]))
    assert found.shape == (5, 4, 8, 8) and found.dtype == torch.float32
    assert_close(found, vae.encode(FACES).detach() * 0.18215)


@pytest.mark.parametrize("split", [[1, 1, 1, 1, 1], [2, 3], [4, 1]])
def test_batches_and_lists_give_one_reference(split, encode):
    whole, parts = encode([FACES]), encode(list(FACES.split(split)))
    assert_close(latents(parts), latents(whole))
    assert parts.identities[0].log_weights == whole.identities[0].log_weights == (0.0,) * 5


def test_few_faces_are_weighted_not_copied(encode):
    identity = encode([FACES[:1], FACES[1:2]], repeat_to=4).identities[0]
    assert identity.latents.shape[0] == 2
    assert identity.log_weights == pytest.approx([torch.tensor(2.0).log().item()] * 2)
    assert encode([FACES[:1]], repeat_to=1).identities[0].log_weights == (0.0,)


def test_an_alpha_channel_and_grey_pictures_are_taken(encode):
    alpha = torch.cat([FACES, torch.zeros(5, 64, 64, 1)], dim=-1)
    assert_close(latents(encode([alpha])), latents(encode([FACES])))
    grey = FACES[..., :1]
    assert_close(latents(encode([grey])), latents(encode([grey.expand(-1, -1, -1, 3)])))


def test_the_first_prompt_of_the_negative_is_kept(encode):
    assert torch.equal(encode([FACES]).identities[0].context, TOKENS[:1])


@pytest.mark.parametrize(
    "negative",
    [[[[TOKENS, {}], [TOKENS * 2, {}]]], [[[TOKENS, {}]], [[TOKENS * 2, {}]]]],
    ids=["two entries", "a list of two"],
)
def test_several_negatives_warn_and_the_first_is_used(negative, encode, caplog):
    with caplog.at_level(logging.WARNING):
        reference = encode([FACES], negative)
    assert [record.getMessage() for record in caplog.records] == [
        "Encode Reference Faces: the negative conditioning has several entries; "
        "the first one's tokens are used."
    ]
    assert torch.equal(reference.identities[0].context, TOKENS[:1])


def test_one_negative_does_not_warn(encode, caplog):
    encode([FACES])
    assert caplog.records == []


@pytest.mark.parametrize(
    ("faces", "words"),
    [
        (
            [FACES, torch.zeros(1, 64, 96, 3)],
            "faces must be images of one size, got 64 x 64, 96 x 64. Take them from Detect & Crop "
            "Faces, which brings all of them to one size.",
        ),
        (
            [FACES[0]],
            "faces must be images of one size, got no image. Take them from Detect & Crop "
            "Faces, which brings all of them to one size.",
        ),
        (
            [torch.zeros(1, 100, 64, 3)],
            "faces must have a height and width that are multiples of 8, got 64 x 100. Take them "
            "from Detect & Crop Faces, or scale them to 224 x 224.",
        ),
    ],
    ids=["two sizes", "no batch", "not a multiple of 8"],
)
def test_faces_that_do_not_fit(faces, words, encode):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        encode(faces)


def test_a_vae_of_another_model(encode, standin_models: Path):
    weights = comfy.utils.load_torch_file(str(standin_models / "vae" / "vae_standin.safetensors"))
    for name, repeats in (("taesd_encoder.14", 4), ("taesd_decoder.1", 4)):
        axis = 0 if "encoder" in name else 1
        shape = [1, 1, 1, 1]
        shape[axis] = repeats
        weights[f"{name}.weight"] = weights[f"{name}.weight"].repeat(shape)
    weights["taesd_encoder.14.bias"] = weights["taesd_encoder.14.bias"].repeat(4)
    words = (
        "This VAE gives latents of shape [5, 16, 8, 8]; FlashFace needs an SD1.5 VAE, "
        "which gives (faces, 4, height / 8, width / 8). Connect one to 'vae'."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        encode([FACES], vae=comfy.sd.VAE(sd=weights))


def test_an_empty_negative_is_refused(encode):
    words = (
        "The negative CONDITIONING is empty. Connect the negative prompt of CLIP Text Encode, "
        "the same one that goes to the sampler."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        encode([FACES], [[]])


def test_the_reference_is_of_the_packs_own_class(encode):
    assert isinstance(encode([FACES]), pack_module("flashface_core.flashface.reference").Reference)
