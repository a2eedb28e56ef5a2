"""What a sampling shows while ReferenceNet reads: a bar and a line of text on the node that runs.

Without them the pass looked as if the sampler ran twice: its bar went from 1 to the end, and again.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import comfy.utils

log = logging.getLogger(__name__)


class Reading:
    """Counts the steps for which people were read. total: of all people together."""

    def __init__(self, total: int, people: int):
        self._bar = comfy.utils.ProgressBar(total)
        self._noun = "face" if people == 1 else f"faces of {people} people"
        self.update(0)

    def update(self, steps: int) -> None:
        """Note that `steps` more are done. Raises ComfyUI's interrupt."""
        self._bar.update(steps)
        show_text(f"reading the {self._noun}: {self._bar.current} of {self._bar.total} steps")

    def close(self) -> None:
        """Say that the sampler's own steps come next; the line stays on the node."""
        show_text(f"{self._noun} read")


def show_text(text: str) -> None:
    """Show a line on the node that runs now; nothing where there is no server, or another one.

    The front end's text on a node is ComfyUI's own, but no promise to packs: where it is missing or
    has changed, the bar alone has to do.
    """
    running: Any = sys.modules.get("server")
    server = getattr(getattr(running, "PromptServer", None), "instance", None)
    utils: Any = sys.modules.get("comfy_execution.utils")
    context = utils.get_executing_context() if utils is not None else None
    if server is None or context is None:
        return
    try:
        server.send_progress_text(text, context.node_id, server.client_id)
    except (AttributeError, TypeError) as error:
        log.debug("the node cannot show %r: %s", text, error)
