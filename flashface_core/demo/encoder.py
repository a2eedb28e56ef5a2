"""An open text encoder in CLIP-L's format: LayerNorm(token + position), and nothing between.

Rows of the words that captions used are learned; all others are noise from a seed, so that words
which the model never saw are strangers that it has learned to overlook. Only the learned rows are
stored. Layers of zeros add nothing to what passes through them: a file has twelve, since loaders
want them; in memory there need be none.
"""

from __future__ import annotations

import torch
from torch import Tensor

VOCABULARY, LENGTH, WIDTH, LAYERS = 49408, 77, 768, 12
SEED = 20240325
TOKEN_STD, POSITION_STD = 0.02, 0.01
ROWS = 4096  # drawn at a time; any number draws the same


def seeded_tables() -> tuple[Tensor, Tensor]:
    """Token rows (49408, 768) and position rows (77, 768) of the seed, fp16."""
    random = torch.Generator().manual_seed(SEED)
    table = torch.empty(VOCABULARY, WIDTH, dtype=torch.float16)
    for rows in table.split(ROWS):
        rows.copy_(torch.randn(rows.shape, generator=random) * TOKEN_STD)
    positions = torch.randn(LENGTH, WIDTH, generator=random) * POSITION_STD
    return table, positions.half()


def encoder_tensors(ids: Tensor, rows: Tensor, layers: int = LAYERS) -> dict[str, Tensor]:
    """The encoder under CLIP-L's names, fp16: the seed's tables with `rows` (W, 768) at `ids` (W,).

    Layers share their zeros, so that they take no memory until somebody copies them.
    """
    table, positions = seeded_tables()
    table[ids] = rows.detach().cpu().half()
    top = "text_model"
    tensors = {
        f"{top}.embeddings.token_embedding.weight": table,
        f"{top}.embeddings.position_embedding.weight": positions,
        **_norm(f"{top}.final_layer_norm"),
        "text_projection.weight": _zeros(WIDTH, WIDTH),
    }
    for index in range(layers):
        tensors |= _layer(f"{top}.encoder.layers.{index}")
    return tensors


def _layer(name: str) -> dict[str, Tensor]:
    tensors = _norm(f"{name}.layer_norm1") | _norm(f"{name}.layer_norm2")
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        tensors |= _linear(f"{name}.self_attn.{part}", WIDTH, WIDTH)
    tensors |= _linear(f"{name}.mlp.fc1", 4 * WIDTH, WIDTH)
    return tensors | _linear(f"{name}.mlp.fc2", WIDTH, 4 * WIDTH)


def _norm(name: str) -> dict[str, Tensor]:
    weight = torch.ones(WIDTH, dtype=torch.float16)
    return {f"{name}.weight": weight, f"{name}.bias": _zeros(WIDTH)}


def _linear(name: str, into: int, of: int) -> dict[str, Tensor]:
    return {f"{name}.weight": _zeros(into, of), f"{name}.bias": _zeros(into)}


def _zeros(*shape: int) -> Tensor:
    return torch.zeros((), dtype=torch.float16).expand(shape)
