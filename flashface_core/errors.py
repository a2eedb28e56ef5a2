"""Errors that people read: ComfyUI shows an error's type, with its module, before the message.

ComfyUI names a pack's modules after its folder, so that a type would be a whole path of the disk.
"""

from __future__ import annotations

from typing import TypeVar

Kind = TypeVar("Kind", bound=type[Exception])


def for_users(kind: Kind) -> Kind:
    """Class decorator: the error shows as FlashFace.NAME."""
    kind.__module__ = "FlashFace"
    return kind
