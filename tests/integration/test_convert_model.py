"""Convert FlashFace Model: a compact file in ComfyUI's own folder, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from checkpoint_files import official_tensors
from safetensors.torch import save_file

from flashface_core.flashface.checkpoint import open_checkpoint

Convert = Callable[..., tuple]
NAME = "official.safetensors"


@pytest.fixture
def folder(comfyui_base: Path) -> Iterator[Path]:
    """models/flashface with a small official file in it, as it was afterwards."""
    folder = comfyui_base / "models" / "flashface"
    folder.mkdir(exist_ok=True)
    before = set(folder.iterdir())
    save_file(official_tensors(), folder / NAME)
    yield folder
    for file in set(folder.iterdir()) - before:
        file.unlink()


@pytest.fixture
def convert(pack: dict[str, type], run_node: Callable[..., tuple], folder: Path) -> Convert:
    def run(name: str, dtype: str = "fp16") -> tuple:
        node = pack["FlashFaceConvertModel"]
        return run_node(node, model_name=NAME, name=name, dtype=dtype)

    return run


def test_the_compact_file_holds_the_rounded_weights(convert: Convert, folder: Path) -> None:
    import folder_paths

    convert("compact")
    original = open_checkpoint(folder / NAME)
    found = dict(open_checkpoint(folder / "compact.safetensors").tensors())
    for name, tensor in original.tensors():
        assert torch.equal(found[name], tensor.to(torch.float16)), name
    assert "compact.safetensors" in folder_paths.get_filename_list("flashface")


@pytest.mark.parametrize("name", ["official", "official.safetensors"])
def test_a_name_that_is_taken_is_refused(name: str, convert: Convert, folder: Path) -> None:
    before = (folder / NAME).read_bytes()
    with pytest.raises(ValueError, match=r"exists already in .*\. Give another"):
        convert(name)
    assert (folder / NAME).read_bytes() == before


@pytest.mark.parametrize("name", ["../compact", "", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, convert: Convert, folder: Path) -> None:
    before = set(folder.parent.rglob("*"))
    with pytest.raises(ValueError, match="cannot be saved as"):
        convert(name)
    assert set(folder.parent.rglob("*")) == before


def test_a_cancelled_conversion_leaves_nothing(convert: Convert, folder: Path) -> None:
    import comfy.model_management
    import comfy.utils

    def cancel(*_: object, **__: object) -> None:  # ComfyUI tells the first number, then by time
        comfy.model_management.interrupt_current_processing()

    before = set(folder.iterdir())
    old = comfy.utils.PROGRESS_BAR_HOOK
    comfy.utils.set_progress_bar_global_hook(cancel)
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            convert("compact")
    finally:
        comfy.utils.set_progress_bar_global_hook(old)
        comfy.model_management.interrupt_current_processing(False)
    assert set(folder.iterdir()) == before
