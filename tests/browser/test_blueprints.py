"""A blueprint as people meet it: one node from the search, between a photo and a picture."""

from __future__ import annotations

import json
from collections.abc import Callable

from playwright.sync_api import Page
from setup.browser import load_workflow, run_workflow
from templates.blueprints import BLUEPRINTS
from workflow_files import ROOT, SIDE, STEPS

PICTURE = "FlashFace - photos and prompt to a picture"
# The blueprint's node between Load Image and Save Image, with a small picture of few steps.
AROUND = """([side, steps]) => {
  const [whole] = app.graph.nodes;
  const [photo, saved] = ["LoadImage", "SaveImage"].map(kind => {
    const node = LiteGraph.createNode(kind);
    app.graph.add(node);
    return node;
  });
  photo.widgets.find(widget => widget.name === "image").value = "reference.png";
  photo.connect(0, whole, "photos");
  whole.connect(0, saved, "images");
  for (const widget of whole.widgets)
    if (["width", "height"].includes(widget.name)) widget.value = side;
  for (const node of whole.subgraph.nodes)
    for (const widget of node.widgets ?? [])
      if (widget.name === "steps") widget.value = steps;
}"""
SIZES = """() => app.graph.nodes.filter(node => node.type === "SaveImage").flatMap(
  node => (node.imgs ?? []).map(picture => [picture.naturalWidth, picture.naturalHeight]))"""


def test_a_photo_and_a_blueprint_give_a_picture(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.evaluate("app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    page.keyboard.type("FlashFace -")
    for name in BLUEPRINTS:
        page.get_by_text(name).first.wait_for()
    page.keyboard.press("Escape")
    file = ROOT / "subgraphs" / f"{PICTURE}.json"
    workflow = json.loads(file.read_text(encoding="utf-8"))
    load_workflow(page, {**workflow, "id": workflow["nodes"][0]["type"]})
    page.evaluate(AROUND, [SIDE, STEPS])
    run_workflow(page)
    assert page.evaluate(SIZES) == [[SIDE, SIDE]]
