"""The two networks, with the names of the released checkpoints.

`Encoder` is MSID: a plain ViT-S for 112 x 112 pictures in patches of 8. Its answer is not the last
layer's but the class token after blocks 2, 5, 8 and 11, each through a BatchNorm and a LayerNorm:
shallow layers keep what a face looks like, deep ones who it is. `Mapping` makes the two words.
"""

from __future__ import annotations

from typing import Any

import comfy.ops
import torch
from comfy.ldm.modules.attention import optimized_attention_for_device
from torch import Tensor, nn

WIDTH, DEPTH, HEADS, PATCH, TOKENS = 384, 12, 12, 8, 197
TAPS = (2, 5, 8, 11)
VECTOR = WIDTH * len(TAPS)
EXPRESSION, HIDDEN, WORD = 64, 1536, 768
BLOCK_EPS, TAP_EPS = 1e-6, 1e-5
SLOPE = 0.2

ops: Any = comfy.ops.manual_cast


class Encoder(nn.Module):
    """MSID: pictures (B, 3, 112, 112) in -1..1 to identity vectors (B, 1536), not normalised."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        super().__init__()
        made = {"dtype": dtype, "device": device}
        self.cls_token = _weight(1, 1, WIDTH, **made)
        self.pos_embed = _weight(1, TOKENS, WIDTH, **made)
        self.patch_embed = nn.ModuleDict(
            {"proj": ops.Conv2d(3, WIDTH, PATCH, stride=PATCH, **made)}
        )
        self.blocks = nn.ModuleList([Block(**made) for _ in range(DEPTH)])
        self.norms = nn.ModuleDict(
            {
                f"layer_{depth}": nn.Sequential(
                    BatchStatistics(**made), ops.LayerNorm(WIDTH, eps=TAP_EPS, **made)
                )
                for depth in TAPS
            }
        )

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.patch_embed["proj"](pictures).flatten(2).transpose(1, 2)
        x = torch.cat([_cast(self.cls_token, x).expand(x.shape[0], -1, -1), x], dim=1)
        x = x + _cast(self.pos_embed, x)
        taps = []
        for depth, block in enumerate(self.blocks):
            x = block(x)
            if depth in TAPS:
                taps.append(self.norms[f"layer_{depth}"](x[:, 0]))
        return torch.cat(taps, dim=-1)


class Block(nn.Module):
    """A pre-norm transformer block, (B, L, 384) to the same."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        super().__init__()
        made = {"dtype": dtype, "device": device}
        self.norm1 = ops.LayerNorm(WIDTH, eps=BLOCK_EPS, **made)
        self.attn = nn.ModuleDict(
            {"qkv": ops.Linear(WIDTH, 3 * WIDTH, **made), "proj": ops.Linear(WIDTH, WIDTH, **made)}
        )
        self.norm2 = ops.LayerNorm(WIDTH, eps=BLOCK_EPS, **made)
        self.mlp = nn.ModuleDict(
            {
                "fc1": ops.Linear(WIDTH, 4 * WIDTH, **made),
                "fc2": ops.Linear(4 * WIDTH, WIDTH, **made),
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.attn["qkv"](self.norm1(x)).chunk(3, dim=-1)
        attention = optimized_attention_for_device(x.device, small_input=True)
        x = x + self.attn["proj"](attention(q, k, v, HEADS))
        hidden = nn.functional.gelu(self.mlp["fc1"](self.norm2(x)))
        return x + self.mlp["fc2"](hidden)


class BatchStatistics(nn.Module):
    """BatchNorm1d as it is after training: (B, 384), with the statistics of the checkpoint."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_parameter(name, _weight(WIDTH, dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, weight, bias = (_cast(getattr(self, name), x) for name in names)
        return (x - mean) / (variance + TAP_EPS).sqrt() * weight + bias


class Mapping(nn.Module):
    """Identity vectors (B, 1536) and expressions to the first and the last word, (B, 768) each."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        super().__init__()
        self.null_exp = _weight(EXPRESSION, dtype=dtype, device=device)
        self.i2t_first = Perceptron(dtype, device)
        self.i2t_last = Perceptron(dtype, device)

    def forward(
        self, vectors: Tensor, expression: Tensor | None = None, strength: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """expression: (B or 1, 64); strength: (B) in 0..1, all 1 if it is left out.

        What strength leaves over is the learned null expression: with None all of it, which is
        how the authors paint.
        """
        null = _cast(self.null_exp, vectors)[None]
        e = null
        if expression is not None:
            m = 1.0 if strength is None else strength[:, None]
            e = m * expression + (1 - m) * null
        z = torch.cat([vectors, e.expand(vectors.shape[0], -1)], dim=-1)
        return self.i2t_first(z), self.i2t_last(z)


class Perceptron(nn.Module):
    """One word of `Mapping`: (B, 1600) to (B, 768)."""

    def __init__(self, dtype: torch.dtype, device: torch.device):
        super().__init__()
        made = {"dtype": dtype, "device": device}
        # the released names number a Sequential of Linear, Dropout and LeakyReLU
        self.layers = nn.ModuleList(
            [
                nn.ModuleList([ops.Linear(VECTOR + EXPRESSION, HIDDEN, **made)]),
                nn.ModuleList([ops.Linear(HIDDEN, HIDDEN, **made)]),
            ]
        )
        self.fc_out = ops.Linear(HIDDEN, WORD, **made)

    def forward(self, z: Tensor) -> Tensor:
        for (linear,) in self.layers:  # type: ignore[misc]
            z = nn.functional.leaky_relu(linear(z), SLOPE)
        return self.fc_out(z)


def _weight(*shape: int, dtype: torch.dtype, device: torch.device) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=dtype, device=device), requires_grad=False)


def _cast(weight: Tensor, like: Tensor) -> Tensor:
    return comfy.ops.cast_to_input(weight, like)
