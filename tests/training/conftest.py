"""Training has libraries of its own; only the newest ComfyUI's environment has them."""

from __future__ import annotations

from importlib.util import find_spec

LIBRARIES = ("numba", "scipy", "webdataset", "accelerate")
MISSING = [library for library in LIBRARIES if find_spec(library) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []


def pytest_report_header() -> str | None:
    """Say that training is not tested here, and why."""
    missing = ", ".join(MISSING)
    return (
        f"training: not tested, without {missing} of requirements-training.txt" if missing else None
    )
