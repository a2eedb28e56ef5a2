"""Keeps what ReferenceNet computed, within a limit, for as long as its reference lives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import torch

Features = dict[str, torch.Tensor]
"""Block name (see checkpoint.layout.reference_blocks) -> LayerNorm1 output, (N, L, C)."""

LIMIT_BYTES = 2 * 1024**3


class FeatureCache:
    """Features by key, the least recently used dropped first once `limit` bytes are reached.

    Never pickled or copied along: a copy starts empty.
    """

    def __init__(self, limit: int = LIMIT_BYTES):
        self.limit = limit
        self._entries: OrderedDict[Hashable, Features] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Features | None:
        """The features of a key, or None."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Hashable, features: Features) -> None:
        """Keep the features of a key; drop old ones where the limit asks for it."""
        self._bytes -= size_in_bytes(self._entries.pop(key, {}))
        self._entries[key] = features
        self._bytes += size_in_bytes(features)
        while self._bytes > self.limit and len(self._entries) > 1:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= size_in_bytes(dropped)

    def bytes_used(self) -> int:
        """The size of all features kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def __reduce__(self):
        return FeatureCache, (self.limit,)

    def __deepcopy__(self, memo) -> FeatureCache:
        return FeatureCache(self.limit)


def size_in_bytes(features: Features) -> int:
    """The memory of a set of features."""
    return sum(tensor.numel() * tensor.element_size() for tensor in features.values())
