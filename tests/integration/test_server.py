"""The shipped basic prompt through the real server's queue: run, interrupt, free memory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prompts import basic_prompt, changed, is_saver, pictures
from setup.comfy_server import ComfyServer, ServerError


@pytest.fixture(scope="module")
def photo(server: ComfyServer, tmp_path_factory) -> str:
    """A photo of a person in the server's input folder."""
    from skimage import data

    file = tmp_path_factory.mktemp("photo") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(file)
    return server.upload_image(file)


@pytest.fixture
def prompt(photo: str) -> dict[str, Any]:
    """The basic prompt with stand-in models, for a small picture in two steps."""
    return basic_prompt(photo, width=104, height=72)


def free(server: ComfyServer) -> None:
    """Unload all models and forget all outputs; the server does so when it comes round to it."""
    server.free()
    time.sleep(1.5)


def test_the_server_lists_every_node_of_the_pack(server, pack):
    info = server.object_info()
    for node_id in pack:
        assert info[node_id]["description"]
        assert info[node_id]["category"].startswith("FlashFace")
    assert "flashface_standin.safetensors" in json.dumps(info["FlashFaceModelLoader"]["input"])


def test_nothing_is_logged_as_wrong_when_the_server_starts(server):
    start, *_ = server.log.partition("got prompt")  # tests that want errors share this server
    lines = [line for line in start.splitlines() if "FlashFace" in line]
    assert not [line for line in lines if "IMPORT FAILED" in line or "rror" in line], lines


def test_the_basic_prompt_makes_a_picture(server, prompt):
    entry = server.queue(prompt)
    (picture,) = pictures(server, entry, prompt)
    assert picture.shape == (72, 104, 3) and picture.std() > 1
    # Without the reference, from the same seed, another picture.
    other = changed(prompt, FlashFaceApply={"strength": 0.0})
    (without,) = pictures(server, server.queue(other), other)
    assert not np.array_equal(picture, without)


def test_a_batch_of_three(server, prompt):
    three = changed(prompt, EmptyLatentImage={"batch_size": 3})
    found = pictures(server, server.queue(three), three)
    assert [picture.shape for picture in found] == [(72, 104, 3)] * 3


def test_freed_memory_gives_the_same_picture_again(server, prompt):
    prompt = changed(prompt, KSampler={"seed": 2})
    (before,) = pictures(server, server.queue(prompt), prompt)
    loads = server.log.count("Requested to load")
    free(server)
    (after,) = pictures(server, server.queue(prompt), prompt)
    assert np.array_equal(before, after)
    assert server.log.count("Requested to load") >= loads + 4, "it was all loaded anew"


def test_an_interrupted_prompt_and_a_clean_one_after_it(server, prompt):
    prompt = changed(prompt, KSampler={"seed": 3})
    (expected,) = pictures(server, server.queue(prompt), prompt)
    prompt_id = server.submit(changed(prompt, KSampler={"seed": 4, "steps": 600}))
    time.sleep(2.0)
    server.interrupt()
    entry = server.wait(prompt_id, timeout=60)
    kinds = [kind for kind, _ in entry["status"]["messages"]]
    assert "execution_interrupted" in kinds and not any(
        output.get("images") for node, output in entry["outputs"].items() if is_saver(prompt, node)
    )
    free(server)
    (found,) = pictures(server, server.queue(prompt), prompt)
    assert np.array_equal(found, expected)


def test_a_bad_file_ends_in_words_for_the_user(server: ComfyServer, prompt):
    file = Path(server.base) / "models" / "flashface" / "broken.safetensors"
    file.write_bytes(b"")
    broken = changed(prompt, FlashFaceModelLoader={"model_name": "broken.safetensors"})
    with pytest.raises(ServerError) as caught:
        server.queue(broken)
    assert str(caught.value) == (
        "FlashFaceModelLoader failed: broken.safetensors is empty (0 bytes). "
        "Download or copy it again."
    )
    file.unlink()
