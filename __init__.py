"""FlashFace for ComfyUI: identity as feature maps, beside the prompt."""

from __future__ import annotations

from .nodes import comfy_entrypoint

WEB_DIRECTORY = "./web"  # node help, web/docs/NODE_ID.md

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
