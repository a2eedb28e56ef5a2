"""Fixtures that put the tests inside a real ComfyUI; see host_pack.py and host_server.py."""

from __future__ import annotations

import importlib
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).parent / "helpers"))

import host_pack

# At import, before any test module is collected: they import torch, comfy and flashface_core.
host_pack.enter_comfyui(host_pack.BASE)

if TYPE_CHECKING:
    from setup.comfy_server import ComfyServer

SERVER_LOG_LINES = 60


def pytest_report_header() -> str:
    """Name the host at the top of the report."""
    host = host_pack.host_from_environment()
    return f"host: ComfyUI {host.version} at {host.root}"


def pytest_configure(config: pytest.Config) -> None:
    """Register the pack's own mark; composes.py explains it."""
    config.addinivalue_line("markers", "composes(what, note, works): the proof of a README row")


def pytest_unconfigure() -> None:
    """Delete the base directory of the in-process ComfyUI."""
    shutil.rmtree(host_pack.BASE, ignore_errors=True)


class _NotOfOtherTests(logging.Filter):
    """Leaves out ComfyUI's notice, whenever it loads a model, that a test before keeps another."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "memory leak with model" not in record.getMessage()


@pytest.fixture(autouse=True)
def own_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a test captures of the log is its own, whichever tests its process ran before."""
    with caplog.filtering(_NotOfOtherTests()):
        yield


@pytest.fixture(scope="session")
def comfyui_base() -> Path:
    """The base directory (models, input, output, temp) of the ComfyUI in this process."""
    return host_pack.BASE


@pytest.fixture(scope="session")
def pack() -> dict[str, type]:
    """The pack's node classes by id, loaded by ComfyUI's own loader without a warning."""
    return host_pack.load_pack()


@pytest.fixture(scope="session")
def run_node() -> Callable[..., tuple[Any, ...]]:
    """`run_node(node_class, **inputs)`: run a node as ComfyUI does, get its outputs."""
    return host_pack.run_node


@pytest.fixture(scope="session")
def standin_models(comfyui_base: Path) -> Path:
    """The models folder of the ComfyUI in this process, with the stand-in weights in it."""
    standin: Any = importlib.import_module("standins.flashface")
    standin.place(standin.standin_models(), comfyui_base / "models")
    return comfyui_base / "models"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """The real server with this pack and the stand-in models, one for the whole session."""
    from host_server import test_server

    with test_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    """Put the end of the server's log into the report of a test that failed with the server."""
    report = yield
    running = getattr(item, "funcargs", {}).get("server")
    if report.when == "call" and report.failed and running is not None:
        report.sections.append(("ComfyUI server log", running.log_end(SERVER_LOG_LINES)))
    return report
