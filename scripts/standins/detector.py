"""A stand-in for a face detector with landmarks: it knows one photo, scikit-image's astronaut.

The file has YuNet's inputs and outputs, so that OpenCV runs it like the real one, and says of every
picture what is true of this photo. Needs the package onnx.
"""

from __future__ import annotations

import math
from pathlib import Path

YUNET = "face_detection/face_detection_yunet_standin.onnx"
SIDE, PHOTO = 640, 512  # of YuNet's input, and of the photo
SCORE = 0.95
BOX = (175.0, 62.0, 272.0, 170.0)
LANDMARKS = ((202.0, 101.0), (247.0, 102.0), (226.0, 126.0), (206.0, 144.0), (245.0, 143.0))


def make_detector(path: Path) -> Path:
    """Write the file."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    # nothing is seen, but OpenCV wants every output to depend on the input
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["grey"], axes=[2], keepdims=1),
        helper.make_node("Mul", ["grey", "zero"], ["nothing"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1, 1, 3], np.int64), "flat"),
        numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
    ]
    outputs = []
    for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in (8, 16, 32):
            values = np.zeros((1, (SIDE // stride) ** 2, width), np.float32)
            if stride == 32:
                cell, answers = _answers(stride)
                values[0, cell] = answers[kind]
            name = f"{kind}_{stride}"
            constants.append(numpy_helper.from_array(values, f"{name}_known"))
            nodes.append(helper.make_node("Add", ["nothing", f"{name}_known"], [name]))
            shape = list(values.shape)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "standin", [given], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _answers(stride: int) -> tuple[int, dict[str, list[float]]]:
    """The cell that the face's centre lies in, and what YuNet would say there, in strides."""
    scale = SIDE / PHOTO / stride
    x1, y1, x2, y2 = (value * scale for value in BOX)
    centre = (x1 + x2) / 2, (y1 + y2) / 2
    column, row = int(centre[0]), int(centre[1])
    points = [v for x, y in LANDMARKS for v in (x * scale - column, y * scale - row)]
    box = [centre[0] - column, centre[1] - row, math.log(x2 - x1), math.log(y2 - y1)]
    found = {"cls": [SCORE], "obj": [SCORE], "bbox": box, "kps": points}
    return row * (SIDE // stride) + column, found
