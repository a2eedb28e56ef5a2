"""Somebody whose browser is set to Chinese sees Chinese nodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from host_pack import ROOT
from playwright.sync_api import Page
from setup.browser import load_workflow
from templates.graph import NOTE
from workflow_files import read_workflow

NAMES = """node => ({
  title: node.constructor.title,
  inputs: Object.fromEntries(node.inputs.map(input => [input.name, input.localized_name])),
  widgets: Object.fromEntries((node.widgets ?? []).map(widget => [widget.name, widget.label])),
  outputs: node.outputs.map(output => output.localized_name),
})"""
ALONE = """kind => {
  app.graph.clear();
  app.canvas.selectNode(addNode(kind, [300, 200]));
}"""
TEXT = "number => app.graph.getNodeById(number).widgets[0].value"
SHOWN = f"() => Object.fromEntries(app.graph.nodes.map(node => [node.type, ({NAMES})(node)]))"


def translations() -> dict[str, Any]:
    file = ROOT / "locales" / "zh" / "nodeDefs.json"
    return json.loads(file.read_text(encoding="utf-8"))


def test_nodes_show_chinese(open_page: Callable[..., Page]) -> None:
    page = open_page(language="zh-CN", modern=True)
    load_workflow(page, read_workflow("2_new_picture_of_a_person"))
    shown = page.evaluate(SHOWN)
    ours = {name: texts for name, texts in translations().items() if name in shown}
    assert len(ours) >= 6
    for node_id, texts in ours.items():
        node = shown[node_id]
        assert node["title"] == texts["display_name"]
        for name, text in texts["inputs"].items():
            assert node["inputs"][name] == text["name"], f"{node_id}.{name}"
            assert node["widgets"].get(name, text["name"]) == text["name"], f"{node_id}.{name}"
        assert node["outputs"] == [text["name"] for text in texts["outputs"].values()]
    drawn = " ".join(page.locator("[data-node-id]").all_inner_texts())
    for text in ("加载 FlashFace 模型", "每张图的人脸数", "参考引导"):
        assert text in drawn


def test_the_help_page_is_chinese_with_its_picture(open_page: Callable[..., Page]) -> None:
    page = open_page(language="zh-CN")
    page.evaluate(ALONE, "FlashFaceGuidance")
    page.get_by_test_id("info-button").click()
    shown = page.locator(".node-help-content")
    shown.get_by_role("heading", name="FlashFace 引导").wait_for()
    assert "越早越像本人" in shown.inner_text()
    picture = shown.locator("img").first
    picture.wait_for()
    page.wait_for_function("picture => picture.naturalWidth > 300", arg=picture.element_handle())


def test_a_template_opens_in_chinese(open_page: Callable[..., Page]) -> None:
    page = open_page(language="zh-CN")
    workflow = read_workflow("1_start_here")
    note = next(node for node in workflow["nodes"] if node["type"] == NOTE)
    load_workflow(page, workflow)
    assert page.evaluate(TEXT, note["id"]).startswith("# 从这里开始")
    assert "1. 模型" in page.evaluate("app.graph.groups.map(group => group.title)")
    note["widgets_values"] = ["mine"]  # what somebody wrote stays
    load_workflow(page, workflow)
    assert page.evaluate(TEXT, note["id"]) == "mine"
