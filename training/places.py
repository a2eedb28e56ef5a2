"""Where what training makes or fetches lies, and what it takes from the scripts' set-up."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]


def cache_folder() -> Path:
    """The per-user cache folder (FLASHFACE_CACHE overrides it)."""
    return set_up("environment").cache_folder()


def set_up(name: str) -> Any:
    """A module of scripts/setup: cache, locks between processes, commands with progress.

    The scripts are no package that one installs: they are found from their own folder.
    """
    folder = str(PROJECT / "scripts")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(f"setup.{name}")
