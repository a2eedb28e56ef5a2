"""A device that is not the CPU, for ComfyUI's `--directml`: torch's PrivateUse1 (device.cpp).

It computes on the CPU, has memory of its own, and refuses to compute with tensors of two devices,
as a GPU does. FLASHFACE_TEST_DEVICE_LIBRARY names the library that `pretended_device.py` built.
"""

from __future__ import annotations

import os

import torch
from torch.utils import backend_registration

backend_registration._setup_privateuseone_for_python_backend()
torch.ops.load_library(os.environ["FLASHFACE_TEST_DEVICE_LIBRARY"])
torch.version.cuda = None  # where torch is built for CUDA, ComfyUI would take it for an NVIDIA GPU


def device(index: int = 0) -> torch.device:
    """The device."""
    return torch.device("privateuseone", index or 0)


def device_name(index: int) -> str:
    """What ComfyUI's log calls it."""
    return "a pretended accelerator"


def has_float64_support(device: torch.device) -> bool:
    """Whether ComfyUI may compute in double precision there."""
    return True
