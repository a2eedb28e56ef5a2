"""The pack inside a real ComfyUI in this very process: loaded and run the way ComfyUI does it.

ComfyUI's root comes first on sys.path, this pack's root last, so that `nodes` is ComfyUI's module.
Importing this file parses ComfyUI's command line (CPU) before anything imports comfy.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import os
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).absolute().parents[2]
sys.path += [str(ROOT / "scripts"), str(ROOT / "tests" / "helpers"), str(ROOT)]

from setup.host import PACK_NAME, Host, comfyui_version, make_base_directory  # noqa: E402


def host_from_environment() -> Host:
    """The host that scripts/test.py found; fails loudly when pytest was started without it."""
    root = os.environ.get("FLASHFACE_COMFYUI_ROOT")
    if not root:
        raise RuntimeError(
            "FLASHFACE_COMFYUI_ROOT is not set: start the tests with `python3 scripts/test.py`."
        )
    return Host(Path(root), Path(sys.executable), comfyui_version(Path(root)), prepared=True)


DEVICE = tuple(os.environ.get("FLASHFACE_TEST_DEVICE", "--cpu").split())
"""ComfyUI's arguments for the device that the tests run on."""


def enter_comfyui(base: Path, device: Sequence[str] = DEVICE) -> None:
    """Make `import comfy`, `import nodes` and the rest find the host, with `base` for its files.

    device: ComfyUI's arguments for the device, none for the one that it chooses by itself.
    """
    root = str(host_from_environment().root)
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)
    options: Any = importlib.import_module("comfy.options")
    options.enable_args_parsing()
    own, sys.argv = sys.argv, ["main.py", *device, "--use-pytorch-cross-attention"]
    sys.argv += ["--base-directory", str(base), "--database-url", "sqlite:///:memory:"]
    try:
        importlib.import_module("comfy.cli_args")
    finally:
        sys.argv = own


BASE = make_base_directory(Path(tempfile.mkdtemp(prefix="flashface-tests-")))
PACK_LINK = BASE / "custom_nodes" / PACK_NAME


class _Warnings(logging.Handler):
    """Collects every warning and error logged while it is attached to the root logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread of its own: browser tests leave a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def load_pack() -> dict[str, type]:
    """Load the pack through ComfyUI's own loader; its node classes by id.

    Raises AssertionError when the loader refuses the pack or logs any warning.
    """
    nodes: Any = importlib.import_module("nodes")
    before = set(nodes.NODE_CLASS_MAPPINGS)
    seen = _Warnings()
    logging.getLogger().addHandler(seen)
    try:
        loaded = run_coroutine(nodes.load_custom_node(str(PACK_LINK), module_parent="custom_nodes"))
    finally:
        logging.getLogger().removeHandler(seen)
    assert loaded and not seen.lines, "ComfyUI did not load the pack cleanly:\n" + "\n".join(
        seen.lines
    )
    mine = {k: v for k, v in nodes.NODE_CLASS_MAPPINGS.items() if k not in before}
    assert mine, "the pack was loaded but brought no nodes"
    return mine


def pack_module(name: str = "") -> ModuleType:
    """A module of the loaded pack, such as `flashface_core.flashface.reference`.

    ComfyUI gives the pack a module name of its own, so classes that nodes return or raise are
    these, not those of a plain `import flashface_core`.
    """
    package = str(PACK_LINK).replace(".", "_x_")
    return importlib.import_module(f"{package}.{name}" if name else package)


def run_node(node: type, **inputs: Any) -> tuple[Any, ...]:
    """Run a node class (V3 or V1) the way ComfyUI's executor does; a tuple of its outputs.

    Inputs that the schema calls a list are given as lists. Optional ones may be left out.
    """
    import torch
    from comfy_api.internal import make_locked_method_func
    from comfy_api.latest import io

    with torch.inference_mode():
        if issubclass(node, io.ComfyNode):
            node.VALIDATE_CLASS()
            clone = node.PREPARE_CLASS_CLONE(None)
            result = make_locked_method_func(node, node.FUNCTION, clone)(**inputs)
        else:
            one: Any = node()
            result = getattr(one, one.FUNCTION)(**inputs)
        if inspect.isawaitable(result):
            result = run_coroutine(_finish(result))
    return _outputs(result)


async def _finish(result: Any) -> Any:
    return await result


def _outputs(result: Any) -> tuple[Any, ...]:
    if isinstance(result, dict):
        return tuple(result.get("result", ()))
    values = getattr(result, "result", result)
    return tuple(values) if values is not None else ()
