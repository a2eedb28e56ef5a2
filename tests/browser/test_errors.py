"""An error as a user meets it: which node, which input, what came and what to do, all readable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page
from setup.browser import open_comfyui, run_workflow
from setup.comfy_server import ComfyServer

pytestmark = pytest.mark.usefixtures("recent")

Prompt = dict[str, dict[str, Any]]
Said = Callable[[Prompt], tuple[str, str]]
CHOICE = {
    **{"order": "largest", "index": 0, "faces_per_image": 1, "if_no_face": "error"},
    **{"threshold": 0.6, "padding": 0.0, "level_eyes": True, "size": 224},
}
LBP = {"detector": "lbp", "provider": "auto", "detection_size": 640}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def wall(ready: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A photo of nobody, in the server's input folder."""
    photo = tmp_path_factory.mktemp("wall") / "wall.png"
    Image.new("RGB", (320, 240), (120, 130, 90)).save(photo)
    return ready.upload_image(photo)


@pytest.fixture(scope="module")
def page(chromium: Any, ready: ComfyServer, wall: str) -> Iterator[Page]:
    """One page for all, opened when the photo is there to choose."""
    opened = open_comfyui(chromium, ready.url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def said(page: Page) -> Said:
    """`said(prompt)`: the message over the graph after a run, and the panel with its details."""

    def run(prompt: Prompt) -> tuple[str, str]:
        page.evaluate("prompt => app.loadApiJson(prompt, 'errors')", prompt)
        run_workflow(page)
        details = page.get_by_test_id("error-overlay")
        message = details.inner_text()
        details.get_by_role("button", name="View details").click()
        panel = page.get_by_test_id("properties-panel")
        panel.wait_for()
        page.wait_for_timeout(500)
        return message, " ".join(panel.inner_text().split())

    return run


def test_a_photo_without_a_face(said: Said, wall: str, page: Page, ready: ComfyServer) -> None:
    prompt = {
        "1": node("LoadImage", image=wall),
        "2": node("FlashFaceDetectorLoader", **LBP),
        "3": node("FlashFaceCropFaces", image=["1", 0], detector=["2", 0], **CHOICE),
        "4": node("PreviewImage", images=["3", 0]),
    }
    message, panel = said(prompt)
    assert "Detect & Crop Faces failed" in message
    assert "FlashFace.NoFaceError: Image 1 of 1 (320 x 240): no face found by" in panel
    assert "or set 'if_no_face' to 'skip' or 'use whole image'" in panel
    (shown,) = page.evaluate("app.nodeOutputs[3].images")  # the photo, with the sentence below it
    with Image.open(ready.base / "temp" / shown["filename"]) as picture:
        assert picture.width >= 512 and picture.height > 550


def test_edges_of_a_region_in_the_wrong_order(said: Said) -> None:
    corners = {"x1": 0.7, "y1": 0.2, "x2": 0.3, "y2": 0.5}
    prompt: Prompt = {
        "1": node("FlashFaceRegion", width=512, height=512, square=True, **corners),
        "2": node("MaskPreview", mask=["1", 0]),
    }
    message, panel = said(prompt)
    assert "Face Region failed" in message
    assert "x2 (0.3) has to be larger than x1 (0.7)" in panel
    assert "All four at 0 mean no region." in panel


def test_a_model_file_that_is_not_there(said: Said) -> None:
    prompt = {
        "1": node("FlashFaceModelLoader", model_name="elsewhere.ckpt", weight_dtype="default"),
        "2": node("ModelSave", model=["1", 0], filename_prefix="never"),
    }
    _, panel = said(prompt)
    assert "Load FlashFace Model" in panel and "elsewhere.ckpt" in panel
    assert "model_name" in panel
