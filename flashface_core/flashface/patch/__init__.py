"""Joins FlashFace to a ComfyUI model: the only room that knows how a ModelPatcher is patched."""

from __future__ import annotations

from .install import apply_reference, set_guidance

__all__ = ["apply_reference", "set_guidance"]
