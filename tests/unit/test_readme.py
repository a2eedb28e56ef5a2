"""What README.md names is there: templates, nodes, files, links into the repository."""

from __future__ import annotations

import re

from host_pack import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[(\w+)\]\(workflows/(\w+)\.jpg\) \| (.+?) \|", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)[^)]*\)")


def test_the_table_has_every_template() -> None:
    rows = ROW.findall(README)
    assert all(picture == name and text for name, picture, text in rows)
    names = [name for name, _, _ in rows]
    assert sorted(names) == sorted(file.stem for file in (ROOT / "workflows").glob("*.json"))


def test_links_into_the_repository_lead_somewhere() -> None:
    places = LINK.findall(README)
    assert len(places) > 10
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_node_is_named(pack: dict[str, type]) -> None:
    for node in pack.values():
        name = node.GET_SCHEMA().display_name.replace(" (Face2Diffusion)", "")
        assert name in README, name
