"""A blueprint as people meet it: one node from the search, between a photo and a picture."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page
from setup.browser import load_workflow, run_workflow
from templates.blueprints import BLUEPRINTS
from workflow_files import ROOT, SIDE, STEPS

PICTURE, SWAP = "FlashFace - photos and prompt to a picture", "FlashFace - swap a face"
# The blueprint's node between Load Image and Save Image, with a small picture of few steps.
AROUND = """([side, steps, photos]) => {
  const [whole] = app.graph.nodes;
  const put = kind => {
    const node = LiteGraph.createNode(kind);
    app.graph.add(node);
    return node;
  };
  for (const [input, file] of Object.entries(photos)) {
    const photo = put("LoadImage");
    photo.widgets.find(widget => widget.name === "image").value = file;
    photo.connect(0, whole, input);
  }
  whole.connect(0, put("SaveImage"), "images");
  for (const widget of whole.widgets)
    if (["width", "height"].includes(widget.name)) widget.value = side;
  for (const node of whole.subgraph.nodes)
    for (const widget of node.widgets ?? [])
      if (widget.name === "steps") widget.value = steps;
      else if (widget.name === "megapixels") widget.value = (side / 1024) ** 2;
}"""
SIZES = """() => app.graph.nodes.filter(node => node.type === "SaveImage").flatMap(
  node => (node.imgs ?? []).map(picture => [picture.naturalWidth, picture.naturalHeight]))"""


def test_the_node_search_knows_them(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.evaluate("app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    page.keyboard.type("FlashFace -")
    for name in BLUEPRINTS:
        page.get_by_text(name).first.wait_for()


@pytest.mark.parametrize(
    ("name", "photos"),
    [
        (PICTURE, {"photos": "reference.png"}),
        (SWAP, {"photo": "photo.png", "person": "reference.png"}),
    ],
)
def test_photos_and_a_blueprint_give_a_picture(
    name: str, photos: dict[str, str], open_page: Callable[..., Page]
) -> None:
    page = open_page()
    file = ROOT / "subgraphs" / f"{name}.json"
    workflow = json.loads(file.read_text(encoding="utf-8"))
    load_workflow(page, {**workflow, "id": workflow["nodes"][0]["type"]})
    page.evaluate(AROUND, [SIDE, STEPS, photos])
    run_workflow(page)
    assert page.evaluate(SIZES) == [[SIDE, SIDE]]
