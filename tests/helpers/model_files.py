"""Small ONNX models with the exact signatures of SCRFD, RetinaFace, YuNet and ArcFace.

The detectors see a face in every cell of their grids that is filled with one pure colour: green
cells of 8, blue ones of 16, red ones of 32 pixels. Its score is known, and its box and landmarks
lie at constant distances from the cell's corner. So what the real insightface, onnxruntime and
OpenCV make of a picture is known to the pixel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Of a face, in strides from the cell's origin: box sides, then eyes, nose, mouth corners.
REACH = (2.0, 2.5, 2.0, 3.0)  # left, up, right, down
POINTS = ((-1.0, -1.0), (1.0, -0.5), (0.0, 0.25), (-0.75, 1.5), (0.75, 1.5))
SCORE = 0.9
COLOURS = {8: 1, 16: 2, 32: 0}  # stride -> channel of RGB
EMBEDDING = 512


class _Graph:
    """Collects nodes and constants under names of its own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: np.ndarray | list) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def write(self, path: Path, inputs: list, outputs: list) -> Path:
        graph = helper.make_graph(self.nodes, "faces", inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.checker.check_model(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        return path


def _floats(values: object) -> np.ndarray:
    return np.asarray(values, np.float32)


def _fullness(graph: _Graph, source: str, stride: int, rgb: bool) -> str:
    """(1, 1, h, w): SCORE where a cell is full of the stride's colour, 0 if a quarter is not.

    rgb: RGB less 127.5, over 128; else BGR from 0 to 255.
    """
    channel = COLOURS.get(stride)
    weights = np.zeros(3, np.float32)
    if channel is not None:
        weights[:] = -1 / 3 if rgb else -0.5
        weights[channel if rgb else 2 - channel] = 1 / 3 if rgb else 1.0
    top = 127.5 / 128 if rgb else 255.0
    kernel = (weights / top).reshape(1, 3, 1, 1)
    full = graph.add("Conv", source, graph.constant(kernel))
    cells = graph.add("AveragePool", full, kernel_shape=[stride] * 2, strides=[stride] * 2)
    above = graph.add("Sub", cells, graph.constant(_floats(0.75)))
    scaled = graph.add("Mul", above, graph.constant(_floats(4 * SCORE)))
    return graph.add("Clip", scaled, graph.constant(_floats(0)), graph.constant(_floats(SCORE)))


def _rows(graph: _Graph, score: str, values: np.ndarray, output: str, batched: bool) -> str:
    """The same `values` for each cell and anchor: (N, len) or (1, N, len)."""
    column = graph.add("Reshape", score, graph.constant(np.array([-1, 1], np.int64)))
    zeros = graph.add("Mul", column, graph.constant(_floats(0)))
    rows = graph.add("Add", zeros, graph.constant(values.reshape(1, -1)))
    anchors = graph.add("Concat", rows, rows, axis=1) if not batched else rows
    shape = [1, -1, values.size] if batched else [-1, values.size]
    return graph.add("Reshape", anchors, graph.constant(np.array(shape, np.int64)), output=output)


def scrfd(path: Path, landmarks: bool = True, side: int | str = "?") -> Path:
    """SCRFD as in insightface's packs: strides 8, 16, 32, two anchors a cell, RGB / 128 input.

    Without landmarks it has 6 outputs instead of 9. `side` may fix the input's height and width.
    """
    graph = _Graph()
    outputs: dict[str, list] = {"score": [], "bbox": [], "kps": []}
    for stride in (8, 16, 32):
        score = _fullness(graph, "input.1", stride, rgb=True)
        column = graph.add("Reshape", score, graph.constant(np.array([-1, 1], np.int64)))
        second = graph.add("Mul", column, graph.constant(_floats(0.5)))  # the second anchor's
        pair = graph.add("Concat", column, second, axis=1)
        name = f"score_{stride}"
        shape = graph.constant(np.array([-1, 1], np.int64))
        outputs["score"].append((graph.add("Reshape", pair, shape, output=name), 1))
        boxes = _rows(graph, score, _floats(REACH), f"bbox_{stride}", False)
        outputs["bbox"].append((boxes, 4))
        if landmarks:
            points = _rows(graph, score, _floats(POINTS).ravel(), f"kps_{stride}", False)
            outputs["kps"].append((points, 10))
    shape = [1, 3, side, side]
    given = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])
        for group in outputs.values()
        for name, width in group
    ]
    return graph.write(path, [given], infos)


def retinaface(path: Path) -> Path:
    """insightface's five-level head: strides 8 to 128, one anchor, 15 outputs with a batch."""
    graph = _Graph()
    names: list[tuple[str, int]] = []
    scores = []
    for stride in (8, 16, 32, 64, 128):
        score = _fullness(graph, "data", stride, rgb=True)
        scores.append((stride, score))
        names.append((_column(graph, score, f"score_{stride}"), 1))
    for kind, values in (("bbox", _floats(REACH)), ("kps", _floats(POINTS).ravel())):
        names += [
            (_rows(graph, score, values, f"{kind}_{stride}", True), values.size)
            for stride, score in scores
        ]
    given = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, "h", "w"])
    infos = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, None, width]) for n, width in names
    ]
    return graph.write(path, [given], infos)


def yunet(path: Path) -> Path:
    """YuNet as of 2023: BGR 0..255 input, cls, obj, bbox and kps of strides 8, 16, 32."""
    graph = _Graph()
    names: dict[str, list[tuple[str, int]]] = {"cls": [], "obj": [], "bbox": [], "kps": []}
    left, up, right, down = REACH
    # centre offset in strides and log of the size, from the cell's corner
    box = [(right - left) / 2, (down - up) / 2, np.log(left + right), np.log(up + down)]
    for stride in (8, 16, 32):
        score = _fullness(graph, "input", stride, rgb=False)
        names["cls"].append((_column(graph, score, f"cls_{stride}"), 1))
        names["obj"].append((_column(graph, score, f"obj_{stride}"), 1))
        boxes = _rows(graph, score, _floats(box), f"bbox_{stride}", True)
        names["bbox"].append((boxes, 4))
        points = _rows(graph, score, _floats(POINTS).ravel(), f"kps_{stride}", True)
        names["kps"].append((points, 10))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, width])
        for group in names.values()
        for name, width in group
    ]
    return graph.write(path, [given], infos)


def _column(graph: _Graph, score: str, output: str) -> str:
    shape = graph.constant(np.array([1, -1, 1], np.int64))
    return graph.add("Reshape", score, shape, output=output)


def arcface(path: Path) -> Path:
    """ArcFace's w600k: RGB 112 x 112, (x - 127.5) / 127.5, to an embedding of 512 numbers.

    The embedding is linear in the mean colours of a 4 x 4 grid, by an orthonormal matrix: its
    cosine similarity is that of the grids.
    """
    graph = _Graph()
    cells = graph.add("AveragePool", "input.1", kernel_shape=[28, 28], strides=[28, 28])
    flat = graph.add("Reshape", cells, graph.constant(np.array([-1, 48], np.int64)))
    matrix = np.linalg.qr(np.random.RandomState(0).randn(EMBEDDING, 48))[0].T
    graph.add("MatMul", flat, graph.constant(_floats(matrix)), output="683")
    given = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None, 3, 112, 112])
    out = helper.make_tensor_value_info("683", TensorProto.FLOAT, [None, EMBEDDING])
    return graph.write(path, [given], [out])
