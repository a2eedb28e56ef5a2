"""What a run leaves behind to be looked at: settings, versions, metrics and grids of pictures."""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .config import Config, as_json
from .places import PROJECT

METRICS = "metrics.jsonl"


def open_run(folder: Path, config: Config) -> None:
    """Make the folder of a stage of a run, with what it is made from.

    Settings of an earlier start are kept beside the new ones when they differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / "config.json", as_json(config)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        count = len(list(folder.glob("config.*.json")))
        path.rename(folder / f"config.{count}.json")
    path.write_text(text, encoding="utf-8")
    about = {"python": platform.python_version(), "commit": _commit(), **_versions()}
    (folder / "versions.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


def forget_after(folder: Path, step: int) -> None:
    """Remove metrics of steps that a killed run did, but did not save, and lines cut off by it."""
    path = folder / METRICS
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if (found := _step_of(line)) is not None and found <= step]
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        partial.replace(path)


def note(folder: Path, step: int, **values: Any) -> None:
    """Add a line to the stage's metrics."""
    line = {"step": step, "time": round(time.time(), 1), **values}
    rounded = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in line.items()}
    rounded["time"] = line["time"]
    with open(folder / METRICS, "a", encoding="utf-8") as file:
        file.write(json.dumps(rounded) + "\n")


def as_json_has_it(value: Any) -> Any:
    """The same lists, tables and numbers with None for what is no finite number.

    JSON has no nan, and others' readers refuse Python's; `np.asarray(..., float)` makes nan of None
    again.
    """
    if isinstance(value, dict):
        return {name: as_json_has_it(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [as_json_has_it(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_grid(path: Path, rows: Iterable[Iterable[np.ndarray]], zoom: int = 1) -> None:
    """Write pictures (H, W, 3), 0..1 or uint8, row by row, as one PNG; all of one size."""
    lines = [np.concatenate([_bytes(picture) for picture in row], 1) for row in rows]
    whole = np.concatenate(lines, 0)
    image = Image.fromarray(whole.repeat(zoom, 0).repeat(zoom, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _step_of(line: str) -> int | None:
    try:
        return json.loads(line)["step"]
    except (ValueError, TypeError, KeyError):
        return None


def _bytes(picture: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return picture
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _commit() -> str:
    command = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "accelerate", "comfyui_version")
    found = {name: sys.modules[name] for name in names if name in sys.modules}
    return {name: str(getattr(module, "__version__", "")) for name, module in found.items()}
