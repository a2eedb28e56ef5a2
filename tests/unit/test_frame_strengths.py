"""Keyframes in words become a strength for every frame; what cannot be read is said in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flashface_core.flashface.frame_strengths import (
    KeyframesError,
    draw_strengths,
    parse_keyframes,
    strength_masks,
    strengths,
)


@pytest.mark.parametrize(
    "text",
    [
        "0: 1.0, 24: 0.2",
        "24:.2,0:1",
        "0: (1.0)\n24: (0.2)\n",
        "0=1; 24 = 2e-1,",
        "0\uff1a1\uff0c24\uff1a0.2",
    ],
)
def test_pairs_in_any_order_and_on_lines(text: str) -> None:
    assert list(parse_keyframes(text).items()) == [(0, 1.0), (24, 0.2)]


@pytest.mark.parametrize(
    ("keyframes", "between", "expected"),
    [
        ({0: 1.0, 4: 0.0}, "linear", [1, 0.75, 0.5, 0.25, 0, 0]),
        ({0: 1.0, 4: 0.0}, "hold", [1, 1, 1, 1, 0, 0]),
        ({2: 0.5}, "linear", [0.5] * 6),
        ({2: 0.5, 3: 1.0}, "hold", [0.5, 0.5, 0.5, 1, 1, 1]),
        ({0: 0.0, 10: 1.0}, "linear", [0, 0.1, 0.2, 0.3, 0.4, 0.5]),
    ],
)
def test_between_and_beyond_keyframes(keyframes: dict, between: str, expected: list) -> None:
    found = strengths(keyframes, 6, between)
    assert found.dtype == torch.float32
    assert found.tolist() == pytest.approx(expected, abs=1e-7)


def test_a_long_film_takes_no_memory() -> None:
    masks = strength_masks(torch.linspace(0, 1, 4096), 8192, 4096)
    assert masks.shape == (4096, 4096, 8192)
    assert masks.untyped_storage().nbytes() == 4096 * 4
    assert masks[4095, 17, 23] == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" ,\n", "is empty"),
        ("0", "'0', which is no pair"),
        ("0: much", "no pair"),
        ("-1: 0.5", "no pair"),
        ("1.5: 0.5", "no pair"),
        ("0: 1: 2", "no pair"),
        ("0: 1.0 24: 0.2", "no pair"),
        ("0: 1.2", "from 0 .* to 1"),
        ("0: -0.1", "from 0 .* to 1"),
        ("0: nan", "from 0 .* to 1"),
        ("0: 1e400", "from 0 .* to 1"),
        ("9" * 400 + ": 1", "end at 1000000"),
        ("0: 1, 0: 0.5", "frame 0 twice"),
        ("x" * 10**6, "x\\.\\.\\.', which is no pair"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, reason: str) -> None:
    with pytest.raises(KeyframesError, match=reason) as error:
        parse_keyframes(text)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("frames", [1, 2, 3, 500])
def test_the_curve_is_drawn(frames: int) -> None:
    keyframes = {0: 0.0, 10: 1.0}
    picture = np.asarray(draw_strengths(strengths(keyframes, frames), keyframes))
    low, high = picture[180:240], picture[:40]
    green = (86, 214, 128)
    assert (low == green).all(-1).any(), "strength 0 lies below"
    assert (high == green).all(-1).any() == (frames == 500), "and 1 above"
