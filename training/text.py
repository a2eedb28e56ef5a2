"""Captions as tokens and contexts: the open text encoder of the embedded default while it learns.

What it is, and its form as a file, is flashface_core/demo/encoder.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flashface_core.demo.encoder import LENGTH, WIDTH, encoder_tensors, seeded_tables

from .checkpoint import write_tensors

START, END = 49406, 49407
LAST_WORD = 49405


class Words(nn.Module):
    """Contexts of captions; `ids` are the tokens whose rows are learned, sorted.

    known: words that were learned before, whose tokens and rows these have too.
    """

    ids: Tensor
    table: Tensor
    positions: Tensor

    def __init__(self, ids: Sequence[int], known: Words | None = None) -> None:
        super().__init__()
        table, positions = _tables()
        before = known.ids if known else torch.empty(0, dtype=torch.long)
        chosen = torch.tensor(sorted({*ids, *before.tolist(), START, END}))
        rows = table[chosen].clone()
        if known:
            rows[torch.searchsorted(chosen, before)] = known.rows.detach()
        self.rows = nn.Parameter(rows)
        self.register_buffer("ids", chosen)
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("positions", positions, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Contexts (B, 77, 768) of tokens (B, 77), from tables as fp16 keeps them."""
        place = torch.searchsorted(self.ids, tokens.contiguous()).clamp(max=len(self.ids) - 1)
        known = (self.ids[place] == tokens).unsqueeze(-1)
        # Rounded for the sum, as if not for the gradient.
        rows = self.rows + (self.rows.half().float() - self.rows).detach()
        token = torch.where(known, _rows_at(rows, place), self.table[tokens])
        return F.layer_norm(token + self.positions, (WIDTH,))


def _rows_at(rows: Tensor, place: Tensor) -> Tensor:
    """rows[place]. On a GPU as a product of matrices, whose gradient is quick: most of a batch's
    tokens are one and the same, and would be added up one after the other."""
    if not rows.is_cuda:
        return rows[place]
    chosen = place.unsqueeze(-1) == torch.arange(len(rows), device=rows.device)
    return chosen.to(rows.dtype) @ rows


class Clip(nn.Module):
    """SD1.5's own text encoder as ComfyUI runs it, frozen, and kept out of checkpoints."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        import comfy.sd

        if not path.exists():
            raise FileNotFoundError(f"network.clip is {path}, and there is no such file.")
        loaded: Any = comfy.sd.load_clip([str(path)])
        self.hidden = (loaded.cond_stage_model.clip_l.float().requires_grad_(False),)

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        """Contexts (B, 77, 768) of tokens (B, 77)."""
        encoder = self.hidden[0].to(tokens.device)
        return encoder.encode(tokens.tolist())[0].float()


@cache
def _tables() -> tuple[Tensor, Tensor]:
    """Token rows and position rows of the seed, as fp16 keeps them, fp32."""
    table, positions = seeded_tables()
    return table.float(), positions.float()


@cache
def _tokenizer() -> Any:
    from comfy.sd1_clip import SDTokenizer

    return SDTokenizer()


def tokenize(caption: str) -> list[int]:
    """The 77 tokens that ComfyUI makes of a caption; call `host.enter` before."""
    batches = _tokenizer().tokenize_with_weights(caption)
    return [int(token) for token, _ in batches[0]]


def with_strangers(tokens: np.ndarray, random: np.random.Generator, chance: float) -> np.ndarray:
    """Tokens (77,) with one to three words put in that no caption has, with this chance."""
    if random.random() >= chance:
        return tokens
    end = int(np.argmax(tokens == END))
    words = list(tokens[1:end])
    for _ in range(int(random.integers(1, 4))):
        words.insert(int(random.integers(len(words) + 1)), int(random.integers(LAST_WORD)))
    words = words[: LENGTH - 2]
    return np.array([START, *words, *[END] * (LENGTH - 1 - len(words))], tokens.dtype)


def write_encoder(path: Path, words: Words) -> None:
    """Write the encoder as a file that ComfyUI's CLIPLoader reads (246 MB)."""
    write_tensors(path, encoder_tensors(words.ids, words.rows), {})


class Captioned(nn.Module):
    """A diffusion network with the words of its captions: what a stage trains as one."""

    def __init__(self, net: Any, words: Words | Clip) -> None:
        super().__init__()
        self.net: Any = net
        self.words = words

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor, **rest: Any) -> Tensor:
        """The predicted noise of x (B, 4, H, W) at t (B,) with captions (B, 77).

        rest: as the network's `forward` takes it, and reference_tokens (1, 77).
        """
        if (reference_tokens := rest.pop("reference_tokens", None)) is not None:
            rest["reference_context"] = self.words(reference_tokens)
        return self.net(x, t, self.words(tokens), **rest)
