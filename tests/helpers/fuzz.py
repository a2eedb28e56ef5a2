"""Damage with a seed: of bytes, of safetensors headers, of pickles in zips, of ONNX graphs, and
values of every kind that JSON and Python know."""

from __future__ import annotations

import io
import json
import math
import struct
import zipfile
from random import Random
from typing import Any

import numpy as np
import torch

NUMBERS = (
    0, 1, -1, 2, 0.5, 1e-300, 5e-324, 1e30, 1e308, -1e308, 10**30, 10**400, -(10**400),
    math.nan, math.inf, -math.inf, 2**31, 2**63, 2**64, -(2**63), True,
)  # fmt: skip
WORDS = ("", "a", "nan", "1e999", "\n", "\udcff", "x" * 5000, "points", "x", "0.weight", "\x00")
DTYPES = ("F64", "F32", "F16", "BF16", "F8_E5M2", "F8_E4M3", "I64", "I32", "U8", "BOOL", "C64",
          "F4", "E8M0", "X9", "", 7)  # fmt: skip


def odd_value(random: Random, depth: int = 3) -> Any:
    """Anything that a socket may bring: numbers of all sizes, words, lists and tables of them."""
    kind = random.randrange(8 if depth else 5)
    if kind < 3:
        return random.choice(NUMBERS) if random.random() < 0.5 else random.uniform(-2, 2)
    if kind == 3:
        return random.choice(WORDS)
    if kind == 4:
        return random.choice((None, b"x", (), [], {}, object(), 1j, np.float32(1), torch.ones(2)))
    items = [odd_value(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 5:
        return {random.choice((*WORDS, 1, None)): item for item in items}
    return tuple(items) if kind == 6 else items


def flip_bytes(random: Random, content: bytes, start: int = 0, end: int | None = None) -> bytes:
    """The content with some bytes changed, taken out, put in, or cut off at the end."""
    found = bytearray(content)
    for _ in range(random.randint(1, 6)):
        stop = max(start + 1, min(end or len(found), len(found)))
        at = random.randrange(start, stop)
        match random.randrange(5):
            case 0 | 1:
                found[at : at + 1] = bytes([random.randrange(256)])
            case 2:
                del found[at : at + random.choice((1, 8, 100))]
            case 3:
                found[at:at] = random.randbytes(random.choice((1, 8, 100)))
            case _ if random.random() < 0.2:
                del found[at:]
    return bytes(found)


def damage_safetensors(random: Random, content: bytes) -> bytes:
    """A .safetensors file with another header, or other bytes."""
    if random.random() < 0.3:
        return flip_bytes(random, content, 0, random.choice((20, 400, None)))
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    for _ in range(random.randint(1, 3)):
        name = random.choice(names)
        entry = header.get(name)
        if not isinstance(entry, dict):  # a round before took it
            entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        match random.randrange(8):
            case 0:
                header.pop(name, None)
            case 1:
                header[name + random.choice(("x", "\n", "."))] = header.pop(name, entry)
            case 2 | 3:
                entry["dtype"] = random.choice(DTYPES)
            case 4:
                entry["shape"] = random.choice(([4, 3], [], [0], [2**62, 4], [-1], 5))
            case 5:
                entry["data_offsets"] = [
                    random.choice((0, 4, 2**63, -1)),
                    random.choice((4, 2**40)),
                ]
            case 6:
                header["__metadata__"] = random.choice(
                    ({}, {"a": 1}, 5, {"flashface_reference": "2"})
                )
            case _:
                header[random.choice(WORDS)] = odd_json(random)
    words = json.dumps(header, default=str).encode("utf-8", "replace")
    return struct.pack("<Q", len(words)) + words + content[8 + length :]


def odd_json(random: Random) -> Any:
    """A value that JSON can hold."""
    return json.loads(json.dumps(odd_value(random, 2), default=str, skipkeys=True))


def damage_tensors(random: Random, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A table of tensors with some of them exchanged: values, dtypes, shapes, names."""
    found = dict(tensors)
    for name in random.sample(list(found), min(len(found), random.randint(1, 3))):
        tensor = found[name]
        match random.randrange(6):
            case 0:
                value = random.choice((math.nan, math.inf, 1e38, -1e38, 1e6))
                found[name] = torch.full_like(tensor.float(), value).to(tensor.dtype)
            case 1:
                dtype = random.choice(
                    (
                        torch.float64,
                        torch.float16,
                        torch.int32,
                        torch.bool,
                        torch.complex64,
                        torch.float8_e5m2,
                        torch.uint8,
                    )
                )
                found[name] = torch.zeros(tensor.shape).to(dtype)
            case 2:
                found[name] = torch.zeros(random.choice(([], [0], [1, 1], [3, 4, 0, 2])))
            case 3:
                found[name + "x"] = found.pop(name)
            case 4:
                del found[name]
            case _:
                found[name] = tensor.flatten()
    return found


def damage_zip(random: Random, content: bytes) -> bytes:
    """A torch checkpoint with another pickle in its archive, or other bytes anywhere."""
    if random.random() < 0.3:
        return flip_bytes(random, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, flip_bytes(random, part) if name.endswith(".pkl") else part)
    return buffer.getvalue()


def damage_onnx(random: Random, content: bytes) -> bytes:
    """An ONNX file with another graph, or other bytes."""
    import onnx
    from onnx import helper, numpy_helper

    if random.random() < 0.4:
        return flip_bytes(random, content)
    model = onnx.load_from_string(content)
    graph = model.graph
    for _ in range(random.randint(1, 3)):
        node = random.choice(graph.node)
        match random.randrange(7):
            case 0:
                node.op_type = random.choice(
                    (
                        "Mod",
                        "Tile",
                        "AveragePool",
                        "Conv",
                        "Gather",
                        "Resize",
                        "Pad",
                        "Slice",
                        "Div",
                        "MatMul",
                        "Reshape",
                        "Loop",
                        "Softmax",
                        "TopK",
                        "Nothing",
                        "Concat",
                    )
                )
            case 1:
                value = random.choice((0, -1, 2**31, 2**40, [0, 0], [2**40], [-1, -1], 1e308))
                name = random.choice(("axis", "axes", "strides", "kernel_shape", "pads", "group"))
                node.attribute.append(helper.make_attribute(name, value))
            case 2:
                names = [i.name for i in graph.initializer] + ["input", "nowhere", ""]
                node.input[random.randrange(len(node.input))] = random.choice(names)
            case 3:
                constant = random.choice(graph.initializer)
                shape = random.choice(([], [0], [1], [2, 0, 3], [1, 7]))
                dtype = random.choice((np.float32, np.int64, np.uint8))
                filled = np.full(shape, random.choice((0, 1, 100)), dtype)
                constant.CopyFrom(numpy_helper.from_array(filled, constant.name))
            case 4:
                constant = random.choice(graph.initializer)
                if constant.dims:
                    constant.dims[0] = random.choice((0, -1, 2**40, 2**62, 1))
            case 5:
                random.choice(graph.output).name = random.choice(
                    ("cls_0", "cls_-8", "x", "", "obj_8")
                )
            case _:
                graph.node.remove(node)
                if not graph.node:
                    break
    return model.SerializeToString()
