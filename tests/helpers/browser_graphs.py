"""What browser tests share: both designs of nodes, graphs made by hand, the Templates dialog."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from setup.host import PACK_NAME

OpenPage = Callable[..., Page]
DESIGNS = pytest.mark.parametrize("modern", [False, True], ids=["canvas nodes", "Nodes 2.0"])
# Loaded into every page. values: of widgets, by name.
ADD_NODE = """window.addNode = (type, [x, y] = [0, 0], values = {}) => {
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  node.pos = [x, y];
  for (const [name, value] of Object.entries(values))
    node.widgets.find(widget => widget.name === name).value = value;
  return node;
};"""
# Width and height of every picture that a Save Image shows.
SAVED_SIZES = """() => app.graph.nodes.filter(node => node.type === "SaveImage").flatMap(
  node => (node.imgs ?? []).map(picture => [picture.naturalWidth, picture.naturalHeight]))"""


def click_template(page: Page, name: str) -> None:
    """Choose a template of this pack in the open Templates dialog."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(PACK_NAME, exact=True).first.click()
    dialog.get_by_test_id(f"template-workflow-{name}").click()
