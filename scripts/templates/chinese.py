"""The texts of the example workflows in Chinese, from zh/: a note for each, and titles.

The front end translates no workflow of a pack; web/templates.js puts these in the place of the
English ones where somebody whose ComfyUI is in Chinese opens a template.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).with_name("zh")
SHARED = ("help", "files", "demo")  # paragraphs that notes share, as {help} and so on


def note(name: str) -> str:
    """The note of a workflow, in Markdown."""
    text = _read(name)
    for part in SHARED:
        text = text.replace(f"{{{part}}}", _read(f"_{part}"))
    return text


def titles() -> dict[str, str]:
    """Titles of groups, without their numbers, and of nodes; by the English ones."""
    return json.loads((FOLDER / "titles.json").read_text(encoding="utf-8"))


def _read(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")
