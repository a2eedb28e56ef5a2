"""The real ComfyUI server for tests: an own process, this pack alone, stand-in models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from host_pack import DEVICE, host_from_environment
from setup.comfy_server import ComfyServer
from standins import flashface as standin


def test_server(base: Path, arguments: Sequence[str] = DEVICE) -> ComfyServer:
    """A server (not started yet; use `with`) whose base directory is `base`, with the stand-ins."""
    standin.place(standin.standin_models(), base / "models")
    return ComfyServer(host_from_environment(), base, arguments)


test_server.__test__ = False  # a helper, not a test
