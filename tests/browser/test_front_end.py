"""What people do besides opening templates: read a node's help, and cancel a run."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect
from setup.browser import load_workflow
from setup.comfy_server import ComfyServer
from workflow_files import ROOT, read_workflow

ALONE = """type => {
  app.graph.clear();
  app.canvas.selectNode(addNode(type));
  app.canvas.setDirty(true, true);
}"""
# A run that takes minutes.
LONG = """() => { for (const node of app.graph.nodes) for (const widget of node.widgets ?? [])
  if (widget.name === "steps") widget.value = 1000; }"""


def test_every_node_shows_its_help(open_page: Callable[..., Page]) -> None:
    page = open_page()
    pages = sorted((ROOT / "web" / "docs").glob("*.md"))
    assert len(pages) >= 20
    for file in pages:
        page.evaluate(ALONE, file.stem)
        if file == pages[0]:  # the panel stays open then
            page.wait_for_timeout(1000)
            page.get_by_test_id("info-button").dispatch_event("click")
        heading = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        shown = page.locator(".node-help-content")
        expect(shown.get_by_role("heading", name=heading, exact=True).first).to_be_visible()
        assert len(shown.inner_text()) > 100, file.name


def test_runs_that_wait_and_run_can_be_cancelled(
    open_page: Callable[..., Page], ready: ComfyServer
) -> None:
    page = open_page()
    load_workflow(page, read_workflow("2_new_picture_simplest"))
    page.evaluate(LONG)
    page.evaluate("app.queuePrompt(0)")
    page.evaluate("app.graph.nodes.find(node => node.type === 'KSampler').widgets[0].value = 2")
    page.evaluate("app.queuePrompt(0)")
    _wait(page, ready, running=1, pending=1)
    page.evaluate("app.extensionManager.command.execute('Comfy.ClearPendingTasks')")
    _wait(page, ready, running=1, pending=0)
    page.get_by_role("button", name="Cancel current run").first.click()
    _wait(page, ready, running=0, pending=0)
    newest = list(ready.get("/history").values())[-1]
    messages = [kind for kind, _ in newest["status"]["messages"]]
    assert messages[-1] == "execution_interrupted"


def _wait(page: Page, server: ComfyServer, running: int, pending: int) -> None:
    for _ in range(300):
        queue = server.get("/queue")
        found = len(queue["queue_running"]), len(queue["queue_pending"])
        if found == (running, pending):
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"{found} runs are running and waiting, not {(running, pending)}")
