"""What nodes show of themselves when they do not run to their end, or do not run at all."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

import torch
from comfy_api.latest import ui

log = logging.getLogger(__name__)


class Previewing:
    """A node whose preview is shown again when a run takes it from the cache (ComfyUI 0.27).

    Without it the place of the preview stays empty in a workflow that was opened again.
    """

    HAS_INTERMEDIATE_OUTPUT = True


def show_pictures(pictures: Sequence[torch.Tensor]) -> None:
    """Show IMAGEs (H, W, 3) on the node that runs now, as its own preview is shown after a run.

    Does nothing where there is no server or nobody who looks, and never raises: an error is on its
    way, and that is the one to be seen.
    """
    running: Any = sys.modules.get("server")
    server = getattr(getattr(running, "PromptServer", None), "instance", None)
    if server is None or not pictures:
        return
    try:
        from comfy_execution.progress import get_progress_state
        from comfy_execution.utils import get_executing_context

        context = get_executing_context()
        if context is None or server.client_id is None:
            return
        node = context.node_id
        said = {
            "node": node,
            "display_node": get_progress_state().dynprompt.get_display_node_id(node),
            "output": ui.PreviewImage(list(pictures)).as_dict(),
            "prompt_id": context.prompt_id,
        }
        server.send_sync("executed", said, server.client_id)
    except Exception as error:
        log.debug("the node cannot show its picture: %s", error)
