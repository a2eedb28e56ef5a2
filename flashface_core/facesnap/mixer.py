"""The Facial Attribute Mixer: general and specific features of a face to the tokens of FFRNet.

x = reshape(W_id f_id)  (B, 4, D)          y = W_clip f_clip  (B, T, D)
h = x + MHA(q = LN x, kv = LN [y ; x])
z_0 = f_l;  for each layer:  z += SelfAttn(LN z);  z += CrossAttn(LN z, LN h);  z += FF(LN z)
f_mix = W_out LN(z_L)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ID_TOKENS = 4


class Attention(nn.Module):
    """Attention of q to kv; heads of 64, or of 32 where the width is no multiple of 64."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // (64 if width % 64 == 0 else 32)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, q: Tensor, kv: Tensor) -> Tensor:
        """(B, n, D) of queries (B, n, D) and what they look at (B, m, D)."""
        key, value = self.to_kv(kv).chunk(2, -1)
        q, key, value = (
            v.unflatten(-1, (self.heads, -1)).transpose(1, 2) for v in (self.to_q(q), key, value)
        )
        out = F.scaled_dot_product_attention(q, key, value)
        return self.to_out(out.transpose(1, 2).flatten(2))


class Cross(Attention):
    """x + Attn(LN x, LN [y ; x])."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.norm_q, self.norm_kv = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, both: Tensor) -> Tensor:
        return x + super().forward(self.norm_q(x), self.norm_kv(both))


class Layer(nn.Module):
    """One layer of the decoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(width) for _ in range(4))
        self.self, self.cross = Attention(width), Attention(width)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, z: Tensor, h: Tensor) -> Tensor:
        own = self.norm1(z)
        z = z + self.self(own, own)
        z = z + self.cross(self.norm2(z), self.norm3(h))
        return z + self.ff(self.norm4(z))


class Mixer(nn.Module):
    """d_id, d_clip: widths of both features; D: its own; N tokens of C numbers come out.

    cross_attention: False has the decoder read [y ; x] instead of h, to measure what h is good for.
    """

    def __init__(self, d_id: int, d_clip: int, D: int, N: int, layers: int, C: int) -> None:
        super().__init__()
        self.cross_attention = True
        self.queries = nn.Parameter(0.02 * torch.randn(N, D))
        self.id_in = nn.Linear(d_id, ID_TOKENS * D)
        self.image_in = nn.Linear(d_clip, D)
        self.cross = Cross(D)
        self.layers = nn.ModuleList(Layer(D) for _ in range(layers))
        self.out_norm, self.out = nn.LayerNorm(D), nn.Linear(D, C)

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> Mixer:
        """A mixer of the sizes of weights, which are not taken."""
        tokens, width = state["queries"].shape
        layers = 1 + max(int(n.split(".")[1]) for n in state if n.startswith("layers."))
        d_id, d_clip = (state[f"{name}.weight"].shape[1] for name in ("id_in", "image_in"))
        return cls(d_id, d_clip, width, tokens, layers, len(state["out.weight"]))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Mixer:
        """The mixer of weights, whose sizes say its own."""
        net = cls.like(state)
        net.load_state_dict(dict(state))
        return net

    def forward(self, f_id: Tensor | None, f_clip: Tensor) -> Tensor:
        """f_mix (B, N, C) of f_id (B, d_id) and f_clip (B, T, d_clip); f_null of zeros.

        None for f_id is zeros.
        """
        if f_id is None:
            f_id = f_clip.new_zeros(len(f_clip), self.id_in.in_features)
        x = self.id_in(f_id).unflatten(1, (ID_TOKENS, -1))
        both = torch.cat([self.image_in(f_clip), x], 1)
        h = self.cross(x, both) if self.cross_attention else both
        z = self.queries.expand(len(f_id), -1, -1)
        for layer in self.layers:
            z = layer(z, h)
        return self.out(self.out_norm(z))


def face_vector(embedding: Tensor) -> Tensor:
    """f_id = sqrt(d) v / |v| of embeddings (B, d); zeros stay zeros."""
    return embedding.shape[-1] ** 0.5 * F.normalize(embedding.float(), dim=-1)
