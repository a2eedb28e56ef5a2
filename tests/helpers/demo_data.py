"""The embedded default for tests: the checkout's own, else a stand-in of random numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from host_pack import ROOT
from standins.demo import standin_demo

OWN = ROOT / "demo"
LACKING = "demo/ has no weights in this checkout: python -m training.embed writes it"


def has_own() -> bool:
    """Whether the checkout has the trained model."""
    return (OWN / "demo.json").is_file()


def provide_demo() -> Path:
    """The demo's folder, for the nodes of this process and of those that it starts."""
    if has_own():
        return OWN
    os.environ["FLASHFACE_DEMO"] = str(folder := standin_demo())
    return folder


needs_own = pytest.mark.skipif(not has_own(), reason=LACKING)
