"""Checkpoints: the whole state of a stage, appearing whole or not at all; exports for ComfyUI.

What a step does is a function of the seed and its number, so that weights, optimiser and number
are the whole state: a run that goes on equals one that never stopped, bit by bit.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEPT = 2
STATE = "state.pt"


def save_state(folder: Path, step: int, state: dict[str, Any], keep_every: int) -> Path:
    """Write the state after `step` steps; keep the last two and every `keep_every`-th one."""
    import torch

    target = folder / f"step-{step:07d}"
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with open(partial / STATE, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    _sync_folder(folder)
    for old in finished(folder)[:-KEPT]:
        if keep_every <= 0 or step_of(old) % keep_every:
            shutil.rmtree(old)
    return target


def finished(folder: Path) -> list[Path]:
    """The complete checkpoints of a stage, oldest first."""
    found = [path for path in folder.glob("step-*") if path.suffix != ".partial"]
    return sorted(found, key=step_of)


def step_of(checkpoint: Path) -> int:
    """How many steps were done when a checkpoint was written."""
    return int(checkpoint.name.removeprefix("step-"))


def load_state(folder: Path) -> dict[str, Any] | None:
    """The state of the latest complete checkpoint of a stage, on the CPU; None where there is none.

    `load_state_dict` copies to the device: a state there would be a second one beside the model's.
    """
    import torch

    found = finished(folder)
    if not found:
        return None
    return torch.load(found[-1] / STATE, map_location="cpu", weights_only=True)


def write_tensors(path: Path, tensors: dict[str, Any], metadata: dict[str, str]) -> None:
    """Write a .safetensors file that appears whole or not at all."""
    from safetensors.torch import save

    # Shared tensors get memory of their own, which safetensors asks for.
    owned = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, "wb") as file:
        file.write(save(owned, {"format": "pt", **metadata}))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def stop_asked() -> Callable[[], bool]:
    """A function that tells whether SIGTERM or Ctrl-C came; a second one ends at once."""
    asked: list[int] = []

    def note(number: int, _frame: Any) -> None:
        asked.append(number)
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, note)
    return lambda: bool(asked)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
