"""The example workflows as people meet them: the real front end in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from browser_graphs import DESIGNS, click_template
from playwright.sync_api import Page, expect
from setup.browser import load_workflow, run_workflow
from setup.comfy_server import ComfyServer
from setup.host import PACK_NAME
from templates.graph import NOTE
from templates.layout import zoom
from workflow_files import CROP, NAMES, NEWER, SIDE, SIDES, STEPS, frame, missing, read_workflow

STATE = """() => app.graph.nodes.map(node => ({
  id: Number(node.id),
  type: node.type,
  known: node.type in LiteGraph.registered_node_types,
  broken: Boolean(node.has_errors),
  open: !node.flags?.collapsed,
  values: node.serialize().widgets_values ?? [],
  pictures: (node.imgs ?? []).map(picture => [picture.naturalWidth, picture.naturalHeight]),
}))"""
HURRY = """([side, steps, crop]) => { for (const node of app.graph.nodes)
  for (const widget of node.widgets ?? []) {
    if (widget.name === "steps") widget.value = steps;
    if (node.type === "FlashFaceCropFaces" && widget.name === "size")
      widget.value = Math.min(widget.value, crop);
    if (widget.name === "megapixels") widget.value = side ** 2 / 1024 ** 2;
    if (node.type === "EmptyLatentImage" && widget.name !== "batch_size") widget.value = side;
  }
}"""
PREVIEWS = (
    *("FlashFaceCropFaces", "FlashFaceRegion", "FlashFaceSchedule"),
    *("FlashFaceSaveReference", "Face2DiffusionEncodeFace", "SaveImage"),
)
SIZES = "() => Object.fromEntries(app.graph.nodes.map(node => [node.id, [...node.size]]))"


def choose_template(page: Page, name: str) -> None:
    """Open a template with the mouse, from the Templates dialog."""
    page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    click_template(page, name)
    page.wait_for_function("id => app.graph.id === id", arg=read_workflow(name)["id"])
    page.wait_for_timeout(500)


def sizes(name: str) -> dict[str, list[int]]:
    """The size of every node of a template, by its id."""
    return {str(node["id"]): node["size"] for node in read_workflow(name)["nodes"]}


def check_as_saved(page: Page, name: str) -> None:
    """Every node is there, known, unbroken and shows what the file says."""
    saved = {node["id"]: node for node in read_workflow(name)["nodes"]}
    shown = {node["id"]: node for node in page.evaluate(STATE)}
    assert shown.keys() == saved.keys()
    for number, node in shown.items():
        assert node["type"] == saved[number]["type"]
        assert node["known"] and not node["broken"], f"{node['type']} is red"
        assert node["values"] == saved[number]["widgets_values"], node["type"]


def check_app(page: Page) -> None:
    """The front end's app mode shows what the start template names for it, and nothing else."""
    page.evaluate("app.extensionManager.command.execute('Comfy.ToggleLinear')")
    for text in ("person", "text", "strength", "seed"):
        page.get_by_text(text, exact=True).locator("visible=true").first.wait_for()
    other = page.get_by_text("launch_percent", exact=True).locator("visible=true")
    assert other.count() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_template_opens_from_the_dialog_and_runs_to_a_picture(
    name: str, open_page: Callable[..., Page], ready: ComfyServer
) -> None:
    if lacks := missing(name, ready.object_info()):
        pytest.skip(f"this ComfyUI is older than {', '.join(lacks)}")
    page = open_page()
    choose_template(page, name)
    check_as_saved(page, name)
    frames = [frame(node) for node in read_workflow(name)["nodes"]]
    assert page.evaluate("app.canvas.ds.scale") == pytest.approx(zoom(frames), abs=1e-3)
    assert page.get_by_role("dialog").count() == 0, "a dialog says that something is missing"
    ready.free()  # nodes show previews of what they run, not of what the cache knows
    page.evaluate(HURRY, [SIDE, STEPS, CROP])
    run_workflow(page)
    assert page.evaluate(SIZES) == sizes(name), "a node grew over what lies below it"
    for node in page.evaluate(STATE):
        assert not node["broken"], f"{node['type']} is red"
        if node["type"] in PREVIEWS and node["open"]:
            assert node["pictures"], f"{node['type']} shows no picture"
        if node["type"] == "SaveImage":
            side = SIDES.get(name, SIDE)
            assert node["pictures"] == [list(side) if isinstance(side, tuple) else [side, side]]
    if name == "1_start_here" and ready.object_info().keys() >= NEWER:
        check_app(page)


FOUND = {"child": "4_as_a_child", "swap": "5_face_swap", "avatar": "5_avatar"}


def test_the_search_of_templates_finds_ours(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.evaluate("app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(PACK_NAME, exact=True).first.click()
    box = dialog.locator("input").first
    for words, name in FOUND.items():
        box.fill(words)
        expect(dialog.locator("[data-testid^=template-workflow-]")).to_have_count(1)
        expect(dialog.locator(f"[data-testid^=template-workflow-{name}]")).to_have_count(1)


@DESIGNS
def test_a_workflow_opens_from_its_file(modern: bool, open_page: Callable[..., Page]) -> None:
    page = open_page(modern=modern)
    load_workflow(page, read_workflow("2_new_picture_of_a_person"))
    check_as_saved(page, "2_new_picture_of_a_person")
    if modern:
        drawn = page.locator("[data-node-id]")
        titles = " ".join(drawn.all_inner_texts())
        for title in ("Load FlashFace Model", "Apply FlashFace", "FlashFace Guidance"):
            assert title in titles


def test_saving_a_workflow_keeps_it(open_page: Callable[..., Page]) -> None:
    name = "2_new_picture_simplest"
    page = open_page()
    load_workflow(page, read_workflow(name))
    again, saved = page.evaluate("app.graph.serialize()"), read_workflow(name)
    assert again["version"] == saved["version"]
    assert [link[:6] for link in again["links"]] == saved["links"]
    for before, after in zip(saved["nodes"], again["nodes"], strict=True):
        for key in ("id", "type", "pos", "size", "properties", "mode"):
            assert after[key] == before[key], f"{before['type']}: {key}"
        for kind in ("inputs", "outputs"):
            names = [entry["name"] for entry in before[kind]]
            assert [entry["name"] for entry in after.get(kind) or []] == names, before["type"]
        if before["type"] != NOTE:
            # newer front ends leave the list out where it is empty
            assert (after.get("widgets_values") or []) == before["widgets_values"]
