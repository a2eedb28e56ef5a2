"""Where a person's two words go among the tokens, and that they never part."""

from __future__ import annotations

import logging

import pytest
import torch

from flashface_core.face2diffusion.text import Pair, Person, Word, keep_together, place_words

START, END, F, L, M = 900, 901, 325, 331, 500
ROOM = 6  # tokens a chunk holds here; CLIP's 75
ONE = Person("f l", torch.tensor([[1.0], [2.0]]))
TWO = Person("f m", torch.tensor([[3.0], [4.0]]))
PAIRS: dict[Pair, Person] = {(F, L): ONE}


def chunks(*rows: list[int], weight: float = 1.0) -> list[list[tuple]]:
    return [
        [
            (START, 1.0),
            *((token, weight) for token in row),
            *[(END, 1.0)] * (ROOM + 1 - len(row)),
        ]
        for row in rows
    ]


def shown(found: list[list[tuple]]) -> list[list[float]]:
    """The text of chunks; a word is its number with a minus, to tell it from tokens."""
    for chunk in found:
        assert len(chunk) == ROOM + 2 and chunk[0] == (START, 1.0) and chunk[-1] == (END, 1.0)
    return [
        [
            -float(t[0].vector) if isinstance(t[0], Word) else t[0]
            for t in chunk[1:-1]
            if t[0] != END
        ]
        for chunk in found
    ]


def placed(*rows: list[int], pairs=PAIRS, every=False) -> list[list[float]]:
    return shown(keep_together(place_words(chunks(*rows), pairs, every)))


def test_the_pair_is_replaced_and_nothing_else():
    assert placed([7, F, L, 8]) == [[7, -1, -2, 8]]
    assert placed([1, 2, 3, 4, 5, 6], [7, F, L]) == [[1, 2, 3, 4, 5, 6], [7, -1, -2]]


def test_a_lone_f_or_l_stays():
    assert placed([F, 9, L, F, F, L]) == [[F, 9, L, F, -1, -2]]


def test_weights_stay():
    found = place_words(chunks([7, F, L], weight=1.3), PAIRS, False)[0]
    assert [token[1] for token in found[1:4]] == [1.3, 1.3, 1.3]


def test_the_first_placeholder_counts_unless_every_one_is_asked_for(caplog):
    with caplog.at_level(logging.WARNING):
        assert placed([F, L, 7, F, L]) == [[-1, -2, 7, F, L]]
    assert "'f l' 2 times; only the first one is the person" in caplog.text
    caplog.clear()
    assert placed([F, L, 7, F, L], every=True) == [[-1, -2, 7, -1, -2]]
    assert not caplog.text


def test_two_people_have_two_placeholders():
    pairs: dict[Pair, Person] = {(F, L): ONE, (F, M): TWO}
    assert placed([F, M, 7, F, L], pairs=pairs) == [[-3, -4, 7, -1, -2]]
    with pytest.raises(ValueError, match="The text has no placeholder 'f m'"):
        placed([F, L], pairs=pairs)


def test_a_pair_that_a_chunk_would_cut_moves_on_as_a_whole():
    assert placed([1, 2, 3, 4, 5, F], [L, 8]) == [[1, 2, 3, 4, 5], [-1, -2, 8]]


def test_full_chunks_after_a_cut_hand_on_their_last_token():
    found = placed([1, 2, 3, 4, 5, F], [L, 11, 12, 13, 14, 15], [21])
    assert found == [[1, 2, 3, 4, 5], [-1, -2, 11, 12, 13, 14], [15, 21]]
    found = placed([1, 2, 3, 4, 5, F], [L, 11, 12, 13, 14, 15])
    assert found == [[1, 2, 3, 4, 5], [-1, -2, 11, 12, 13, 14], [15]]


def test_handing_on_cuts_no_other_pair():
    found = placed([1, 2, 3, 4, 5, F], [L, 11, 12, 13, F, L], every=True)
    assert found == [[1, 2, 3, 4, 5], [-1, -2, 11, 12, 13], [-1, -2]]


def test_a_cut_pair_that_is_not_the_person_stays_where_it_is():
    found = placed([F, L, 3, 4, 5, F], [L, 8])
    assert found == [[-1, -2, 3, 4, 5, F], [L, 8]]


def test_chunks_that_ended_early_are_not_filled_up():
    assert placed([1, 2], [3, 4, 5, 6, 7, F], [L, 8]) == [[1, 2], [3, 4, 5, 6, 7], [-1, -2, 8]]


def test_vectors_of_textual_inversion_are_no_placeholder():
    given = chunks([7, F, L])
    given[0][1] = (torch.zeros(4), 1.0)
    found = place_words(given, PAIRS, False)[0]
    assert torch.is_tensor(found[1][0]) and isinstance(found[2][0], Word)


def test_without_the_placeholder_there_is_no_person():
    for rows in ([], [F], [L, F], [1, 2, 3, 4, 5, F]):
        with pytest.raises(ValueError, match=r"no placeholder 'f l'.*such as 'photo of f l in"):
            placed(rows)
