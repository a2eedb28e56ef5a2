"""A reference: its weights, how it prints, what it refuses, and what a copy takes along."""

from __future__ import annotations

import copy
import math
import pickle
import re

import pytest
import torch

from flashface_core.flashface.attention import ReferenceAttention, ReferenceTokens
from flashface_core.flashface.reference import Identity, Reference, make_reference

CONTEXT = torch.randn(2, 77, 16, generator=torch.Generator().manual_seed(0))


def latents(count: int, height: int = 28, width: int = 28) -> torch.Tensor:
    return torch.randn(count, 4, height, width, generator=torch.Generator().manual_seed(count))


def only(reference: Reference) -> Identity:
    (identity,) = reference.identities
    return identity


@pytest.mark.parametrize(
    ("count", "repeat_to", "weight"), [(1, 4, 4), (2, 4, 2), (3, 4, 4 / 3), (4, 4, 1), (7, 4, 1)]
)
def test_few_faces_count_as_if_repeated(count, repeat_to, weight):
    identity = only(make_reference(latents(count), CONTEXT, repeat_to))
    assert [math.exp(log) for log in identity.log_weights] == pytest.approx([weight] * count)


@pytest.mark.parametrize(("count", "repeat_to"), [(1, 4), (2, 4), (2, 8), (3, 4), (3, 5), (4, 4)])
def test_the_weighting_equals_copies_through_attention(count, repeat_to):
    layer = ReferenceAttention(32, torch.float32, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    y, features = (torch.randn(n, 9, 32, generator=generator) for n in (2, count))

    def term(features, log_weights):
        bias = torch.tensor(log_weights).repeat_interleave(9)
        key, value = layer.project(features)
        return layer(y, [ReferenceTokens(key, value, bias, 1.0)])

    found = term(features, only(make_reference(latents(count), CONTEXT, repeat_to)).log_weights)
    # repeat_to copies of each, all together weighing as repeat_to: count copies too many.
    copies = features.repeat(repeat_to, 1, 1)
    expected = term(copies, [-math.log(count)] * len(copies))
    assert (found - expected).abs().max() < 2e-6 * expected.abs().max()


def test_it_keeps_the_first_prompt_only_on_the_cpu_without_gradients():
    given = latents(2).double().requires_grad_()
    identity = only(make_reference(given, CONTEXT, 4))
    assert torch.equal(identity.context, CONTEXT[:1])
    assert (identity.latents.dtype, identity.latents.requires_grad) == (torch.float32, False)
    assert identity.latents.device.type == identity.context.device.type == "cpu"
    assert identity.text_width == 16


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (
            make_reference(latents(1), CONTEXT, 1),
            "FlashFace reference of 1 person: 1 face of 224 x 224 pixels, weight 1",
        ),
        (
            make_reference(latents(2, 32, 24), CONTEXT, 4),
            "FlashFace reference of 1 person: 2 faces of 192 x 256 pixels, each counted 2 times, "
            "weight 1",
        ),
        (
            Reference(
                (
                    only(make_reference(latents(4), CONTEXT, 4)),
                    Identity(latents(3), CONTEXT[:1], (math.log(4 / 3),) * 3, weight=0.5),
                )
            ),
            "FlashFace reference of 2 people: 4 faces of 224 x 224 pixels, weight 1; "
            "3 faces of 224 x 224 pixels, each counted 1.33 times, weight 0.5",
        ),
    ],
)
def test_it_prints_in_words(reference, text):
    assert str(reference) == repr(reference) == text


@pytest.mark.parametrize(
    ("given", "context", "words"),
    [
        (
            torch.zeros(4, 28, 28),
            CONTEXT,
            "Expected latents of shape (N, 4, h, w), got [4, 28, 28].",
        ),
        (
            torch.zeros(0, 4, 28, 28),
            CONTEXT,
            "Expected latents of shape (N, 4, h, w), got [0, 4, 28, 28].",
        ),
        (latents(1), CONTEXT[0], "Expected text tokens of shape (B, T, C), got [77, 16]."),
    ],
)
def test_other_ranks_are_refused(given, context, words):
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        make_reference(given, context, 4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_a_copy_starts_without_features(copied):
    reference = make_reference(latents(2), CONTEXT, 4)
    only(reference).features.put("key", {"block": torch.zeros(10)})
    twin = only(copied(reference))
    assert torch.equal(twin.latents, only(reference).latents)
    assert twin.log_weights == only(reference).log_weights
    assert (len(twin.features), len(only(reference).features)) == (0, 1)
