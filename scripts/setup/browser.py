"""A real browser on the real front end of ComfyUI, for tests and pictures.

    with open_comfyui(server.url) as page:
        load_workflow(page, json.loads(file.read_text()))

Finds Chromium, Chrome or Edge; as root on Debian and Ubuntu it installs Chromium where there is
none. Playwright (requirements-dev.txt) drives it and brings no browser of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment import SetupError, say

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge"),
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
# --no-sandbox: Chromium refuses to start as root with it. The rest keeps it offline and quiet.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
# How many prompts run or wait on the server.
WAITING = """async () => {
  const queue = await (await fetch("/queue")).json();
  return queue.queue_running.length + queue.queue_pending.length;
}"""
APT = (["apt-get", "update"], ["apt-get", "install", "-y", "chromium"])


def installed_browser() -> Path | None:
    """The browser of this machine, or None. FLASHFACE_BROWSER names another one."""
    given = os.environ.get("FLASHFACE_BROWSER")
    if given:
        if not Path(given).is_file():
            raise SetupError(f"FLASHFACE_BROWSER is {given}, and there is no such file.")
        return Path(given)
    found = (shutil.which(name) for name in NAMES)
    places = (place for place in PLACES if Path(place).is_file())
    path = next((path for path in (*found, *places) if path), None)
    return Path(path) if path else None


def find_browser() -> Path:
    """The browser of this machine, installed first where that is possible.

    Raises SetupError saying what to install where it is not.
    """
    found = installed_browser()
    if found is None and _can_install():
        say("installing Chromium with apt-get (a minute or two) ...")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in APT:
            answer = subprocess.run(command, capture_output=True, text=True, env=environment)
            if answer.returncode:
                raise SetupError(f"{' '.join(command)} failed:\n{answer.stderr[-2000:]}")
        found = installed_browser()
    if found is None:
        raise SetupError(
            "No Chromium, Chrome or Edge was found, and this needs one. Install one of them "
            "(Debian: apt-get install chromium; Ubuntu: snap install chromium; Fedora: dnf "
            "install chromium; macOS and Windows: Google Chrome), or name it in FLASHFACE_BROWSER."
        )
    return found


def _can_install() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and bool(shutil.which("apt-get"))


@contextmanager
def browser() -> Iterator[Any]:
    """A running browser without a window (Playwright's Browser)."""
    from playwright.sync_api import sync_playwright

    program = find_browser()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield running
        finally:
            running.close()


def open_comfyui(
    running: Any,
    url: str,
    size: tuple[int, int] = (1280, 800),
    modern: bool = False,
    language: str = "en-US",
    watch: Callable[[Page], None] | None = None,
) -> Page:
    """A page with the front end ready to use; `modern` draws nodes in the "Nodes 2.0" way.

    watch: called with the page before anything is loaded into it.
    """
    page = running.new_page(viewport={"width": size[0], "height": size[1]}, locale=language)
    if watch is not None:
        watch(page)
    # A user's first visit would open the dialog of templates, a moment after the page is ready.
    page.request.post(f"{url}/settings", data={"Comfy.TutorialCompleted": True})
    page.goto(url)
    # The front end starts with a workflow of its own, which would replace one loaded earlier.
    ready = "window.app?.extensionManager?.workflow?.activeWorkflow?.isLoaded"
    page.wait_for_function(ready, timeout=60_000)
    change = "([name, on]) => app.extensionManager.setting.set(name, on)"
    page.evaluate(change, ["Comfy.VueNodes.Enabled", modern])
    page.evaluate(change, ["Comfy.Minimap.Visible", False])
    page.evaluate(change, ["Comfy.Graph.CanvasInfo", False])
    return page


def load_workflow(page: Page, workflow: dict[str, Any]) -> None:
    """Open a workflow as dropping its file onto the canvas does."""
    page.evaluate("graph => app.loadGraphData(graph, true, true, null)", workflow)
    page.wait_for_function("id => app.graph.id === id", arg=workflow["id"])
    page.wait_for_timeout(500)


def run_workflow(page: Page, timeout: float = 120.0) -> None:
    """Press Run, wait until the queue is empty, and let the previews arrive."""
    end = time.monotonic() + timeout
    page.evaluate("app.queuePrompt(0)")
    while page.evaluate(WAITING):
        if time.monotonic() > end:
            raise TimeoutError(f"the workflow had not ended after {timeout:g} s")
        page.wait_for_timeout(300)
    page.wait_for_timeout(1000)
