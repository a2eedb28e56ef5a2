"""Reference attention: identity as feature maps, beside the untouched text attention.

With y = LayerNorm1(x) of a UNet block and R_i the reference features of the same block,

    term = A(y, y) + sum_i g_i (A(y, [y ; R_i]) - A(y, y))

is added to x; A is one multi-head attention, g_i the strength of identity i, times its mask. The
output projection is linear, so it is applied once, to the sum. The strength is the authors'; the
sum over identities is the paper's (arXiv 2403.17008).

Where attention tells the log-sum-exp l of its logits, the tokens of y need attending to once:

    A(y, [y ; R]) - A(y, y) = w (A(y, R) - A(y, y)),    w = sigmoid(l_R - l_y)
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Rows:
    """The samples of a batch that see the references. index: (K,), or None for all of them."""

    index: Tensor | None = None

    def of(self, t: Tensor) -> Tensor:
        """What a tensor (B, ...) has for these samples, (K, ...)."""
        return t if self.index is None else t[self.index]

    def put(self, whole: Tensor, part: Tensor) -> Tensor:
        """Return (B, ...) with `part` (K, ...) in the place of these samples."""
        return part if self.index is None else whole.index_copy(0, self.index, part)


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
        """Keys and values (1, N*L, C) of reference features (N, L, C)."""
        tokens = features.flatten(0, 1).unsqueeze(0)
        return self.to_k(tokens), self.to_v(tokens)

    def forward(
        self,
        y: Tensor,
        references: list[ReferenceTokens],
        rows: Tensor | None = None,
        options: dict[str, Any] | None = None,
    ) -> Tensor:
        """The term to add to x, (B, L, C).

        y: (B, L, C). rows: indices of the samples that see the references, None for all of them;
        tensor gains then have that many samples. options: the block's transformer options.
        """
        q, k, v = self.to_q(y), self.to_k(y), self.to_v(y)
        if can_merge(y, options):
            return self.to_out(attend_merged(q, k, v, references, Rows(rows)))
        return self.to_out(attend_joined(q, k, v, references, Rows(rows), options))


def attend_joined(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    references: list[ReferenceTokens],
    rows: Rows,
    options: dict[str, Any] | None,
) -> Tensor:
    """Attend to [y ; R_i] as a whole, with the attention that ComfyUI runs; (B, L, C).

    q, k, v: of y, (B, L, C).
    """
    only = references[0] if len(references) == 1 and rows.index is None else None
    if only is not None and not isinstance(only.gain, Tensor) and only.gain == 1:
        return _attend_both(q, k, v, only, options)  # the sum is this one term
    a_y = _attend(q, k, v, None, options)
    if not references:
        return a_y
    q, k, v, base = (rows.of(t) for t in (q, k, v, a_y))
    terms = (r.gain * (_attend_both(q, k, v, r, options) - base) for r in references)
    return rows.put(a_y, base + sum(terms))


def can_merge(y: Tensor, options: dict[str, Any] | None) -> bool:
    """Whether `attend_merged` runs and pays: on a CPU, unless a node replaces all attention.

    Not where gradients are on: torch's kernel gives its log-sum-exps none, so that those of w would
    be missing, without a word.
    """
    if torch.is_grad_enabled() or "optimized_attention_override" in (options or {}):
        return False
    return y.device.type == "cpu"


def attend_merged(
    q: Tensor, k: Tensor, v: Tensor, references: list[ReferenceTokens], rows: Rows
) -> Tensor:
    """Attend to y and to each R_i once, and merge by their log-sum-exps l_y and l_R; (B, L, C)."""
    out, l_y = _attend_flash(q, k, v)
    if references:
        q, a_y, l_y = (rows.of(t) for t in (q, out, l_y))
        total = a_y
        for r in references:
            keys, values = (t.expand(q.shape[0], -1, -1) for t in (r.key, r.value))
            a_r, l_r = _attend_flash(q, keys, values, r.bias)
            w = torch.sigmoid(l_r - l_y).unsqueeze(-1).to(q.dtype)
            g = r.gain.unsqueeze(-1) if isinstance(r.gain, Tensor) else r.gain
            total = total + g * (w * (a_r - a_y))
        out = rows.put(out, total)
    return out.flatten(2)


def _attend_flash(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Attention of torch's CPU kernel (B, L, heads, C / heads) and log-sum-exp (B, L, heads)."""
    q, k, v = (t.unflatten(2, (HEADS, -1)).transpose(1, 2) for t in (q, k, v))
    mask = None if bias is None else bias.expand(1, 1, q.shape[2], -1)
    out, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, attn_mask=mask
    )
    return out.transpose(1, 2), log_sum.transpose(1, 2)


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
    # Releases of SageAttention without masks would leave ours out and say nothing; core's own call
    # of it, and those of other packs, step aside where low precision is refused.
    precise = {} if mask is None else {"low_precision_attention": False}
    return optimized_attention(
        q,
        k,
        v,
        HEADS,
        mask=mask,
        attn_precision=options.get("attn_precision"),
        transformer_options=options,
        **precise,
    )
