"""Puts a person's two words into a prompt, with ComfyUI's own text encoder.

In the authors' code the two word vectors replace the sums of token and position embedding, so they
carry no position. ComfyUI's encoder takes vectors among the tokens and adds position embedding j
to all rows alike; so what is handed over is

    word - position_embedding[j]        j: the row in its chunk of 77 tokens

Everything else (token weights, several chunks, LoRA and hooks on the CLIP) stays ComfyUI's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from ..errors import one_line, shown

log = logging.getLogger(__name__)

POSITIONS = "clip_l.transformer.text_model.embeddings.position_embedding.weight"
EXAMPLE = "'photo of f l in a park'"
Token = tuple  # (id or vector, weight, ...), as ComfyUI's tokenizers make them
Chunk = list[Token]
Pair = tuple[int | None, int | None]


class Person(NamedTuple):
    """Two words (2, C), and the text that stands for them in the prompt."""

    placeholder: str
    words: torch.Tensor


class Word(NamedTuple):
    """One of a person's words, in the place of a token until its row is known."""

    vector: torch.Tensor
    first: bool


def encode_text(clip: Any, text: str, people: Sequence[Person], every: bool = False) -> list:
    """The CONDITIONING of `text` with the words of `people` at their placeholders.

    clip: ComfyUI's CLIP of an SD1.x model; it is not changed. every: at all placeholders; else
    at each person's first one, as the authors do.
    Raises ValueError for another kind of CLIP, and for placeholders that are missing from the text,
    shared by two people, or not exactly two tokens.
    """
    tokens = clip.tokenize(text)
    _check_family(tokens)
    pairs = _pairs(clip, people)
    chunks = keep_together(place_words([list(chunk) for chunk in tokens["l"]], pairs, every))
    positions = _positions(clip, tokens, people)
    width = positions.shape[-1]
    return clip.encode_from_tokens_scheduled(
        {"l": [[_lowered(token, positions[j]) for j, token in _rows(c, width)] for c in chunks]}
    )


def place_words(chunks: list[Chunk], pairs: dict[Pair, Person], every: bool) -> list[Chunk]:
    """Put words in the place of pairs of token ids; a pair may lie across two chunks.

    Changes and returns `chunks`. Raises ValueError where a person is nowhere in the text.
    """
    places = [(c, j) for c, chunk in enumerate(chunks) for j in range(1, _end(chunk))]
    found = dict.fromkeys(pairs, 0)
    inside = False
    for (c, j), (d, k) in pairwise(places):
        pair = (_id(chunks[c][j]), _id(chunks[d][k]))
        if inside or pair not in pairs:
            inside = False
            continue
        inside = True  # the second token of a pair begins no other one
        found[pair] += 1
        if every or found[pair] == 1:
            first, last = pairs[pair].words
            chunks[c][j] = (Word(first, True), *chunks[c][j][1:])
            chunks[d][k] = (Word(last, False), *chunks[d][k][1:])
    for pair, count in found.items():
        _check_count(pairs[pair].placeholder, count, every)
    return chunks


def _check_count(placeholder: str, count: int, every: bool) -> None:
    if not count:
        example = EXAMPLE.replace("f l", one_line(placeholder, 60))
        raise ValueError(
            f"The text has no placeholder {shown(placeholder, 60)}, so there is no place for the "
            f"person. Write it where the person should be, such as {example}."
        )
    if count > 1 and not every:
        log.warning(
            "Face2Diffusion: the text has %s %d times; only the first one is the person. Set "
            "'occurrences' to 'every' to change that.",
            *(shown(placeholder, 60), count),
        )


def keep_together(chunks: list[Chunk]) -> list[Chunk]:
    """Move a first word that ends its chunk into the next one, before its last word.

    A chunk is encoded alone, so two words in two chunks would be no person. This is what the
    tokenizer does itself with a short group such as (f l:1.1); later tokens move on by one place.
    """
    if not any(_is_first(chunk[_end(chunk) - 1]) for chunk in chunks):
        return chunks
    size, start, pad = len(chunks[0]), chunks[0][0], chunks[0][-1]
    rows = [chunk[1 : _end(chunk)] for chunk in chunks]
    kept: list[Chunk] = []
    row: Chunk = []
    while rows or row:
        row = row + (rows.pop(0) if rows else [])
        cut = min(len(row), size - 2)
        if cut and _is_first(row[cut - 1]):
            cut -= 1
        if cut:
            kept.append([start, *row[:cut], *[pad] * (size - 1 - cut)])
        row = row[cut:]
    return kept


def _check_family(tokens: dict) -> None:
    if set(tokens) == {"l"}:
        return
    families = {frozenset("gl"): "SDXL", frozenset("h"): "SD 2", frozenset("g"): "the SDXL refiner"}
    family = families.get(frozenset(tokens), "another model (" + ", ".join(sorted(tokens)) + ")")
    raise _wrong_clip(f"is of {family}")


def _wrong_clip(why: str) -> ValueError:
    return ValueError(
        f"This CLIP {why}. Face2Diffusion's words are for the text encoder of SD 1.x (CLIP-L, "
        "width 768): connect the CLIP of an SD 1.4 or 1.5 checkpoint."
    )


def _pairs(clip: Any, people: Sequence[Person]) -> dict[Pair, Person]:
    pairs: dict[Pair, Person] = {}
    for person in people:
        chunks = clip.tokenize(person.placeholder)["l"]
        ids = [_id(token) for token in chunks[0][1 : _end(chunks[0])]]
        if len(ids) != 2 or len(chunks) != 1 or None in ids:
            raise ValueError(
                f"The placeholder {shown(person.placeholder, 60)} is {len(ids)} tokens for CLIP, "
                "but a person is two words. Use two letters or short words, such as 'f l' or 'm n'."
            )
        pair = (ids[0], ids[1])
        if pair in pairs:
            raise ValueError(
                f"Two people have the placeholder {shown(person.placeholder, 60)}. Give each their "
                "own, such as 'f l' and 'm n'."
            )
        pairs[pair] = person
    return pairs


def _positions(clip: Any, tokens: dict, people: Sequence[Person]) -> torch.Tensor:
    """The position embedding that the encoder will add, patches and 16-bit rounding included."""
    clip.load_model(tokens)
    try:
        table = clip.patcher.get_model_object(POSITIONS)
    except AttributeError as error:
        raise _wrong_clip("has no position embedding of CLIP-L") from error
    widths = {person.words.shape[-1] for person in people}
    if widths != {table.shape[-1]}:
        raise _wrong_clip(f"has vectors of width {table.shape[-1]}, not {sorted(widths)}")
    return table.detach().to("cpu", torch.float32)


def _rows(chunk: Chunk, width: int) -> Iterator[tuple[int, Token]]:
    """Each token and its row in the encoder, which leaves out vectors of another width."""
    row = 0
    for token in chunk:
        yield row, token
        left_out = isinstance(token[0], torch.Tensor) and token[0].shape[-1] != width
        row += not left_out


def _lowered(token: Token, position: torch.Tensor) -> Token:
    if not isinstance(token[0], Word):
        return token
    return (token[0].vector.to("cpu", torch.float32) - position, *token[1:])


def _end(chunk: Chunk) -> int:
    """Where the text of a chunk ends: before its end token and padding, which are one id."""
    end = len(chunk)
    while end > 1 and _id(chunk[end - 1]) == _id(chunk[-1]):
        end -= 1
    return end


def _id(token: Token) -> int | None:
    return None if isinstance(token[0], torch.Tensor | Word) else int(token[0])


def _is_first(token: Token) -> bool:
    return isinstance(token[0], Word) and token[0].first
