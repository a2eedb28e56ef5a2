"""A blueprint as people meet it: one node from the search, between a photo and a picture."""

from __future__ import annotations

import json

import pytest
from browser_graphs import SAVED_SIZES, OpenPage
from playwright.sync_api import Page
from setup.browser import load_workflow, run_workflow
from templates.blueprints import BLUEPRINTS
from workflow_files import ROOT, SIDE, STEPS

PICTURE, SWAP = "FlashFace - photos and prompt to a picture", "FlashFace - swap a face"
PERSON = "FlashFace - add a person to a MODEL"
# The blueprint's node between Load Image and Save Image, with a small picture of few steps.
AROUND = """([side, steps, photos]) => {
  const [whole] = app.graph.nodes;
  for (const [input, file] of Object.entries(photos)) {
    addNode("LoadImage", [0, 0], {image: file}).connect(0, whole, input);
  }
  whole.connect(0, addNode("SaveImage"), "images");
  for (const widget of whole.widgets)
    if (["width", "height"].includes(widget.name)) widget.value = side;
  for (const node of whole.subgraph.nodes)
    for (const widget of node.widgets ?? [])
      if (widget.name === "steps") widget.value = steps;
      else if (widget.name === "megapixels") widget.value = (side / 1024) ** 2;
}"""
# A graph that paints without a person, and the blueprint's node put into its MODEL.
WITHIN = """([side, steps]) => {
  const [whole] = app.graph.nodes;
  const put = (kind, values) => addNode(kind, [0, 0], values);
  const link = (from, output, to, input) => from.connect(from.findOutputSlot(output), to, input);
  const loader = put("FlashFaceDemoLoader"), person = put("FlashFaceDemoPerson");
  const words = put("CLIPTextEncode", {text: "a woman"}), none = put("CLIPTextEncode");
  const latent = put("EmptyLatentImage", {width: side, height: side});
  const sampler = put("KSampler", {steps}), decode = put("VAEDecode"), saved = put("SaveImage");
  const region = put("FlashFaceRegion", {width: side, height: side});
  for (const text of [words, none]) link(loader, "clip", text, "clip");
  link(loader, "model", whole, "model");
  link(loader, "flashface", whole, "flashface");
  link(loader, "vae", whole, "vae");
  link(person, "photos", whole, "photos");
  link(none, "CONDITIONING", whole, "negative");
  link(region, "region", whole, "face_region");
  link(whole, "model", sampler, "model");
  link(words, "CONDITIONING", sampler, "positive");
  link(none, "CONDITIONING", sampler, "negative");
  link(latent, "LATENT", sampler, "latent_image");
  link(sampler, "LATENT", decode, "samples");
  link(loader, "vae", decode, "vae");
  link(decode, "IMAGE", saved, "images");
}"""


def test_the_node_search_knows_them(open_page: OpenPage) -> None:
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
    name: str, photos: dict[str, str], open_page: OpenPage
) -> None:
    page = _opened(name, open_page)
    page.evaluate(AROUND, [SIDE, STEPS, photos])
    run_workflow(page)
    assert page.evaluate(SAVED_SIZES) == [[SIDE, SIDE]]


def test_a_blueprint_adds_a_person_to_a_model(open_page: OpenPage) -> None:
    page = _opened(PERSON, open_page)
    page.evaluate(WITHIN, [SIDE, STEPS])
    run_workflow(page)
    assert page.evaluate(SAVED_SIZES) == [[SIDE, SIDE]]


def _opened(name: str, open_page: OpenPage) -> Page:
    """A graph of nothing but that blueprint's node."""
    page = open_page()
    workflow = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))
    load_workflow(page, {**workflow, "id": workflow["nodes"][0]["type"]})
    return page
