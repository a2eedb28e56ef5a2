"""Golden networks: the authors' random weights, loaded through the pack's own loader node."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

import goldens

WORST: dict[str, float] = defaultdict(float)


@pytest.fixture(scope="session")
def golden_model(pack, run_node, comfyui_base: Path, tmp_path_factory) -> Callable[[str], Any]:
    """`golden_model("tiny64")`: (MODEL, FLASHFACE_MODEL) of a configuration of the goldens."""
    made: dict[str, Any] = {}

    def load(config: str) -> Any:
        if config not in made:
            file = comfyui_base / "models" / "flashface" / f"golden_{config}.safetensors"
            goldens.write_checkpoint(file, config)
            made[config] = run_node(
                pack["FlashFaceModelLoader"], model_name=file.name, weight_dtype="fp32"
            )
        return made[config]

    return load


@pytest.fixture(scope="session")
def record() -> Callable[[str, float], None]:
    """`record(group, error)`: keep a group's worst error for the report at the end."""

    def keep(group: str, error: float) -> None:
        WORST[group] = max(WORST[group], error)

    return keep


@pytest.fixture(scope="session", autouse=True)
def _report(request):
    yield
    request.config.stash[WORST_KEY] = dict(WORST)


WORST_KEY = pytest.StashKey[dict[str, float]]()


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Print the worst error of every group of goldens."""
    worst = config.stash.get(WORST_KEY, {})
    if worst:
        terminalreporter.section("parity with the authors' code, worst relative error")
        for group, error in sorted(worst.items()):
            terminalreporter.write_line(f"{group:32} {error:.2e}")
