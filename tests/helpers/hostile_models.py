"""YuNet files that no network is: what ends OpenCV's process, takes its memory, or has no answer.

All start from the small stand-in of scripts/standins/detector.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from standins.detector import make_detector


def _first(graph: Any, *nodes: Any) -> None:
    """Put nodes between the input and the network; the last one's output is what it sees."""
    graph.node[0].input[0] = nodes[-1].output[0]
    for node in reversed(nodes):
        graph.node.insert(0, node)


def _constant(graph: Any, name: str, values: Any) -> str:
    graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
    return name


def stride_0(graph: Any) -> None:
    """A pooling that never moves on: a division by zero."""
    node = helper.make_node(
        "AveragePool", ["input"], ["pooled"], kernel_shape=[2, 2], strides=[0, 0]
    )
    _first(graph, node)


def mod_0(graph: Any) -> None:
    """An integer remainder by zero."""
    zero = _constant(graph, "none", np.zeros(1, np.int64))
    one = _constant(graph, "some", np.ones(1, np.int64))
    cast = helper.make_node("Cast", ["rest"], ["part"], to=1)
    rest = helper.make_node("Mod", [one, zero], ["rest"])
    _first(graph, rest, cast, helper.make_node("Add", ["input", "part"], ["moved"]))


def tile_a_million(graph: Any) -> None:
    """The picture, a million times over."""
    times = _constant(graph, "times", np.array([1, 1, 1000, 1000], np.int64))
    _first(graph, helper.make_node("Tile", ["input", times], ["tiled"]))


def output_of_no_node(graph: Any) -> None:
    """One of YuNet's outputs comes from nowhere."""
    graph.output[0].name = "nowhere"


def bad_output_name(graph: Any) -> None:
    """An output of cells of no size."""
    name = graph.output[0].name
    graph.output[0].name = "cls_0"
    for node in graph.node:
        node.output[:] = ["cls_0" if output == name else output for output in node.output]


HOSTILE: dict[str, Callable[[Any], None]] = {
    "stride 0": stride_0,
    "mod 0": mod_0,
    "tile": tile_a_million,
    "no node": output_of_no_node,
    "cls_0": bad_output_name,
}


def hostile_yunet(path: Path, kind: str) -> Path:
    """Write such a file."""
    model = onnx.load(make_detector(path))
    HOSTILE[kind](model.graph)
    onnx.save(model, path)
    return path
