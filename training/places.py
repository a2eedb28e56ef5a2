"""Where what training makes or fetches lies: the per-user cache folder of the scripts."""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def cache_folder() -> Path:
    """The per-user cache folder (FLASHFACE_CACHE overrides it)."""
    return _environment().cache_folder()


def lock(path: Path):
    """A lock between processes, as a context manager; see scripts/environment.py."""
    return _environment().lock(path)


def run(command: list[str | Path], what: str, advice: str) -> None:
    """Run a command with lines of progress; raises an error in words when it fails."""
    _environment().run(command, what, advice)


def _environment():
    # The scripts are no package: they import one another by bare names.
    folder = str(PROJECT / "scripts")
    if folder not in sys.path:
        sys.path.append(folder)
    import environment

    return environment
