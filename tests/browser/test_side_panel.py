"""Editors of ours while the side panel shows their node: it must not write its width into them."""

from __future__ import annotations

from typing import Any

import pytest
from browser_graphs import DESIGNS, OpenPage
from playwright.sync_api import Page

# Each node's left edge, and a widget that the panel lists of it.
NODES = {"FlashFaceRegion": (100, "square"), "FlashFaceSchedule": (500, "preset")}
EDITORS = ("flashface-boxes", "flashface-schedule")
BUILD = """places => {
  app.graph.clear();
  for (const [kind, [x]] of Object.entries(places)) addNode(kind, [x, 160]).setSize([360, 600]);
  Object.assign(app.canvas.ds, {scale: 1, offset: [0, 0]});
}"""


@DESIGNS
@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)], ids=["1280", "1920"])
def test_editors_keep_their_size_while_the_panel_shows_their_nodes(
    modern: bool, size: tuple[int, int], open_page: OpenPage
) -> None:
    page = open_page(modern=modern, size=size)
    page.evaluate(BUILD, NODES)
    page.wait_for_timeout(500)
    before = frames(page)
    assert all(frame and frame["width"] > 300 for frame in before)
    page.evaluate("app.canvas.deselectAll()")
    panel = page.get_by_test_id("properties-panel")
    if not panel.count():
        page.get_by_role("button", name="Toggle properties panel").first.click()
    for x, widget in NODES.values():
        page.mouse.click(x + 150, 145)  # the node's title
        panel.get_by_text(widget, exact=True).wait_for(timeout=5000)
        page.wait_for_timeout(500)
        assert frames(page) == before
    page.evaluate("app.canvas.deselectAll()")
    page.wait_for_timeout(200)
    assert frames(page) == before


def frames(page: Page) -> list[Any]:
    """Where the editors lie on the page, and how large they are."""
    return [page.get_by_test_id(name).bounding_box() for name in EDITORS]
