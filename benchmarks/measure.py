"""What a function costs: seconds, peak memory, operations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def seconds(function: Callable[[], Any]) -> float:
    """Run a function once, to the end of what it gave the GPU to do."""
    import torch

    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(function: Callable[[], Any]) -> int:
    """The most bytes of tensors that a function holds at once, beyond what there was."""
    import torch
    from memory_meter import MemoryMeter

    with CudaMemory() if torch.cuda.is_available() else MemoryMeter() as memory:
        function()
    return memory.peak


def operations(function: Callable[[], Any]) -> int:
    """Count the floating-point operations of all matrix products, convolutions and attention."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def attention(query, key, value, *_, **__) -> int:
        batch, heads, rows, channels = query
        return 2 * batch * heads * rows * key[2] * (channels + value[3])

    cpu = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={cpu: attention}) as counter:
        function()
    return counter.get_total_flops()


FAMILIES = {
    "convolution": ("conv",),
    "attention": ("attention", "fmha", "flash"),
    "matrix products": ("aten::mm", "aten::bmm", "addmm", "aten::linear", "mkldnn_linear"),
    "normalisation": ("norm",),
    "copies": ("copy", "aten::cat", "index", "clone", "contiguous"),
}
"""Parts of torch's operator names -> what they do; the first family that fits counts."""


def time_shares(function: Callable[[], Any]) -> dict[str, float]:
    """The shares of a run's time by family of operators, the largest first.

    Time of the device where one computes, else of the CPU.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler:
        function()
    spent: dict[str, float] = {}
    for event in profiler.key_averages():
        time = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if on_gpu and not event.key.startswith("aten::"):
            continue  # a kernel, whose time is its operator's too
        family = next(
            (name for name, parts in FAMILIES.items() if any(part in event.key for part in parts)),
            "the rest",
        )
        spent[family] = spent.get(family, 0.0) + time
    total = sum(spent.values())
    return {name: spent[name] / total for name in sorted(spent, key=lambda name: -spent[name])}


class CudaMemory:
    """The most memory that torch's CUDA allocator gains while open; in bytes."""

    def __enter__(self) -> CudaMemory:
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        self._start = torch.cuda.memory_allocated()
        self.peak = 0
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        self.peak = torch.cuda.max_memory_allocated() - self._start


class ProcessMemory:
    """The most memory that this process gains while open, mapped files included; in bytes."""

    def __enter__(self) -> ProcessMemory:
        import psutil

        self._process = psutil.Process()
        self._start = self._process.memory_info().rss
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, self._process.memory_info().rss - self._start)
