"""A browser for the whole session, and the server with all files that the workflows name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser_graphs import ADD_NODE
from playwright.sync_api import ConsoleMessage, Page
from setup.browser import browser, open_comfyui
from setup.comfy_server import ComfyServer
from workflow_files import provide_files

# The front end asks for what a new server has not got, for sizes of files on the internet, and for
# its own graph before there is one.
NOT_OURS = re.compile(
    r"Failed to load resource|huggingface\.co|graph accessed before initialization"
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The machine's browser; installed where that is possible, else an error says what to do."""
    with browser() as running:
        yield running


@pytest.fixture(scope="session")
def ready(server: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> ComfyServer:
    """The server with every file that the workflows name."""
    provide_files(server, tmp_path_factory.mktemp("photo"))
    return server


@pytest.fixture
def recent(ready: ComfyServer) -> None:
    """Skip where ComfyUI brings a front end without box editor, curve editor and error panel."""
    if "CreateBoundingBoxes" not in ready.object_info():
        pytest.skip("this front end is older than the editors and the error panel (ComfyUI 0.27)")


@pytest.fixture
def open_page(chromium: Any, ready: ComfyServer) -> Iterator[Callable[..., Page]]:
    """Open the front end; the test fails at its end if the page reported an error."""
    pages: list[Page] = []
    errors: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error" and not NOT_OURS.search(message.text):
            errors.append(message.text)

    def watch(page: Page) -> None:
        page.add_init_script(ADD_NODE)
        page.on("console", listen)
        page.on("pageerror", lambda error: errors.append(str(error)))

    def opened(**options: Any) -> Page:
        page = open_comfyui(chromium, ready.url, watch=watch, **options)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert errors == []
