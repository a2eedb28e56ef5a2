"""FlashFace checkpoints: formats, key names, validation and conversion (torch, safetensors)."""

from __future__ import annotations

from .reader import Checkpoint, open_checkpoint, open_unet

__all__ = ["Checkpoint", "open_checkpoint", "open_unet"]
