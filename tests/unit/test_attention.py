"""Reference attention against the plain formula in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from flashface_core.flashface import attention as module
from flashface_core.flashface.attention import HEADS, ReferenceAttention, ReferenceTokens

CHANNELS, POSITIONS, SAMPLES = 32, 12, 3
BOUND = 2e-6


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True, params=["merged", "joined"])
def way(request, monkeypatch) -> Iterator[str]:
    """Both ways of attending: a CPU's, and what every other device and ComfyUI's nodes get."""
    with torch.no_grad():  # as ComfyUI samples
        assert module.can_merge(Y, {})
        if request.param == "joined":
            monkeypatch.setattr(module, "can_merge", lambda y, options: False)
        yield request.param


@pytest.fixture(scope="module")
def layer() -> ReferenceAttention:
    """A layer with random weights."""
    layer = ReferenceAttention(CHANNELS, torch.float32, torch.device("cpu"))
    shapes = {name: tensor.shape for name, tensor in layer.state_dict().items()}
    layer.load_state_dict(
        {name: random(*shape, seed=i) * 0.4 for i, (name, shape) in enumerate(shapes.items())}
    )
    return layer.eval().requires_grad_(False)


Y = random(SAMPLES, POSITIONS, CHANNELS, seed=10)
FEATURES = [random(n, 7, CHANNELS, seed=20 + n) for n in (1, 2, 3)]


def tokens(layer, features: Tensor, gain, log_weights=None) -> ReferenceTokens:
    bias = None
    if log_weights is not None:
        bias = torch.tensor(log_weights).repeat_interleave(features.shape[1])
    key, value = layer.project(features)
    return ReferenceTokens(key, value, bias, gain)


def attention(layer, y: Tensor, others: Tensor, bias: Tensor | None = None) -> Tensor:
    """A(y, [y ; others]) in float64, before the output projection; others (R, C), bias (R,)."""
    w = {name: tensor.double() for name, tensor in layer.state_dict().items()}
    heads = []
    for sample in y.double():
        seen = torch.cat([sample, others.double()])
        q, k, v = (
            (x @ w[f"to_{n}.weight"].T).view(len(x), HEADS, -1).transpose(0, 1)
            for n, x in (("q", sample), ("k", seen), ("v", seen))
        )
        logits = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if bias is not None:
            logits[..., len(sample) :] += bias.double()
        heads.append((logits.softmax(-1) @ v).transpose(0, 1).flatten(1))
    return torch.stack(heads)


def formula(layer, y: Tensor, references: list) -> Tensor:
    """A(y, y) + sum_i g_i (A(y, [y ; R_i]) - A(y, y)), then the output projection, in float64."""
    base = attention(layer, y, torch.zeros(0, CHANNELS))
    total = base.clone()
    for features, gain, log_weights in references:
        bias = torch.tensor(log_weights or [0.0] * len(features)).repeat_interleave(7)
        gain = gain.double() if isinstance(gain, Tensor) else gain
        total += gain * (attention(layer, y, features.flatten(0, 1), bias) - base)
    weight, bias = (layer.state_dict()[f"to_out.0.{n}"].double() for n in ("weight", "bias"))
    return total @ weight.T + bias


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < BOUND * expected.abs().max()


PER_TOKEN = torch.linspace(0, 1.5, SAMPLES * POSITIONS).view(SAMPLES, POSITIONS, 1)
CASES = {
    "no reference": [],
    "strength 1": [(FEATURES[1], 1.0, None)],
    "strength 0": [(FEATURES[1], 0.0, None)],
    "extrapolated": [(FEATURES[1], 1.3, None)],
    "negative": [(FEATURES[1], -2.0, None)],
    "weighted": [(FEATURES[1], 1.0, [math.log(2), math.log(3)])],
    "masked": [(FEATURES[2], PER_TOKEN, None)],
    "two people": [(FEATURES[0], 0.8, [math.log(4)]), (FEATURES[2], 0.6, None)],
    "three people": [
        (FEATURES[0], PER_TOKEN, [math.log(4)]),
        (FEATURES[1], 1.2, [math.log(2)] * 2),
        (FEATURES[2], 1.5 - PER_TOKEN, None),
    ],
}


@pytest.mark.parametrize("references", CASES.values(), ids=CASES.keys())
def test_the_term_is_the_formula(layer, references):
    given = [tokens(layer, *reference) for reference in references]
    assert_close(layer(Y, given), formula(layer, Y, references))


@pytest.mark.parametrize("references", list(CASES.values())[1:], ids=list(CASES)[1:])
@pytest.mark.parametrize("rows", [[0], [2, 1], [0, 1, 2]])
def test_only_some_samples_see_the_references(layer, references, rows):
    rows = torch.tensor(rows)
    references = [
        (features, gain[: len(rows)] if isinstance(gain, Tensor) else gain, weights)
        for features, gain, weights in references
    ]
    found = layer(Y, [tokens(layer, *reference) for reference in references], rows)
    assert_close(found[rows], formula(layer, Y[rows], references))
    plain = layer(Y, [])
    for sample in set(range(SAMPLES)) - set(rows.tolist()):
        assert torch.equal(found[sample], plain[sample])


@pytest.mark.parametrize("times", [2, 3, 4])
@pytest.mark.parametrize("gain", [1.0, 0.85])
def test_a_log_weight_equals_real_repetition(layer, times, gain):
    features = FEATURES[1]
    copies = layer(Y, [tokens(layer, features.repeat(times, 1, 1), gain)])
    assert_close(layer(Y, [tokens(layer, features, gain, [math.log(times)] * 2)]), copies)


def test_each_reference_has_a_weight_of_its_own(layer):
    one, two = FEATURES[1][:1], FEATURES[1][1:]
    copies = layer(Y, [tokens(layer, torch.cat([one, two, two, two]), 1.0)])
    assert_close(layer(Y, [tokens(layer, FEATURES[1], 1.0, [0.0, math.log(3)])]), copies)


def test_where_a_mask_is_0_nothing_changes(layer):
    mask = (torch.arange(POSITIONS) < 5).float().view(1, -1, 1).expand(SAMPLES, -1, -1)
    found = layer(Y, [tokens(layer, FEATURES[1], 1.2 * mask)])
    assert torch.equal(found[:, 5:], layer(Y, [])[:, 5:])
    assert_close(found[:, :5], layer(Y, [tokens(layer, FEATURES[1], 1.2)])[:, :5])


def test_a_node_that_replaces_attention_sees_the_joined_one(layer):
    seen = []

    def override(attention, q, k, v, heads, *args, **kwargs):
        seen.append((q.shape, k.shape))
        return attention(q, k, v, heads, *args, **kwargs)

    options = {"optimized_attention_override": override}
    found = layer(Y, [tokens(layer, FEATURES[1], 1.2)], None, options)
    assert_close(found, layer(Y, [tokens(layer, FEATURES[1], 1.2)]))
    own, both = (SAMPLES, POSITIONS, CHANNELS), (SAMPLES, POSITIONS + 14, CHANNELS)
    assert seen == [(own, own), (own, both)]


def test_attention_without_masks_is_not_given_one(layer):
    """As SageAttention before its masks: what core and other packs put it in asks this keyword."""

    def override(attention, q, k, v, heads, *args, **kwargs):
        if kwargs.get("low_precision_attention", True):
            kwargs["mask"] = None
        return attention(q, k, v, heads, *args, **kwargs)

    weighted = tokens(layer, FEATURES[1], 1.2, [0.5, 0.5])
    found = layer(Y, [weighted], None, {"optimized_attention_override": override})
    assert_close(found, layer(Y, [weighted]))


def test_inputs_are_left_as_they_were(layer):
    y, reference = Y.clone(), tokens(layer, FEATURES[1], 1.2, [0.5, 0.5])
    key, value = reference.key.clone(), reference.value.clone()
    layer(y, [reference], torch.tensor([1]))
    assert torch.equal(y, Y)
    assert torch.equal(key, reference.key) and torch.equal(value, reference.value)
