"""Puts ComfyUI's modules within reach: before the pack on sys.path (both have a `nodes`), with the
arguments that training needs, and without ComfyUI's own main.

The autoencoder trains without it, with torch alone.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .config import Config, ConfigError, load_config
from .places import cache_folder, set_up


def runs_folder() -> Path:
    """Where runs lie: checkpoints, grids and metrics, outside of the repository."""
    return cache_folder() / "runs"


def enter(cpu: bool = True) -> None:
    """Make `import comfy` work in this process; a second call does nothing.

    Torch's own attention is asked for: of the others it is not known whether they have gradients.
    Raises RuntimeError where another part of this process has set up ComfyUI otherwise.
    """
    if "comfy.cli_args" not in sys.modules:
        root = os.environ.get("FLASHFACE_COMFYUI_ROOT") or str(set_up("host").find_host().root)
        sys.path.insert(0, root)
        options: Any = importlib.import_module("comfy.options")
        options.enable_args_parsing()
        own, sys.argv = sys.argv, ["training", "--use-pytorch-cross-attention"]
        sys.argv += ["--cpu"] if cpu else []
        try:
            importlib.import_module("comfy.cli_args")
        finally:
            sys.argv = own
    arguments: Any = importlib.import_module("comfy.cli_args").args
    if not arguments.use_pytorch_cross_attention:
        raise RuntimeError(
            "ComfyUI was started in this process with another attention than torch's own, and "
            "training needs gradients: start it with --use-pytorch-cross-attention."
        )


def start(threads: int) -> None:
    """Set torch's threads; more than the work needs wait for each other on a shared machine."""
    import torch

    torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = True


def run_stage(name: str, idea: str, stage: Callable[[Config], object]) -> int:
    """Run a stage with the settings of the command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog=f"python -m training.{name}",
        description=idea,
        epilog="A run that was stopped goes on with the same command, from its last checkpoint; "
        "SIGTERM and Ctrl-C save one first. Settings are those of training/config.py.",
    )
    parser.add_argument("config", type=Path, help="a recipe, such as training/configs/smoke.toml")
    parser.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="such as run=try autoencoder.steps=500"
    )
    arguments = parser.parse_args()
    no_set_up = set_up("environment").SetupError
    try:
        stage(load_config(arguments.config, arguments.changes))
    except (ConfigError, FileNotFoundError, ValueError, no_set_up) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0
