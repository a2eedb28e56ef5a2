"""One server for many pictures: ReferenceNet runs are counted, and memory does not grow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psutil
import pytest
from host_pack import host_from_environment
from PIL import Image
from prompts import Prompt, basic_prompt, changed, pictures
from setup.comfy_server import ComfyServer
from standins.flashface import place, standin_models

RUNS, SETTLED = 200, 20
GROWTH = 1.03
RUN = "ReferenceNet runs:"
PHOTOS = ("one.png", "other.png")


@pytest.fixture(scope="module")
def counting(tmp_path_factory) -> Iterator[ComfyServer]:
    """A server of its own that logs every run of ReferenceNet, with two people's photos."""
    from skimage import data

    base = tmp_path_factory.mktemp("counting")
    place(standin_models(), base / "models")
    arguments = ("--cpu", "--verbose", "DEBUG")
    with ComfyServer(host_from_environment(), base, arguments) as server:
        face = data.astronaut()[:256, 96:352]
        for name, pixels in zip(PHOTOS, (face, face[:, ::-1] // 2), strict=True):
            Image.fromarray(np.ascontiguousarray(pixels)).save(base / name)
            server.upload_image(base / name)
        yield server


@pytest.fixture
def prompt() -> Prompt:
    """The basic prompt, for a picture of 64 x 64 pixels in two steps."""
    return basic_prompt(PHOTOS[0], 64, 64)


def runs(server: ComfyServer, prompt: Prompt) -> tuple[int, list[np.ndarray]]:
    """How often ReferenceNet ran for a prompt, and its pictures."""
    before = server.log.count(RUN)
    found = pictures(server, server.queue(prompt), prompt)
    return server.log.count(RUN) - before, found


def test_another_seed_prompt_or_strength_runs_no_referencenet(counting, prompt):
    count, first = runs(counting, prompt)
    assert count > 0
    variants: list[dict[str, dict]] = [
        {"KSampler": {"seed": 7}},
        {"KSampler": {"seed": 7, "cfg": 4.0}},
        {"FlashFaceApply": {"strength": 0.7}},
        {"EmptyLatentImage": {"batch_size": 2}},
    ]
    for inputs in variants:
        count, found = runs(counting, changed(prompt, **inputs))
        assert (count, inputs) == (0, inputs)
        assert not np.array_equal(found[0], first[0])
    words = changed(prompt)
    words["5"]["inputs"]["text"] = "a man on a boat"
    assert runs(counting, words)[0] == 0


def test_another_photo_negative_or_schedule_runs_it(counting, prompt):
    runs(counting, prompt)
    words = changed(prompt)
    words["6"]["inputs"]["text"] = "a boat"
    for other in (
        changed(prompt, LoadImage={"image": PHOTOS[1]}),
        words,
        changed(prompt, KSampler={"steps": 3}),
    ):
        assert runs(counting, other)[0] > 0


def test_memory_does_not_grow(counting, prompt):
    """Seeds and strengths change with every run, faces with every eighth."""
    small = changed(prompt, KSampler={"steps": 1}, FlashFaceCropFaces={"size": 64})
    process, used = psutil.Process(counting.pid), {}

    def queue(first: int, last: int) -> None:
        ids = [counting.submit(variant(small, index)) for index in range(first, last)]
        for name in ids:
            assert counting.wait(name)["status"]["status_str"] == "success"
        used[last] = process.memory_info().rss / 2**20

    for last in range(SETTLED, RUNS + 1, SETTLED):
        queue(last - SETTLED, last)
    print("resident MiB:", {run: round(value) for run, value in used.items()})
    assert used[RUNS] < GROWTH * used[SETTLED], used


def variant(prompt: Prompt, index: int) -> Prompt:
    """A prompt with the photo, strength and seed of a run."""
    return changed(
        prompt,
        LoadImage={"image": PHOTOS[index // 8 % 2]},
        FlashFaceApply={"strength": 0.5 + index % 7 / 10},
        FlashFaceRegion={"x1": 0.1 + index % 3 / 10},
        KSampler={"seed": index},
    )
