"""A browser for the whole session, and the server with all files that the workflows name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browser import browser
from comfy_server import ComfyServer
from workflow_files import provide_files


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
