"""What README.md and docs/ name is there: templates, nodes, files, links into the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from host_pack import ROOT
from templates import start, studio

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *sorted((ROOT / "docs").glob("*.md"))]
ROW = re.compile(r"^\| \[(\w+)\]\(\.\./workflows/(\w+)\.jpg\) \| (.+?) \|", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)[^)]*\)")


def page(name: str) -> str:
    """A page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_first_screen_is_short() -> None:
    first, _, rest = README.partition("## More")
    words = re.sub(r"\]\([^)]*\)|[*`#\[\]!]", " ", first).split()
    assert rest and len(words) <= 150


def test_the_table_has_every_template() -> None:
    rows = ROW.findall(page("TEMPLATES.md"))
    assert all(picture == name and text for name, picture, text in rows)
    names = [name for name, _, _ in rows]
    assert names == sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_into_the_repository_lead_somewhere(file: Path) -> None:
    places = LINK.findall(file.read_text(encoding="utf-8"))
    assert [place for place in places if not (file.parent / place).exists()] == []


def test_every_node_is_named(pack: dict[str, type]) -> None:
    nodes = page("NODES.md")
    for node in pack.values():
        name = node.GET_SCHEMA().display_name.partition(" (")[0]
        assert name in nodes, name


def test_the_recommended_settings_are_those_of_the_templates() -> None:
    both = {
        f"strength {studio.STRENGTH}, reference guidance 3.2, launch 0.25, cfg {studio.CFG}, "
        f"{studio.STEPS} steps",
        f"strength {start.STRENGTH}, reference guidance {start.GUIDANCE['reference_guidance']}, "
        f"launch {start.GUIDANCE['launch_percent']}, rescale {start.GUIDANCE['rescale']}, "
        f"cfg {start.CFG}, {start.STEPS} steps",
    }
    assert [text for text in both if text not in page("NODES.md")] == []
