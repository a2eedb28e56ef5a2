"""Regions and schedules drawn with the mouse: saved, opened again, and what they change."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from browser_graphs import DESIGNS, OpenPage
from PIL import Image
from playwright.sync_api import Locator, Page
from setup.browser import load_workflow, run_workflow
from setup.comfy_server import DIRECT

WIDTH, HEIGHT = 960, 640
# Create Bounding Boxes, Face Region, and the region saved as a picture.
BUILD = """([width, height, boxes]) => {
  const graph = app.graph;
  graph.clear();
  const region = addNode("FlashFaceRegion", [460, 60]);
  region.setSize([290, 500]);
  const set = (name, value) => {
    const widget = region.widgets.find(widget => widget.name === name);
    widget.value = value;
    widget.callback?.(value);
  };
  set("width", width);
  set("height", height);
  const drawn = addNode("MaskToImage", [820, 60]), saved = addNode("SaveImage", [820, 160]);
  region.connect(0, drawn, 0);
  drawn.connect(0, saved, 0);
  if (boxes) addNode("CreateBoundingBoxes", [0, 60]);
  app.canvas.ds.scale = 0.8;
  app.canvas.ds.offset = [100, 60];
  app.canvas.setDirty(true, true);
  graph.id = crypto.randomUUID();
}"""
# A Curve Editor, FlashFace Schedule, and a node that makes it run.
CURVE = """() => {
  app.graph.clear();
  const curve = addNode("CurveEditor", [0, 60]), schedule = addNode("FlashFaceSchedule", [360, 60]);
  curve.connect(0, schedule, schedule.findInputSlot("strength_curve"));
  schedule.connect(0, addNode("PreviewAny", [740, 60]), 0);
  app.canvas.ds.scale = 0.8;
  app.canvas.ds.offset = [100, 60];
  app.canvas.setDirty(true, true);
  app.graph.id = crypto.randomUUID();
}"""
# A photo, as the picture that the boxes of Face Region belong to.
PHOTO = """() => {
  const region = app.graph.nodes.find(node => node.type === "FlashFaceRegion");
  const photo = addNode("LoadImage", [0, 500]);
  const image = photo.widgets.find(widget => widget.name === "image");
  image.value = image.options.values[0];
  image.callback?.(image.value);
  photo.connect(0, region, region.findInputSlot("image"));
}"""
# The address of a node's preview; a node with a canvas of its own keeps it to itself.
SOURCE = """type => {
  const node = app.graph.nodes.find(node => node.type === type);
  const made = app.nodeOutputs[node.id]?.images?.[0];
  return node.imgs?.[0]?.src ?? new URL(`/view?${new URLSearchParams(made)}`, location).href;
}"""
NODE = "app.graph.nodes.find(node => node.type === '{}')"
LINK = f"{NODE.format('FlashFaceRegion')}.isInputConnected(0)"

RECENT = pytest.mark.usefixtures("recent")


def values(page: Page, kind: str) -> dict[str, Any]:
    """The widgets of the one node of a kind, by name."""
    get = "node => Object.fromEntries(node.widgets.map(widget => [widget.name, widget.value]))"
    return page.evaluate(f"({get})({NODE.format(kind)})")


def picture(page: Page, kind: str) -> np.ndarray:
    """The picture that a node shows, (H, W, 3)."""
    source = page.evaluate(SOURCE, kind)
    with DIRECT.open(source.replace("webp", "png")) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def settled(element: Locator) -> Locator:
    """The element, once it has stopped moving: nodes find their places after they are drawn."""
    before = None
    for _ in range(50):
        now = element.bounding_box()
        if now and now == before and now["height"] > 50:
            return element
        before = now
        element.page.wait_for_timeout(200)
    raise AssertionError(f"the element does not come to rest: {before}")


def place(element: Locator, x: float, y: float) -> tuple[float, float]:
    """A place on the page, from shares of an element's width and height."""
    box = element.bounding_box()
    assert box is not None
    return box["x"] + box["width"] * x, box["y"] + box["height"] * y


def drag(page: Page, canvas: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse between two places in shares of an element."""
    settled(canvas)
    page.mouse.move(*place(canvas, *start))
    page.mouse.down()
    page.mouse.move(*place(canvas, *end), steps=5)
    page.mouse.up()
    page.wait_for_timeout(300)


def build(open_page: OpenPage, modern: bool, boxes: bool) -> Page:
    """A page with the nodes of BUILD."""
    page = open_page(modern=modern)
    page.evaluate(BUILD, [WIDTH, HEIGHT, boxes])
    page.wait_for_timeout(1000)
    return page


def reopened(page: Page, open_page: OpenPage, modern: bool) -> Page:
    """A new page with what the other one would save."""
    saved = page.evaluate("app.graph.serialize()")
    again = open_page(modern=modern)
    load_workflow(again, json.loads(json.dumps(saved)))
    return again


def run_region(page: Page) -> tuple[int, int, int, int]:
    """Run, and the frame of the region that was made: left, top, right, bottom."""
    run_workflow(page)
    mask = picture(page, "SaveImage")[..., 0] > 127
    assert mask.shape == (HEIGHT, WIDTH)
    rows, columns = np.nonzero(mask)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


@DESIGNS
def test_a_box_drawn_on_face_region_is_the_region(modern: bool, open_page: OpenPage) -> None:
    page = build(open_page, modern, boxes=False)
    canvas = page.get_by_test_id("flashface-boxes")
    before = values(page, "FlashFaceRegion")
    drag(page, canvas, (0.45, 0.35), (0.7, 0.45))  # inside the box: it moves
    moved = values(page, "FlashFaceRegion")
    assert moved["x1"] > before["x1"] + 0.1 and moved["y1"] > before["y1"]
    for low, high in (("x1", "x2"), ("y1", "y2")):
        assert moved[high] - moved[low] == pytest.approx(before[high] - before[low], abs=0.02)
    page = reopened(page, open_page, modern)
    assert values(page, "FlashFaceRegion") == moved
    left, top, right, bottom = run_region(page)
    assert left == int(moved["x1"] * WIDTH) and top == int(moved["y1"] * HEIGHT)
    side = max(int(moved["x2"] * WIDTH) - left, int(moved["y2"] * HEIGHT) - top)
    assert right == min(left + side, WIDTH) and bottom == min(top + side, HEIGHT)


@DESIGNS
def test_a_drag_is_one_step_of_undo(modern: bool, open_page: OpenPage) -> None:
    page = build(open_page, modern, boxes=False)
    page.evaluate("app.canvas.emitBeforeChange(); app.canvas.emitAfterChange()")  # what was built
    canvas = page.get_by_test_id("flashface-boxes")
    before = values(page, "FlashFaceRegion")
    drag(page, canvas, (0.45, 0.35), (0.6, 0.45))
    once = values(page, "FlashFaceRegion")
    drag(page, canvas, (0.6, 0.4), (0.7, 0.5))
    twice = values(page, "FlashFaceRegion")
    assert before != once != twice
    for key, expected in (("z", once), ("z", before), ("y", once)):
        page.keyboard.press(f"Control+{key}")
        page.wait_for_timeout(600)
        assert values(page, "FlashFaceRegion") == expected


def test_an_edge_makes_a_square_box_smaller_and_larger(open_page: OpenPage) -> None:
    page = build(open_page, modern=False, boxes=False)
    canvas = page.get_by_test_id("flashface-boxes")

    def on_canvas(x: float, y: float) -> tuple[float, float]:
        shown = settled(canvas).bounding_box()
        assert shown is not None
        scale = min(shown["width"] / WIDTH, shown["height"] / HEIGHT)
        wide, high = WIDTH * scale / shown["width"], HEIGHT * scale / shown["height"]
        return (1 - wide) / 2 + x * wide, (1 - high) / 2 + y * high

    first = values(page, "FlashFaceRegion")
    width = first["x2"] - first["x1"]
    for share in (0.5, 1.2):
        now = values(page, "FlashFaceRegion")
        middle = (now["y1"] + now["y2"]) / 2
        right = first["x1"] + share * width
        drag(page, canvas, on_canvas(now["x2"], middle), on_canvas(right, middle))
        now = values(page, "FlashFaceRegion")
        assert now["x2"] == pytest.approx(right, abs=0.02)
        sides = (now["x2"] - now["x1"]) * WIDTH, (now["y2"] - now["y1"]) * HEIGHT
        assert sides[0] == pytest.approx(sides[1], abs=15)


@RECENT
@pytest.mark.parametrize("muted", [2, 4], ids=["muted", "bypassed"])
def test_a_box_editor_that_does_not_run_is_not_shown(muted: int, open_page: OpenPage) -> None:
    page = build(open_page, modern=False, boxes=True)
    ends = [NODE.format(kind) for kind in ("CreateBoundingBoxes", "FlashFaceRegion")]
    page.evaluate(f"{ends[0]}.connect(1, {ends[1]}, 0); {ends[0]}.mode = {muted}")
    page.wait_for_timeout(500)
    before = values(page, "FlashFaceRegion")
    drag(page, page.get_by_test_id("flashface-boxes"), (0.45, 0.35), (0.6, 0.45))
    assert values(page, "FlashFaceRegion")["x1"] > before["x1"]
    assert not values(page, "CreateBoundingBoxes")["editor_state"]


@RECENT
def test_boxes_of_the_box_editor_are_the_region(open_page: OpenPage) -> None:
    page = build(open_page, modern=True, boxes=True)
    number = {
        kind: page.evaluate(f"{NODE.format(kind)}.id")
        for kind in ("CreateBoundingBoxes", "FlashFaceRegion")
    }
    keys = f"{number['CreateBoundingBoxes']}-out-1", f"{number['FlashFaceRegion']}-in-0"
    source, target = (page.locator(f"[data-slot-key='{key}']") for key in keys)
    page.mouse.move(*place(source, 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*place(target, 0.5, 0.5), steps=8)
    page.mouse.up()
    assert page.evaluate(LINK), "the link from bboxes to bboxes was not made"
    page.wait_for_timeout(500)
    size = values(page, "CreateBoundingBoxes")
    assert (size["width"], size["height"]) == (WIDTH, HEIGHT), "the editor has another size"
    editor = page.get_by_test_id("bounding-boxes").locator("canvas")
    shown = editor.bounding_box()
    assert shown and shown["width"] / shown["height"] == pytest.approx(WIDTH / HEIGHT, rel=0.02)
    drag(page, editor, (0.2, 0.3), (0.4, 0.6))
    drag(page, editor, (0.6, 0.3), (0.8, 0.6))
    boxes = values(page, "CreateBoundingBoxes")["editor_state"]
    assert len(boxes) == 2
    assert boxes[0]["x"] == pytest.approx(0.2 * WIDTH, abs=32)
    page = reopened(page, open_page, modern=True)
    assert values(page, "CreateBoundingBoxes")["editor_state"] == boxes
    side = max(boxes[1]["width"], boxes[1]["height"])
    expected = (boxes[0]["x"], boxes[0]["y"], boxes[1]["x"] + side, boxes[1]["y"] + side)
    assert run_region(page) == expected
    # the first box again, by the mouse, in the page that opened the saved workflow
    drag(page, page.get_by_test_id("bounding-boxes").locator("canvas"), (0.3, 0.45), (0.2, 0.55))
    assert values(page, "CreateBoundingBoxes")["editor_state"][0]["x"] < boxes[0]["x"]
    assert run_region(page)[0] < expected[0]


@RECENT
def test_without_the_box_editor_face_region_takes_its_place(open_page: OpenPage) -> None:
    page = build(open_page, modern=False, boxes=True)
    ends = [NODE.format(kind) for kind in ("CreateBoundingBoxes", "FlashFaceRegion")]
    page.evaluate(f"{ends[0]}.connect(1, {ends[1]}, 0)")
    page.wait_for_timeout(500)
    canvas = page.get_by_test_id("flashface-boxes")
    drag(page, canvas, (0.15, 0.4), (0.35, 0.6))
    drag(page, canvas, (0.6, 0.4), (0.8, 0.6))
    boxes = values(page, "CreateBoundingBoxes")["editor_state"]
    assert len(boxes) == 2 and boxes[1]["x"] == pytest.approx(0.6 * WIDTH, abs=8)
    left, _, right, _ = run_region(page)
    assert left == boxes[0]["x"] and right == boxes[1]["x"] + boxes[1]["width"]
    page.mouse.dblclick(*place(canvas, 0.7, 0.5))
    assert values(page, "CreateBoundingBoxes")["editor_state"] == boxes[:1]


@RECENT
def test_boxes_are_drawn_in_pixels_of_a_linked_picture(open_page: OpenPage) -> None:
    """Execution takes them so: what is drawn on the canvas is the region."""
    page = build(open_page, modern=False, boxes=True)
    page.evaluate(PHOTO)
    ends = [NODE.format(kind) for kind in ("CreateBoundingBoxes", "FlashFaceRegion")]
    page.evaluate(f"{ends[0]}.connect(1, {ends[1]}, 0)")
    page.wait_for_function("app.graph.nodes.find(n => n.type === 'LoadImage').imgs?.[0]?.complete")
    page.wait_for_timeout(1000)
    drag(page, page.get_by_test_id("flashface-boxes"), (0.3, 0.4), (0.5, 0.6))
    left, top, *_ = run_region(page)
    assert left == pytest.approx(0.3 * WIDTH, abs=0.03 * WIDTH)
    assert top == pytest.approx(0.4 * HEIGHT, abs=0.04 * HEIGHT)


@RECENT
def test_a_point_of_a_curve_changes_the_schedule(open_page: OpenPage) -> None:
    page = open_page(modern=True)
    page.evaluate(CURVE)
    page.wait_for_timeout(1000)
    run_workflow(page)
    before = values(page, "CurveEditor")["curve"]["points"]
    drawn = picture(page, "FlashFaceSchedule")
    inside = 0.04 / 1.08  # the editor's margin
    drag(page, page.get_by_test_id("curve-editor"), (inside, 1 - inside), (0.3, 0.2))
    after = values(page, "CurveEditor")["curve"]["points"]
    assert len(after) == len(before)
    assert after[0] == pytest.approx([0.28, 0.82], abs=0.05)
    page = reopened(page, open_page, modern=True)
    assert values(page, "CurveEditor")["curve"]["points"] == after
    run_workflow(page)
    again = picture(page, "FlashFaceSchedule")
    assert again.shape == drawn.shape
    assert np.abs(again.astype(int) - drawn).max(axis=2).astype(bool).mean() > 0.01
