"""What people really feed in, each with the end that they expect, and nothing lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import pytest
import skimage.data
import torch
from composition import Setting
from core_nodes import core_node, run_core
from host_pack import pack_module
from PIL import Image
from safetensors.torch import load_file

ASTRONAUT = Image.fromarray(skimage.data.astronaut()).resize((256, 256))
DEFAULTS = {
    "order": "largest", "index": 0, "faces_per_image": 1, "if_no_face": "error",
    "threshold": 0.6, "padding": 0.0, "level_eyes": True, "size": 224,
}  # fmt: skip


def crop(setting: Setting, *images: torch.Tensor, **inputs: Any) -> tuple:
    lists = {name: [value] for name, value in (DEFAULTS | inputs).items()}
    node = setting.pack["FlashFaceCropFaces"]
    return setting.run_node(node, image=list(images), **lists)


def to_image(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_every_frame_of_an_animation_is_a_photo(setting: Setting, ending: str) -> None:
    left, right = (ASTRONAUT.transform((256, 256), Image.Transform.AFFINE, (1, 0, dx, 0, 1, 0))
                   for dx in (-20, 20))  # fmt: skip
    file = Path(folder_paths.get_input_directory(), f"moves.{ending}")
    left.save(file, save_all=True, append_images=[ASTRONAUT, right], duration=100, lossless=True)
    frames = run_core("LoadImage", image=file.name)
    assert frames.shape[:3] == (3, 256, 256)
    faces, bboxes, masks = crop(setting, frames)
    assert faces.shape == (3, 224, 224, 3) and masks[0].shape == (3, 256, 256)
    places = [frame[0]["x"] for frame in bboxes[0]]
    assert places == sorted(places, reverse=True)
    assert places[0] - places[2] == pytest.approx(40, abs=12)


def test_a_hundred_faces_in_one_picture(setting: Setting) -> None:
    boxes = [
        {"x": 64 * x, "y": 64 * y, "width": 64, "height": 64} for y in range(10) for x in range(10)
    ]
    picture = torch.rand(1, 640, 640, 3).mul(255).round() / 255
    faces, bboxes, _ = crop(setting, picture, bboxes=boxes, faces_per_image=1000, size=64)
    assert len(faces) == len(bboxes[0]) == 100
    paste = setting.pack["FlashFacePasteFaces"]
    lists = {"padding": [0.0], "feather": [0.0]}
    (back,) = setting.run_node(paste, image=[picture], faces=[faces], bboxes=bboxes, **lists)
    assert (back[0] - picture).abs().max() < 1e-6, "each came from its own place"


def test_a_face_that_the_border_cuts(setting: Setting) -> None:
    half = to_image(ASTRONAUT.crop((100, 0, 256, 256)))  # her face starts at x = 88
    faces, bboxes, masks = crop(setting, half)
    assert len(faces) == 1 and bboxes[0][0]["x"] < 25
    assert 0 < masks[0].mean() < 0.3


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_pictures_of_a_pixel(setting: Setting, size: tuple[int, int]) -> None:
    picture = torch.ones(1, *size, 3)
    no_face = pack_module("flashface_core.faces.choose").NoFaceError
    with pytest.raises(no_face, match=f"Image 1 of 1 \\({size[1]} x {size[0]}\\): no face found"):
        crop(setting, picture)
    faces, _, masks = crop(setting, picture, if_no_face="use whole image")
    assert faces.shape == (1, 224, 224, 3) and masks[0].shape == (1, *size)


def test_photos_of_6000_pixels(setting: Setting) -> None:
    photo = to_image(ASTRONAUT).movedim(-1, 1)
    large = torch.nn.functional.interpolate(photo, (6000, 4000)).movedim(1, -1)
    faces, bboxes, masks = crop(setting, large)
    small = crop(setting, to_image(ASTRONAUT))[1][0][0]
    assert faces.shape == (1, 224, 224, 3) and masks[0].shape == (1, 6000, 4000)
    assert bboxes[0][0]["x"] / 4000 == pytest.approx(small["x"] / 256, abs=0.05)
    assert bboxes[0][0]["y"] / 6000 == pytest.approx(small["y"] / 256, abs=0.05)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 20 kB: the system's own error, in the middle of a write."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_while_saving(
    setting: Setting, tmp_path: Path, full_disk: None
) -> None:
    saved = pack_module("flashface_core.files.saved")
    save = pack_module("flashface_core.flashface.reference_file").save_reference
    (tmp_path / "anna.safetensors").write_bytes(b"somebody")
    with pytest.raises(saved.SavedFileError, match=r"could not be saved in .*its disk has room"):
        save(setting.reference, tmp_path, "anna")
    assert os.listdir(tmp_path) == ["anna.safetensors"]
    assert (tmp_path / "anna.safetensors").read_bytes() == b"somebody"


def test_what_save_checkpoint_wrote_is_told_apart(setting: Setting, comfyui_base: Path) -> None:
    core_node("model_merging.CheckpointSave")().save(setting.model, None, None, "merged")
    (file,) = Path(folder_paths.get_output_directory()).glob("merged_*.safetensors")
    prefix, written = "model.diffusion_model.", load_file(file)
    weights = setting.model.model.diffusion_model.state_dict()
    unet = {name.removeprefix(prefix): t for name, t in written.items() if name.startswith(prefix)}
    assert unet.keys() == weights.keys()
    assert all(torch.equal(unet[name], weights[name].cpu()) for name in weights)
    target = comfyui_base / "models" / "flashface" / "merged.safetensors"
    file.rename(target)
    try:
        with pytest.raises(ValueError, match=r"Load it with Load Checkpoint .* FLASHFACE_MODEL"):
            setting.run_node(
                setting.pack["FlashFaceModelLoader"], model_name=target.name, weight_dtype="fp32"
            )
    finally:
        target.unlink()
