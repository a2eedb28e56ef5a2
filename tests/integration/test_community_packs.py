"""Well-known packs loaded beside this one, in a real server, with a graph of each.

Nothing of them is kept here. FLASHFACE_COMMUNITY_PACKS names a folder with checkouts of all in
PACKS and, where this Python lacks what they need, those modules in its subfolder `lib`
(`pip install --no-deps --target lib ...`). An Impact Pack before version 8 wants its Subpack in
`impact_subpack`.
"""

from __future__ import annotations

import copy
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from community_prompts import (
    node_of,
    place_files,
    with_control,
    with_detailer,
    with_guidance,
    with_ipadapter,
)
from community_samplers import (
    by_easy_use,
    by_efficiency,
    by_guider,
    by_inspire,
    by_kjnodes,
    by_rgthree,
)
from composes import composes
from host_pack import host_from_environment
from host_server import test_server
from PIL import Image
from prompts import Prompt, basic_prompt, pictures
from safetensors.torch import load_file
from setup.comfy_server import ComfyServer
from setup.host import PACK_NAME

SAMPLERS = {
    "ComfyUI-KJNodes": by_kjnodes,
    "ComfyUI-Easy-Use": by_easy_use,
    "efficiency-nodes-comfyui": by_efficiency,
    "ComfyUI-Inspire-Pack": by_inspire,
    "rgthree-comfy": by_rgthree,
}
PACKS = (
    "ComfyUI_IPAdapter_plus",
    "ComfyUI-Advanced-ControlNet",
    "ComfyUI-Impact-Pack",
    *SAMPLERS,
)
FOLDER = Path(os.environ.get("FLASHFACE_COMMUNITY_PACKS", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("FLASHFACE_COMMUNITY_PACKS"),
    reason=f"set FLASHFACE_COMMUNITY_PACKS to a folder with checkouts of {', '.join(PACKS)}",
)

SIDE = 128


@pytest.fixture(scope="module")
def packs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A server with this pack and all others, and tiny files for them."""
    base = tmp_path_factory.mktemp("packs")
    arguments = ["--cpu", "--whitelist-custom-nodes", PACK_NAME, *PACKS]
    running = test_server(base, arguments)
    for name in PACKS:
        skip = shutil.ignore_patterns(".git")
        shutil.copytree(FOLDER / name, base / "custom_nodes" / name, ignore=skip)
    place_files(base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FOLDER / "lib"))
        with running:
            yield running


@pytest.fixture(scope="module")
def photo(packs_server: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A photo of a person in the server's input folder."""
    from skimage import data

    file = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(file)
    return packs_server.upload_image(file)


@pytest.fixture
def prompt(photo: str) -> Prompt:
    """The basic prompt, which also saves its latent."""
    made = basic_prompt(photo, SIDE, SIDE)
    saved = {"samples": [node_of(made, "KSampler"), 0], "filename_prefix": "latent"}
    made["latent"] = {"class_type": "SaveLatent", "inputs": saved}
    return made


def sampled(server: ComfyServer, prompt: Prompt) -> torch.Tensor:
    """Run a prompt and return the latent that it saved, (1, 4, h, w)."""
    folder = server.base / "output"
    for old in folder.glob("*.latent"):
        old.unlink()
    server.queue(prompt, 300)
    (file,) = folder.glob("*.latent")
    return load_file(file)["latent_tensor"]


def apart(one: torch.Tensor, two: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((one - two).abs().max() / two.abs().max())


def test_all_are_loaded_and_no_id_is_taken_twice(packs_server: ComfyServer, pack) -> None:
    info = packs_server.object_info()
    owners = {
        name: node["python_module"].removeprefix("custom_nodes.") for name, node in info.items()
    }
    assert {name for name, owner in owners.items() if owner == PACK_NAME} == set(pack)
    for name in PACKS:
        assert name in owners.values(), f"{name} was not loaded:\n{packs_server.log_end()}"
        for file in (FOLDER / name).rglob("*.py"):
            text = file.read_text(encoding="utf-8", errors="replace")
            taken = [node for node in pack if f'"{node}"' in text or f"'{node}'" in text]
            assert not taken, f"{file} has {taken}"
    assert "IMPORT FAILED" not in packs_server.log


@composes("IPAdapter_plus", note="the pack itself, by its embeds; in both orders of the nodes")
@pytest.mark.parametrize("guided", [False, True])
def test_ipadapter_plus(guided: bool, packs_server: ComfyServer, prompt: Prompt) -> None:
    if guided:
        prompt = with_guidance(prompt)
    alone = sampled(packs_server, prompt)

    def run(order: str, **options: float) -> torch.Tensor:
        fresh = {name: {**node, "inputs": dict(node["inputs"])} for name, node in prompt.items()}
        return sampled(packs_server, with_ipadapter(fresh, order, **options))

    before, after = run("fA"), run("Af")
    assert apart(before, after) < 1e-5
    assert apart(alone, after) > 1e-3, "IPAdapter changed nothing"
    assert apart(run("Af", strength=0.0), after) > 1e-3, "the reference changed nothing"


@composes("Advanced-ControlNet", note="the pack itself")
@pytest.mark.parametrize("guided", [False, True])
def test_advanced_controlnet(guided: bool, packs_server: ComfyServer, prompt: Prompt) -> None:
    """Without keyframes and masks it is core's ControlNet; so it has to be beside FlashFace."""
    if guided:
        prompt = with_guidance(prompt)
    alone = sampled(packs_server, prompt)
    made = []
    for advanced in (True, False):
        fresh = {name: {**node, "inputs": dict(node["inputs"])} for name, node in prompt.items()}
        made.append(sampled(packs_server, with_control(fresh, advanced)))
    assert apart(*made) < 1e-5
    assert apart(alone, made[0]) > 1e-3, "the ControlNet changed nothing"


@composes(
    "Impact Pack's detailers",
    note="the pack itself; regions and masks of Apply count for the crop that a detailer samples",
)
def test_impact_pack(packs_server: ComfyServer, photo: str) -> None:
    plain = basic_prompt(photo, SIDE, SIDE)
    mask = {"mask": [node_of(plain, "FlashFaceRegion"), 0]}
    plain["mask"] = {"class_type": "MaskToImage", "inputs": mask}
    saved = {"images": ["mask", 0], "filename_prefix": "mask"}
    plain["saved mask"] = {"class_type": "SaveImage", "inputs": saved}
    entry = packs_server.queue(plain, 300)
    (whole,) = pictures(packs_server, entry, plain)
    (png,) = packs_server.images(entry, "saved mask")
    inside = np.asarray(Image.open(io.BytesIO(png)).convert("L")) > 0
    made = []
    for kind in ("FlashFaceApply", "FlashFaceModelLoader"):
        prompt = basic_prompt(photo, SIDE, SIDE)
        prompt = with_detailer(prompt, node_of(prompt, kind))
        made += pictures(packs_server, packs_server.queue(prompt, 300), prompt)
    with_person, without = (picture.astype(int) for picture in made)
    assert 0 < inside.mean() < 0.5
    assert abs(with_person - whole)[inside].mean() > 2, "nothing was refined"
    assert abs(with_person - without)[inside].mean() > 2, "the reference changed nothing"
    rows, columns = np.nonzero(inside)
    margin = len(set(rows)) // 4 + 1  # the detailer's crop is half as large again
    outside = np.ones_like(inside)
    outside[rows.min() - margin : rows.max() + margin, :][
        :, columns.min() - margin : columns.max() + margin
    ] = False
    assert abs(with_person - whole)[outside].max() <= 1, "the picture has changed elsewhere"


@composes(
    "Samplers, guiders and pipes of Easy-Use, efficiency-nodes, Inspire, KJNodes, rgthree",
    note="the packs themselves",
)
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_of_packs_give_what_cores_give(
    name: str, packs_server: ComfyServer, prompt: Prompt
) -> None:
    guided = with_guidance(prompt)

    def run(by: Callable[[Prompt], Prompt], strength: float = 1.2) -> torch.Tensor:
        fresh = copy.deepcopy(guided)
        fresh[node_of(fresh, "FlashFaceApply")]["inputs"]["strength"] = strength
        return sampled(packs_server, by(fresh))

    core = run(lambda made: by_guider(made, "CFGGuider") if "KJ" in name else made)
    there = run(SAMPLERS[name])
    assert apart(there, core) < 1e-5
    assert apart(run(SAMPLERS[name], strength=0.0), there) > 1e-3, "the reference changed nothing"


def test_the_server_says_nothing_bad(packs_server: ComfyServer) -> None:
    """After all graphs: no error of this pack in the log."""
    lines = [line for line in packs_server.log.splitlines() if "flashface" in line.lower()]
    assert not [line for line in lines if "error" in line.lower() or "traceback" in line.lower()]
    assert host_from_environment().version in packs_server.log
