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
        if can_merge(y, options):
            return self.to_out(attend_merged(q, k, v, references, rows))
        return self.to_out(attend_joined(q, k, v, references, rows, options))


def attend_joined(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    references: list[ReferenceTokens],
    rows: Tensor | None,
    options: dict[str, Any] | None,
) -> Tensor:
    """Attend to [y ; R_i] as a whole, with the attention that ComfyUI runs; (B, L, C).

    q, k, v: of y, (B, L, C).
    """
    only = references[0] if len(references) == 1 and rows is None else None
    if only is not None and not isinstance(only.gain, Tensor) and only.gain == 1:
        return _attend_both(q, k, v, only, options)
    out = _attend(q, k, v, None, options)
    if not references:
        return out
    if rows is not None:
        q, k, v = q[rows], k[rows], v[rows]
    base = out if rows is None else out[rows]
    terms = (r.gain * (_attend_both(q, k, v, r, options) - base) for r in references)
    total = base + sum(terms)
    return total if rows is None else out.index_copy(0, rows, total)


def can_merge(y: Tensor, options: dict[str, Any] | None) -> bool:
    """Whether `attend_merged` runs and pays: on a CPU, unless a node replaces all attention."""
    return y.device.type == "cpu" and "optimized_attention_override" not in (options or {})


def attend_merged(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    references: list[ReferenceTokens],
    rows: Tensor | None,
) -> Tensor:
    """Attend to y and to each R_i once, and merge by the logarithms of their softmax sums.

    With l the log-sum-exp of the logits, A(y, [y ; R]) - A(y, y) = w (A(y, R) - A(y, y)),
    w = sigmoid(l_R - l_y): the positions of y are attended to once, not once more per identity.
    """
    out, own = _attend_flash(q, k, v)
    if references:
        q = q if rows is None else q[rows]
        base, own = (out, own) if rows is None else (out[rows], own[rows])
        total = base
        for r in references:
            samples = q.shape[0]
            found, other = _attend_flash(
                q, r.key.expand(samples, -1, -1), r.value.expand(samples, -1, -1), r.bias
            )
            weight = torch.sigmoid(other - own).unsqueeze(-1).to(q.dtype)
            gain = r.gain.unsqueeze(-1) if isinstance(r.gain, Tensor) else r.gain
            total = total + gain * (weight * (found - base))
        out = total if rows is None else out.index_copy(0, rows, total)
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
