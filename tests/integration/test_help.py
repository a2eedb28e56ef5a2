"""Every node has a help page, which ComfyUI shows in the node's menu."""

from __future__ import annotations

import re
from pathlib import Path

from host_pack import ROOT

PAGES = Path(ROOT, "web", "docs")
SHORTEST = 100  # characters below the heading
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")
LARGEST = 100_000  # bytes


def test_every_node_has_a_help_page(pack: dict[str, type]) -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(pack)


def test_a_help_page_has_the_name_of_its_node_and_says_something(pack: dict[str, type]) -> None:
    for name, node in pack.items():
        heading, _, text = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition("\n")
        assert heading == f"# {node.GET_SCHEMA().display_name}", name
        assert len(text.strip()) >= SHORTEST, f"{name}.md says too little"


def test_pictures_are_there_small_and_used() -> None:
    used = set()
    for page in PAGES.rglob("*.md"):
        for text, place in PICTURE.findall(page.read_text(encoding="utf-8")):
            # the front end finds them from web/docs, also for the page of another language
            picture = PAGES / place
            assert picture.is_file() and text, f"{page.name}: {place}"
            assert picture.stat().st_size < LARGEST, place
            used.add(picture)
    assert used == set((PAGES / "images").iterdir())
