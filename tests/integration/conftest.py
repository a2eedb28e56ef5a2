"""A tiny FlashFace with the goldens' random weights."""

from __future__ import annotations

import copy
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.append(str(Path(__file__).parent.parent / "parity"))

import comfy.model_management
import goldens
from comfy.model_patcher import ModelPatcher
from composition import PROMPT, Setting, random, unchanged
from facesnap_setting import Snap, load_snap
from host_pack import pack_module
from written_down import ksampler, written

collect_ignore = [] if hasattr(ModelPatcher, "deepclone_multigpu") else ["test_multigpu.py"]
"""ComfyUI 0.18 has no work units."""

WORST = pytest.StashKey[dict[str, float]]()


@pytest.fixture(scope="session")
def setting(pack, run_node, comfyui_base: Path) -> Setting:
    """A tiny FlashFace MODEL, loaded by the pack's own loader, and a reference of two faces."""
    file = comfyui_base / "models" / "flashface" / "composition.safetensors"
    goldens.write_checkpoint(file, "tiny64")
    model, flashface = run_node(
        pack["FlashFaceModelLoader"], model_name=file.name, weight_dtype="fp32"
    )
    make_reference = pack_module("flashface_core.flashface.reference").make_reference
    reference = make_reference(random(2, 4, 8, 8, seed=20), PROMPT, 4)
    return Setting(model, flashface, reference, pack, run_node)


@pytest.fixture(scope="session")
def snap(pack, run_node, comfyui_base: Path) -> Snap:
    """A small FaceSnap, the MODEL that it fits, and two people."""
    return load_snap(pack, run_node, comfyui_base)


@pytest.fixture(scope="session")
def plain(setting: Setting) -> torch.Tensor:
    """What KSampler makes with the reference term alone, and nothing else."""
    return written(setting, unchanged, ksampler, guided=False)


@pytest.fixture
def unet_batches(setting: Setting) -> Iterator[list[int]]:
    """The batch sizes that the UNet really computed, in their order."""
    found: list[int] = []
    last = setting.model.model.diffusion_model.out
    hook = last.register_forward_hook(lambda module, inputs, out: found.append(out.shape[0]))
    yield found
    hook.remove()


@pytest.fixture
def encoder_batches(setting: Setting) -> Iterator[list[int]]:
    """The batch sizes of the UNet's third input block."""
    found: list[int] = []
    block = setting.model.model.diffusion_model.input_blocks[2][0]
    hook = block.register_forward_hook(lambda module, given, out: found.append(out.shape[0]))
    yield found
    hook.remove()


@pytest.fixture
def reference(setting: Setting) -> Any:
    """A reference with no features yet."""
    return copy.deepcopy(setting.reference)


class Calls(list[int]):
    """Collects the batch sizes of all ReferenceNets; `then` runs after each batch."""

    then: Callable[[], None] | None = None

    def __call__(self, module, given, out) -> None:
        if isinstance(module, pack_module("flashface_core.flashface.referencenet").LastFeature):
            self.append(len(given[0]))
            if self.then is not None:
                self.then()


@pytest.fixture
def reference_batches(pack) -> Iterator[Calls]:
    """The batch sizes that ReferenceNet really computed, of whichever model."""
    calls = Calls()
    hook = torch.nn.modules.module.register_module_forward_hook(calls)
    yield calls
    hook.remove()
    comfy.model_management.interrupt_current_processing(False)


@pytest.fixture(scope="session")
def record(request) -> Callable[[str, float], None]:
    """`record(row, error)`: keep a row's worst error for the report at the end."""
    worst: dict[str, float] = defaultdict(float)
    request.config.stash[WORST] = worst

    def keep(row: str, error: float) -> None:
        worst[row] = max(worst[row], error)

    return keep


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Print the worst error of every row."""
    worst = config.stash.get(WORST, {})
    if worst:
        terminalreporter.section("guidance against its formula, worst relative error")
        for row, error in sorted(worst.items()):
            terminalreporter.write_line(f"{row:44} {error:.1e}")
