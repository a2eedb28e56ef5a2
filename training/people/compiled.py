"""Numba's compiler, with its cache in the project's cache folder instead of beside the sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

from ..places import cache_folder

if not numba.config.CACHE_DIR:  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(cache_folder() / "numba")  # type: ignore[attr-defined]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code; one thread, so that the same input gives the same bytes."""
    return numba.njit(cache=True, fastmath=True, nogil=True)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Like `compiled`, for small functions of an inner loop: their calls cost more than they do."""
    return numba.njit(cache=True, fastmath=True, nogil=True, forceinline=True)(function)
