"""FlashFace checkpoints: formats, key names, validation and conversion (torch, safetensors)."""

from .errors import CheckpointError
from .reader import Checkpoint, open_checkpoint

__all__ = ["Checkpoint", "CheckpointError", "open_checkpoint"]
