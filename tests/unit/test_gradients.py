"""Gradients of what FlashFace adds to a UNet, by finite differences in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from flashface_core.flashface.attention import ReferenceAttention, ReferenceTokens, can_merge
from flashface_core.flashface.checkpoint.layout import Sizes
from flashface_core.flashface.model import Adapter

CHANNELS = 16
STEP = 1e-5
BOUND = 1e-7


def random(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def filled(module: Any) -> Any:
    for seed, parameter in enumerate(module.parameters()):
        parameter.data = random(*parameter.shape, seed=seed) * 0.4
    return module


def check(weight: torch.nn.Parameter, loss) -> None:
    """Compare the gradient of some entries of a weight with what the loss does around them."""
    weight.grad = None
    loss().backward()
    assert weight.grad is not None
    for index in torch.linspace(0, weight.numel() - 1, 5).long():
        entry = weight.data.view(-1)[index : index + 1]
        values = []
        for step in (STEP, -2 * STEP):
            entry += step
            values.append(float(loss().detach()))
        entry += STEP
        expected = (values[0] - values[1]) / (2 * STEP)
        assert expected != 0
        assert abs(float(weight.grad.view(-1)[index]) - expected) < BOUND * max(abs(expected), 1)


@pytest.mark.parametrize("rows", [None, [1]], ids=["all", "one sees"])
@pytest.mark.parametrize("name", ["to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight"])
def test_reference_attention(name: str, rows: list[int] | None):
    layer: Any = filled(ReferenceAttention(CHANNELS, torch.float64, torch.device("cpu")))
    y, features = random(2, 6, CHANNELS, seed=10), random(2, 5, CHANNELS, seed=11)
    bias = torch.tensor([math.log(2), math.log(3)]).double().repeat_interleave(5)
    assert not can_merge(y, {})

    def loss() -> Tensor:
        key, value = layer.project(features)
        tokens = ReferenceTokens(key, value, bias, 1.2)
        return layer(y, [tokens], None if rows is None else torch.tensor(rows)).square().sum()

    check(layer.get_parameter(name), loss)


def test_the_mask_convolution():
    sizes = Sizes(32, 64, (1, 1, 1, 1))
    adapter = filled(Adapter(sizes, torch.float64, torch.device("cpu")))
    region = random(1, 1, 6, 6, seed=12)
    check(adapter.mask_conv.weight, lambda: adapter.mask_conv(region).square().sum())


def test_merging_is_for_sampling_only():
    """torch's kernel gives the log-sum-exps that are merged by no gradient."""
    y = torch.zeros(1, 4, CHANNELS)
    with torch.no_grad():
        assert can_merge(y, {})
    assert not can_merge(y, {})
