"""What nodes show before and during a run: schedules, presets, numbers out of use, progress."""

from __future__ import annotations

from typing import Any

import pytest
from browser_graphs import DESIGNS, OpenPage
from playwright.sync_api import Locator, Page
from setup.browser import load_workflow, run_workflow
from setup.comfy_server import ComfyServer
from workflow_files import read_workflow

from flashface_core.flashface.guidance import PRESETS, Preset, Schedule
from flashface_core.flashface.schedule_drawing import evaluations

BUILD = """() => {
  app.graph.clear();
  const schedule = addNode("FlashFaceSchedule", [0, 60]);
  schedule.setSize([330, 430]);
  const guidance = addNode("FlashFaceGuidance", [380, 60]);
  const applied = addNode("FlashFaceApply", [380, 330]);
  schedule.connect(0, guidance, guidance.findInputSlot("schedule"));
  applied.connect(0, guidance, 0);
  app.canvas.ds.scale = 0.7;
  app.canvas.ds.offset = [120, 80];
  app.canvas.setDirty(true, true);
  app.graph.id = crypto.randomUUID();
}"""
NODE = "app.graph.nodes.find(node => node.type === '{}')"
SET = """([type, name, value]) => {
  const node = app.graph.nodes.find(node => node.type === type);
  const widget = node.widgets.find(widget => widget.name === name);
  widget.value = value;
  widget.callback?.(value, app.canvas, node);
}"""
MARKED = """type => app.graph.nodes.find(node => node.type === type).widgets
  .filter(widget => widget.label?.includes("(")).map(widget => [widget.name, widget.disabled])"""
COLOUR = """([modern, type]) => modern
  ? getComputedStyle(document.body).getPropertyValue(`--color-datatype-${type}`).trim()
  : app.canvas.default_connection_color_byType[type]"""
TICK = 1000  # ms; marks and drawings follow within this


def values(page: Page, kind: str) -> dict[str, Any]:
    """The widgets of the one node of a kind, by name."""
    get = "node => Object.fromEntries(node.widgets.map(widget => [widget.name, widget.value]))"
    return page.evaluate(f"({get})({NODE.format(kind)})")


def set_value(page: Page, name: str, value: Any) -> None:
    page.evaluate(SET, ["FlashFaceSchedule", name, value])
    page.wait_for_timeout(TICK)


@DESIGNS
def test_a_schedule_is_one_truth(modern: bool, open_page: OpenPage) -> None:
    page = open_page(modern=modern)
    page.evaluate(BUILD)
    page.wait_for_timeout(2 * TICK)
    drawing = page.get_by_test_id("flashface-schedule")
    check_drawing(drawing, Schedule(1.2, 3.2, 0.25, 0.85), None)
    for name in ("gentle", "the paper"):
        set_value(page, "preset", name)
        preset, now = PRESETS[name], values(page, "FlashFaceSchedule")
        for number in ("strength", "reference_guidance", "strength_before_launch"):
            assert now[number] == getattr(preset, number), number
        assert now["launch_percent"] == pytest.approx(preset.launch_percent, abs=6e-4)
        strength, guidance = now["strength"], now["reference_guidance"]
        check_drawing(drawing, Schedule(strength, guidance, preset.launch_percent, 0.85), preset)
    set_value(page, "strength", 1.5)
    assert values(page, "FlashFaceSchedule")["preset"] == "custom"
    check_marks(page)
    types = ("FLASHFACE_MODEL", "FLASHFACE_REFERENCE", "FLASHFACE_SCHEDULE", "FLASHFACE_DETECTOR")
    colours = {page.evaluate(COLOUR, [modern, name]) for name in types}
    assert len(colours) == len(types) and all(colour.startswith("#") for colour in colours)


def check_drawing(drawing: Locator, schedule: Schedule, preset: Preset | None) -> None:
    """The node says what the core computes, and something is drawn."""
    steps = preset.steps if preset else 30
    said = drawing.get_attribute("aria-label") or ""
    total = evaluations(schedule, steps)
    assert said.startswith(f"{steps} steps = {total} UNet evaluations"), said
    assert (f"goes with cfg {preset.cfg:g} and" in said) if preset else ("cfg " not in said[60:])
    colours = """canvas => { const {width, height} = canvas;
      const seen = canvas.getContext("2d").getImageData(0, 0, width, height).data;
      return new Set(new Uint32Array(seen.buffer)).size; }"""
    assert drawing.evaluate(colours) > 20


def check_marks(page: Page) -> None:
    """What a schedule replaces says so, and no longer once it is muted."""
    numbers = ("reference_guidance", "launch_percent", "strength_before_launch")
    assert page.evaluate(MARKED, "FlashFaceGuidance") == [[name, True] for name in numbers]
    assert page.evaluate(MARKED, "FlashFaceApply") == [["strength", False]]
    page.evaluate(f"{NODE.format('FlashFaceSchedule')}.mode = 2")
    page.wait_for_timeout(TICK)
    for kind in ("FlashFaceGuidance", "FlashFaceApply", "FlashFaceSchedule"):
        assert page.evaluate(MARKED, kind) == []
    assert not page.evaluate(f"{NODE.format('FlashFaceGuidance')}.widgets.some(w => w.disabled)")


def test_reading_the_face_is_said_and_previews_outlive_the_cache(
    open_page: OpenPage, ready: ComfyServer
) -> None:
    page = open_page()
    ready.free()
    workflow = read_workflow("2_new_picture_simplest")
    load_workflow(page, workflow)
    page.evaluate("""() => {
      window.said = [];
      app.api.addEventListener("progress_text", event => said.push(event.detail.text));
      for (const node of app.graph.nodes) for (const widget of node.widgets ?? []) {
        if (node.type === "KSampler" && widget.name === "steps") widget.value = 20;
        if (node.type === "EmptyLatentImage" && widget.name !== "batch_size") widget.value = 128;
      }
    }""")
    check_absent(page)
    run_workflow(page)
    said = page.evaluate("window.said")
    *counted, last = said
    numbers = [int(text.split()[3]) for text in counted]
    assert counted[0] == "reading the face: 0 of 20 steps" and last == "face read"
    assert numbers[-1] == 20 and numbers == sorted(numbers) and len(set(numbers)) > 2
    text = f"{NODE.format('KSampler')}.widgets.at(-1).value"
    assert page.evaluate(text) == "face read"
    if "CreateBoundingBoxes" in ready.object_info():  # older ones send no previews of cached nodes
        shown = f"app.nodeOutputs[{NODE.format('FlashFaceCropFaces')}.id]?.images?.length"
        load_workflow(page, page.evaluate("app.graph.serialize()"))
        assert not page.evaluate(shown)
        run_workflow(page)
        assert page.evaluate("window.said") == said, "not taken from the cache"
        assert page.evaluate(shown) == 1


def check_absent(page: Page) -> None:
    """With its reference muted or bypassed, Apply FlashFace hands its MODEL on."""
    models = """async () => { const {output} = await app.graphToPrompt();
      const kinds = Object.values(output).map(node => node.class_type);
      const {inputs} = Object.values(output).find(node => node.class_type === "KSampler");
      return [kinds.includes("FlashFaceApply"), output[inputs.model[0]].class_type]; }"""
    encode = NODE.format("FlashFaceEncodeReference")
    for mode in (2, 4):
        page.evaluate(f"{encode}.mode = {mode}")
        assert page.evaluate(models) == [False, "FlashFaceModelLoader"]
    page.wait_for_timeout(TICK)
    assert page.evaluate(MARKED, "FlashFaceApply") == [["strength", True]]
    page.evaluate(f"{encode}.mode = 0")
    assert page.evaluate(models) == [True, "FlashFaceApply"]
