"""What a function costs: seconds, peak memory, operations."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cost:
    """seconds: of the wall clock. memory: bytes beyond what was in use before."""

    seconds: float
    memory: int


def cost(function: Callable[[], Any]) -> Cost:
    """Run a function once; memory is CUDA's own count where there is CUDA, else the process's."""
    import torch

    with CudaMemory() if torch.cuda.is_available() else ProcessMemory() as memory:
        start = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return Cost(seconds, memory.peak)


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
