"""Editors of ours while the side panel shows their node: it must not write its width into them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

PUT = """kind => {
  app.graph.clear();
  const node = LiteGraph.createNode(kind);
  app.graph.add(node);
  node.pos = [100, 160];
  node.setSize([360, 600]);
  Object.assign(app.canvas.ds, {scale: 1, offset: [0, 0]});
}"""
OPEN = "app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', true)"
KINDS = [
    ("FlashFaceRegion", "flashface-boxes", "square"),
    ("FlashFaceSchedule", "flashface-schedule", "preset"),
]


@pytest.mark.usefixtures("recent")
@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)], ids=["1280", "1920"])
@pytest.mark.parametrize("modern", [False, True], ids=["canvas nodes", "Nodes 2.0"])
@pytest.mark.parametrize(("kind", "canvas", "widget"), KINDS, ids=["region", "schedule"])
def test_an_editor_keeps_its_size_while_the_panel_shows_its_node(
    kind: str,
    canvas: str,
    widget: str,
    modern: bool,
    size: tuple[int, int],
    open_page: Callable[..., Page],
) -> None:
    page = open_page(modern=modern, size=size)
    page.evaluate(PUT, kind)
    page.wait_for_timeout(500)
    drawn = page.get_by_test_id(canvas)
    before = drawn.bounding_box()
    assert before is not None and before["width"] > 300
    page.evaluate(OPEN)
    page.mouse.click(250, 145)  # the node's title
    page.get_by_test_id("properties-panel").get_by_text(widget, exact=True).wait_for(timeout=5000)
    page.wait_for_timeout(500)
    assert drawn.bounding_box() == before
    page.evaluate("app.canvas.deselectAll()")
    page.wait_for_timeout(200)
    assert drawn.bounding_box() == before
