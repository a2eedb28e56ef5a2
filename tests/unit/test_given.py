"""Every number of every node is finite, every picture is one; or a sentence names the input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfy_api.latest import io

NAN, INF = math.nan, math.inf
ODD = (NAN, INF, -INF, 1e308, -1e308, 10**400, "x" * 10**6, [], {}, object(), 1j)


def inputs(pack: dict[str, type], *kinds: type) -> list[tuple[type, str, bool]]:
    """(node, input, whether the node takes lists) of all inputs of a kind."""
    return [
        (node, one.id, bool(node.GET_SCHEMA().is_input_list))  # type: ignore[attr-defined]
        for node in pack.values()
        for one in node.GET_SCHEMA().inputs  # type: ignore[attr-defined]
        if type(one) in kinds
    ]


@pytest.fixture
def refusal(run_node: Callable[..., tuple]) -> Callable[[type, str, Any], str]:
    """`refusal(node, input, value)`: what a node says of this one input, before it looks at any."""

    def run(node: type, name: str, value: Any) -> str:
        with pytest.raises(ValueError) as caught:
            run_node(node, **{name: value})
        words = str(caught.value)
        assert words.startswith(f"{name} ") and len(words) < 400 and "\n" not in words
        return words

    return run


def test_every_number_of_every_node_is_finite(pack, refusal):
    found = inputs(pack, io.Float.Input, io.Int.Input)
    assert len(found) > 30
    for node, name, lists in found:
        for value in ODD:
            words = refusal(node, name, [value] if lists else value)
            assert " should be a number from " in words or " is an empty list" in words
        if lists:
            refusal(node, name, [])


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_every_picture_and_mask_of_every_node_is_finite(kind, pack, refusal):
    found = inputs(pack, io.Image.Input if kind == "image" else io.Mask.Input)
    assert len(found) >= (8 if kind == "image" else 2)
    for node, name, lists in found:
        for value in (NAN, INF, -INF):
            batch = torch.zeros(3, 8, 8, 3) if kind == "image" else torch.zeros(3, 8, 8)
            batch[1, 2, 3] = value
            words = refusal(node, name, [batch[:1], batch] if lists else batch)
            assert "not finite (NaN or infinite) in picture 2 of 3. " in words
            assert ("--bf16-vae or --fp32-vae" in words) == (kind == "image")
        refusal(node, name, ["text"] if lists else "text")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32, torch.float16])
def test_pictures_of_0_to_255_are_said_so(dtype, pack, refusal):
    picture = torch.linspace(0, 255, 3 * 64).reshape(1, 8, 8, 3).to(dtype)
    for node, name, lists in inputs(pack, io.Image.Input):
        words = refusal(node, name, [picture] if lists else picture)
        assert words == (
            f"{name} holds values up to 255, but those of an IMAGE go from 0 to 1. Divide it by "
            "255 in the node that it comes from."
        )


def test_highlights_and_undershoots_are_pictures(pack, run_node):
    picture = torch.rand(1, 32, 32, 3) * 1.2 - 0.1
    picture[0, :4, :4] = 30.0  # a lamp
    node = pack["FlashFacePasteFaces"]
    given = {"faces": [picture], "padding": [0.0], "feather": [0.1]}
    box = {"x": 2, "y": 2, "width": 9, "height": 9}
    assert run_node(node, image=[picture], bboxes=[box], **given)[0][0].shape == picture.shape


def test_linked_numbers_of_other_kinds_are_taken(pack, run_node):
    import numpy as np

    given: dict[str, Any] = {"width": np.int64(64), "height": 64, "square": False}
    corners = {"x1": torch.tensor(0.25), "y1": np.float32(0.25), "x2": True, "y2": 1}
    (mask,) = run_node(pack["FlashFaceRegion"], **given, **corners)
    assert mask[0, 20:60, 20:60].min() == 1


@pytest.mark.parametrize("value", [0, -8, 4096, 224.0])
def test_linked_whole_numbers_keep_the_widgets_limits(value, pack, refusal):
    words = refusal(pack["FlashFaceCropFaces"], "size", [value])
    assert "size should be a number from 64 to 2048, got " in words


def test_linked_numbers_keep_the_limits_of_every_widget(pack, refusal, run_node):
    for node in pack.values():
        lists = bool(node.GET_SCHEMA().is_input_list)
        for one in node.GET_SCHEMA().inputs:
            for end, beyond in ((getattr(one, "min", None), -0.01), (getattr(one, "max", None), 1)):
                if type(one) is io.Float.Input and end is not None:
                    value = end + beyond
                    words = refusal(node, one.id, [value] if lists else value)
                    assert f" should be a number from {one.min:g} to {one.max:g}, got " in words
    given: dict[str, Any] = {"width": 64, "height": 64, "square": False, "x1": 0.0, "y1": 0.0}
    (mask,) = run_node(pack["FlashFaceRegion"], **given, x2=1 + 1e-9, y2=0.1 + 0.2 + 0.7)
    assert mask.min() == 1


def test_a_list_of_nothing_on_an_optional_input_is_no_input(pack, run_node):
    picture = torch.zeros(1, 64, 64, 3)
    given = {"image": [picture], "if_no_face": ["use whole image"], "like": [None], "size": [64]}
    faces, *_ = run_node(pack["FlashFaceCropFaces"], **given)
    assert faces[0].shape == (64, 64, 3) or faces[0].shape == (1, 64, 64, 3)


def test_a_number_a_frame_is_looked_at_without_copies():
    from memory_meter import MemoryMeter

    from flashface_core.images import distinct

    mask = torch.rand(400, 1, 1).expand(400, 1024, 1024)
    with MemoryMeter() as memory:
        assert distinct(mask).aminmax().max == mask[:, 0, 0].max()
    assert memory.peak < 1e5
