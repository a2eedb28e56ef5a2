"""The peak memory of a computation, from its tensors' shapes alone: it may run on meta tensors."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class _FusedAttention(TorchFunctionMode):
    """Attention as GPU kernels do it: the output is all the memory that they take."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.nn.functional.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


class MemoryMeter(TorchDispatchMode):
    """A context; `peak` is the largest sum, in bytes, of what was made in it and still lived."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.now = 0
        self._living: dict[int, int] = {}
        self._attention = _FusedAttention()

    def __enter__(self) -> MemoryMeter:
        self._attention.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._attention.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {_storage(t) for t in tree_iter((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor) and _storage(tensor) not in given:
                self._add(tensor.untyped_storage())
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._living:
            return
        self._living[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.now -= self._living.pop(key, 0)


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata
