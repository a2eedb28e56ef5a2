"""Builds the pretended accelerator, once for a torch, and says how ComfyUI is started on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from setup.environment import cache_folder, key_of, lock

HERE = Path(__file__).parent
SOURCE = HERE / "device.cpp"
ARGUMENTS = ("--directml", "0")


def variables() -> dict[str, str]:
    """The variables by which ComfyUI finds the accelerator; builds it when needed."""
    path = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
    return {
        "PYTHONPATH": path,
        "FLASHFACE_TEST_DEVICE": " ".join(ARGUMENTS),
        "FLASHFACE_TEST_DEVICE_LIBRARY": str(library()),
    }


def library() -> Path:
    """The library of device.cpp for this torch; skips the test where it cannot be built."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None or sys.platform != "linux":
        pytest.skip("The pretended accelerator is built on Linux, by a C++ compiler (c++ or g++).")
    key = key_of(SOURCE.read_text(encoding="utf-8"), torch.__version__)
    made = cache_folder() / f"accelerator-{key}.so"
    with lock(cache_folder() / "accelerator.lock"):
        if not made.exists():
            half = made.with_suffix(".half")
            subprocess.run([compiler, str(SOURCE), "-o", str(half), *_flags()], check=True)
            half.replace(made)
    return made


def _flags() -> list[str]:
    root = Path(torch.__file__).parent
    includes = (root / "include", root / "include" / "torch" / "csrc" / "api" / "include")
    return [
        *("-std=c++17", "-O1", "-w", "-shared", "-fPIC"),
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        *(f"-I{include}" for include in includes),
        f"-L{root / 'lib'}",
        *("-ltorch", "-ltorch_cpu", "-lc10"),
    ]
