"""Workflows in API format, as try.py changes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from setup.environment import SetupError
from setup.host import PACK

Prompt = dict[str, dict[str, Any]]
WORKFLOWS = PACK / "tests" / "workflows"


def read(name: str) -> Prompt:
    """A workflow of this pack in API format."""
    path = WORKFLOWS / f"{name}_api.json"
    return json.loads(Path(path).read_text(encoding="utf-8"))


def nodes_of(prompt: Prompt, kind: str) -> list[str]:
    """The ids of the nodes of class `kind`; SetupError when the workflow has none."""
    found = [node for node, entry in prompt.items() if entry["class_type"] == kind]
    if not found:
        raise SetupError(f"The workflow has no {kind} node.")
    return found


def set_inputs(prompt: Prompt, kind: str, **inputs: Any) -> None:
    """Set `inputs` on every node of class `kind`; SetupError when the workflow has none."""
    for node in nodes_of(prompt, kind):
        prompt[node]["inputs"].update(inputs)
