"""What every loaded model of this pack is to ComfyUI: a few ModelPatchers under one roof."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher


class LoadedModel:
    """A model socket's value, as ComfyUI's memory accounting asks for its patchers."""

    def get_models(self) -> list[ModelPatcher]:
        """All patchers, the largest first."""
        raise NotImplementedError

    @property
    def patcher(self) -> ModelPatcher:
        """The largest patcher, where ComfyUI's memory accounting looks for one."""
        return self.get_models()[0]

    def is_dynamic(self) -> bool:
        """Whether ComfyUI can give the weights' memory away by itself, without dropping this."""
        return self.patcher.is_dynamic()


def file_stamp(path: str) -> tuple[Any, ...]:
    """What tells a file from another, and from what replaces it: (real path, time, bytes)."""
    status = os.stat(path)
    return os.path.realpath(path), status.st_mtime_ns, status.st_size
