"""Reference attention: identity as feature maps, beside the untouched text attention.

With y = LayerNorm1(x) of a UNet block and R_i the reference features of the same block,

    term = A(y, y) + sum_i g_i (A(y, [y ; R_i]) - A(y, y))

is added to x; A is one multi-head attention, g_i the strength of identity i, times its mask. The
output projection is linear, so it is applied once, to the sum. SPEC: FlashFace, section 3.2.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import comfy.ops
import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

HEADS = 8


@dataclass(frozen=True)
class ReferenceTokens:
    """One identity's keys and values at one block, and how strongly to look at them.

    key, value: (1, R, C). bias: (R,) added to the logits, or None for zeros.
    gain: a number, or a tensor (B, L, 1) where a mask limits the identity to some positions.
    """

    key: Tensor
    value: Tensor
    bias: Tensor | None
    gain: float | Tensor


class ReferenceAttention(torch.nn.Module):
    """One block's extra attention layer, weights `to_q`, `to_k`, `to_v`, `to_out.0`."""

    def __init__(self, channels: int, dtype: torch.dtype, device: torch.device):
        super().__init__()
        linear = partial(comfy.ops.manual_cast.Linear, channels, channels)
        self.to_q = linear(bias=False, dtype=dtype, device=device)
        self.to_k = linear(bias=False, dtype=dtype, device=device)
        self.to_v = linear(bias=False, dtype=dtype, device=device)
        self.to_out = torch.nn.Sequential(linear(dtype=dtype, device=device))

    def project(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values (1, N*L, C) of reference features (N, L, C)."""
        tokens = features.flatten(0, 1).unsqueeze(0)
        return self.to_k(tokens), self.to_v(tokens)

    def forward(
        self,
        y: Tensor,
        references: list[ReferenceTokens],
        rows: Tensor | None = None,
        options: dict[str, Any] | None = None,
    ) -> Tensor:
        """Return the term to add to x, (B, L, C).

        y: (B, L, C). rows: indices of the samples that see the references, None for all of them;
        tensor gains then have that many samples. options: the block's transformer options.
        """
        q, k, v = self.to_q(y), self.to_k(y), self.to_v(y)
        only = references[0] if len(references) == 1 and rows is None else None
        if only is not None and not isinstance(only.gain, Tensor) and only.gain == 1:
            return self.to_out(_attend_both(q, k, v, only, options))
        out = _attend(q, k, v, None, options)
        if references:
            if rows is not None:
                q, k, v = q[rows], k[rows], v[rows]
            base = out if rows is None else out[rows]
            terms = (r.gain * (_attend_both(q, k, v, r, options) - base) for r in references)
            total = base + sum(terms)
            out = total if rows is None else out.index_copy(0, rows, total)
        return self.to_out(out)


def _attend_both(q: Tensor, k: Tensor, v: Tensor, reference: ReferenceTokens, options) -> Tensor:
    """A(y, [y ; R]) before the output projection."""
    samples = q.shape[0]
    keys = torch.cat([k, reference.key.expand(samples, -1, -1)], dim=1)
    values = torch.cat([v, reference.value.expand(samples, -1, -1)], dim=1)
    mask = None
    if reference.bias is not None:
        own = reference.bias.new_zeros(k.shape[1])
        mask = torch.cat([own, reference.bias]).expand(q.shape[1], -1)
    return _attend(q, keys, values, mask, options)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, options) -> Tensor:
    options = options or {}
    return optimized_attention(
        q,
        k,
        v,
        HEADS,
        mask=mask,
        attn_precision=options.get("attn_precision"),
        transformer_options=options,
    )
