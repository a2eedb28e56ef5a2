"""The Facial Attribute Mixer against its formula in plain torch, and the small face encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from flashface_core.facesnap.encoder import FaceEncoder
from flashface_core.facesnap.mixer import Mixer, face_vector

D_ID, D_CLIP, D, N, LAYERS, C = 24, 40, 64, 5, 3, 72


@pytest.fixture(scope="module")
def mixer() -> Mixer:
    torch.manual_seed(0)
    net = Mixer(D_ID, D_CLIP, D, N, LAYERS, C).eval()
    for name, parameter in net.named_parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
        assert parameter.requires_grad, name
    return net.requires_grad_(False)


def attention(w: dict[str, Tensor], name: str, q: Tensor, kv: Tensor) -> Tensor:
    """Softmax(Q K' / sqrt(64)) V by hand, in heads of 64."""
    query = q @ w[f"{name}.to_q.weight"].T
    key, value = (kv @ w[f"{name}.to_kv.weight"].T).chunk(2, -1)
    heads = [
        (a @ b.transpose(1, 2) / 64**0.5).softmax(-1) @ c
        for a, b, c in zip(*(t.split(64, -1) for t in (query, key, value)), strict=True)
    ]
    return torch.cat(heads, -1) @ w[f"{name}.to_out.weight"].T


def norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def written(net: Mixer, f_id: Tensor, f_clip: Tensor) -> Tensor:
    """Section by section, in float64."""
    w = {name: tensor.double() for name, tensor in net.state_dict().items()}
    x = linear(w, "id_in", f_id.double()).reshape(len(f_id), 4, D)
    both = torch.cat([linear(w, "image_in", f_clip.double()), x], 1)
    h = x + attention(w, "cross", norm(w, "cross.norm_q", x), norm(w, "cross.norm_kv", both))
    z = w["queries"].expand(len(f_id), N, D)
    for i in range(LAYERS):
        at = f"layers.{i}"
        own = norm(w, f"{at}.norm1", z)
        z = z + attention(w, f"{at}.self", own, own)
        z = z + attention(w, f"{at}.cross", norm(w, f"{at}.norm2", z), norm(w, f"{at}.norm3", h))
        wide = F.gelu(linear(w, f"{at}.ff.0", norm(w, f"{at}.norm4", z)))
        z = z + linear(w, f"{at}.ff.2", wide)
    return linear(w, "out", norm(w, "out_norm", z))


def given(count: int, rows: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    faces = torch.randn(count, D_ID, generator=generator)
    return face_vector(faces), torch.randn(count, rows, D_CLIP, generator=generator)


def test_it_is_its_formula(mixer):
    f_id, f_clip = given(3)
    found, expected = mixer(f_id, f_clip), written(mixer, f_id, f_clip)
    assert found.shape == (3, N, C)
    assert (found.double() - expected).abs().max() < 1e-5


def test_people_of_a_batch_do_not_see_each_other(mixer):
    f_id, f_clip = given(3)
    single = torch.cat([mixer(f_id[[i]], f_clip[[i]]) for i in range(3)])
    assert (mixer(f_id, f_clip) - single).abs().max() < 1e-6 * single.abs().max()


def test_the_order_of_photos_says_nothing(mixer):
    f_id, f_clip = given(1, 21)
    turned = f_clip.unflatten(1, (3, 7))[:, [2, 0, 1]].flatten(1, 2)
    found = mixer(f_id, f_clip)
    assert (mixer(f_id, turned) - found).abs().max() < 1e-6 * found.abs().max()


def test_nobody_is_zeros(mixer):
    zeros = torch.zeros(1, 7, D_CLIP)
    assert torch.equal(mixer(None, zeros), mixer(torch.zeros(1, D_ID), zeros))
    assert torch.equal(face_vector(torch.zeros(1, 8)), torch.zeros(1, 8))


def test_face_vectors_have_a_length_that_does_not_depend_on_the_encoder():
    vectors = face_vector(torch.randn(5, 128) * 7)
    assert torch.allclose(vectors.norm(dim=1), torch.full((5,), 128**0.5))


@pytest.mark.parametrize("width", [32, 64, 96, 192])
def test_sizes_come_from_the_weights(width):
    net = Mixer(12, 20, width, 3, 2, 48)
    again = Mixer.from_state(net.state_dict())
    layer: Any = again.layers[0]
    assert layer.self.heads == width // (64 if width % 64 == 0 else 32)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize(
    ("sizes", "millions"),
    [((512, 1280, 768, 16, 4, 768), 43.3), ((512, 1280, 1280, 16, 4, 2048), 118.4)],
    ids=["SD1.5", "SDXL"],
)
def test_full_sizes_have_the_published_count(sizes, millions):
    with torch.device("meta"):
        net = Mixer(*sizes)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert round(count / 1e6, 1) == millions


def test_without_cross_attention_the_decoder_reads_both(mixer):
    f_id, f_clip = given(2)
    whole = mixer(f_id, f_clip)
    mixer.cross_attention = False
    try:
        assert (mixer(f_id, f_clip) - whole).abs().max() > 1e-3
    finally:
        mixer.cross_attention = True


def test_the_face_encoder_gives_an_embedding_and_a_map():
    torch.manual_seed(1)
    net = FaceEncoder().eval()
    crops = torch.rand(3, 3, 112, 112)
    with torch.no_grad():
        embedding, grid = net(crops)
        alone = net(crops[[1]])
    assert embedding.shape == (3, 128) and grid.shape == (3, 49, 128)
    assert (alone[0] - embedding[[1]]).abs().max() < 1e-5
    assert (alone[1] - grid[[1]]).abs().max() < 1e-5
    assert sum(p.numel() for p in net.parameters()) < 1.1e6
    again = FaceEncoder.from_state(net.state_dict())
    assert not again.training and torch.equal(again(crops)[0], embedding)


def test_both_run_in_16_bits():
    with torch.autocast("cpu", torch.bfloat16):
        tokens = Mixer(128, 128, 192, 8, 2, 768)(None, torch.zeros(2, 49, 128))
        embedding, _ = FaceEncoder()(torch.rand(2, 3, 112, 112))
    assert tokens.isfinite().all() and embedding.isfinite().all()
