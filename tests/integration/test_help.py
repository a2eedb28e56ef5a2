"""Every node has a help page, which ComfyUI shows in the node's menu."""

from __future__ import annotations

import json
import re
from pathlib import Path

from host_pack import ROOT

PAGES = Path(ROOT, "web", "docs")
SHORTEST, SHORTEST_CHINESE = 100, 50  # characters below the heading
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")
CODE = re.compile(r"`[^`]+`")
PLACE = re.compile(r"\]\(([^)]+)\)")
LARGEST = 100_000  # bytes


def test_every_node_has_a_help_page(pack: dict[str, type]) -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == set(pack)


def test_a_help_page_has_the_name_of_its_node_and_says_something(pack: dict[str, type]) -> None:
    for name, node in pack.items():
        heading, text = page(f"{name}.md")
        assert heading == f"# {node.GET_SCHEMA().display_name}", name
        assert len(text) >= SHORTEST, f"{name}.md says too little"


def test_every_help_page_is_there_in_chinese(pack: dict[str, type]) -> None:
    names = json.loads((ROOT / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
    assert {page.parent.name for page in PAGES.glob("*/zh.md")} == set(pack)
    for name in pack:
        heading, text = page(f"{name}/zh.md")
        _, english = page(f"{name}.md")
        assert heading == f"# {names[name]['display_name']}", name
        assert len(text) >= SHORTEST_CHINESE, name
        for kept in (CODE, PLACE):  # code, pictures and links stay
            assert sorted(kept.findall(text)) == sorted(kept.findall(english)), name


def page(name: str) -> tuple[str, str]:
    """The heading of a page and the text below it."""
    heading, _, text = (PAGES / name).read_text(encoding="utf-8").partition("\n")
    return heading, text.strip()


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
