"""What native libraries do with a detector's file; also a script that does it alone in a process.

OpenCV and onnxruntime parse .onnx files in C++, where a damaged one can end the process. `trial`
runs this file by its path, in Python's isolated mode: nothing of the pack is imported here.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

PER_CELL = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}  # numbers that YuNet gives
WEAKEST, NMS, MOST = 0.2, 0.4, 5000


def open_yunet(cv2: Any, content: Any, size: int) -> Any:
    """A FaceDetectorYN for frames of size x size that has run once.

    content: the file as uint8. Raises ValueError for a network of other outputs, and whatever
    OpenCV raises.
    """
    import numpy as np

    _check_outputs(cv2, content, size)
    shape = (size, size)
    net = cv2.FaceDetectorYN.create(
        "onnx", content, np.empty(0, np.uint8), shape, WEAKEST, NMS, MOST
    )
    # Some builds of OpenCV 5 take no other size than the file's, and say so only now.
    net.setInputSize(shape)
    net.detect(np.zeros((size, size, 3), np.uint8))
    return net


def _check_outputs(cv2: Any, content: Any, size: int) -> None:
    """Raise ValueError for a network whose outputs do not grow with its input.

    FaceDetectorYN reads as many numbers as its input size asks for, beyond the end of outputs that
    have fewer: nonsense, or the end of the process.
    """
    import numpy as np

    net = cv2.dnn.readNetFromONNX(content)
    names = net.getUnconnectedOutLayersNames()
    net.setInput(cv2.dnn.blobFromImage(np.zeros((size, size, 3), np.uint8)))
    for name, output in zip(names, net.forward(names), strict=True):
        kind, _, stride = name.partition("_")
        if kind in PER_CELL and stride.isdecimal():
            cells = size // int(stride) if int(stride) else 0
            if output is None or output.size != cells**2 * PER_CELL[kind] or not cells:
                raise ValueError(f"its output {name[:20]} does not fit {size} x {size}")


def _noise(size: int) -> Any:
    import numpy as np

    return np.random.RandomState(0).randint(0, 256, (size, size, 3), np.uint8)


def _try_yunet(path: str, size: int) -> None:
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    with open(path, "rb") as file:
        content = np.frombuffer(file.read(), np.uint8)
    open_yunet(cv2, content, size).detect(_noise(size))


KINDS = {"tensor(float)": "f4", "tensor(float16)": "f2", "tensor(double)": "f8"}


def _try_onnx(path: str, size: int) -> None:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    picture = _noise(size).transpose(2, 0, 1)[None].astype("f4") / 128 - 1
    for pixels in (np.zeros_like(picture), picture):
        given = {}
        for wanted in session.get_inputs():
            fill = [1, 3, size, size] if len(wanted.shape) == 4 else [1] * len(wanted.shape)
            shape = [
                side if isinstance(side, int) and side > 0 else usual
                for side, usual in zip(wanted.shape, fill, strict=True)
            ]
            kind = KINDS.get(wanted.type, "i8")
            whole = tuple(shape) == pixels.shape
            given[wanted.name] = pixels.astype(kind) if whole else np.zeros(shape, kind)
        session.run(None, given)


OPENING = "opening"  # said when all is ready: what ends the process from here on is the file
TRIALS = {"yunet": ("cv2", _try_yunet), "onnx": ("onnxruntime", _try_onnx)}


def _limit_memory(more: int) -> None:
    """Let this process take so many bytes more than it has; where there is no such limit, none."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            has = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + more, has + more))
    except (ImportError, OSError, ValueError):
        pass


def _die_quietly() -> None:
    """No core dump, and no window of Windows that waits for somebody to click."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass
    if os.name == "nt":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x0001 | 0x0002)  # type: ignore[attr-defined]


def _main() -> dict[str, str]:
    """What is wrong with the file that the request on stdin names: nothing, "fault", or "untried".

    An error that Python sees is no fault: the caller will meet it too, and say it better.
    """
    request = json.loads(sys.stdin.read())
    sys.path[:] = request["sys_path"]
    _die_quietly()
    library, use = TRIALS[request["kind"]]
    try:
        import numpy  # noqa: F401

        importlib.import_module(library)
    except Exception as error:
        return {"untried": f"{type(error).__name__}: {error}"[:200]}
    sys.stdout.write("\n" + OPENING + "\n")
    sys.stdout.flush()
    _limit_memory(request["memory"])
    try:
        use(request["path"], request["size"])
    except Exception as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "alloc" in text or "insufficient memory" in text:
            return {"fault": f"it takes more than {request['memory'] >> 20} MB of memory"}
    return {}


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(_main()) + "\n")
    sys.stdout.flush()
    os._exit(0)  # what is damaged may not survive its own end either
