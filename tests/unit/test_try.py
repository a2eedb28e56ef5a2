"""What try.py queues for the model that comes with the pack; the real server runs the template."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trial import graph, sheet, small


def check_links(prompt: graph.Prompt) -> None:
    """Every link leads to a node that is there."""
    for entry in prompt.values():
        links = [value for value in entry["inputs"].values() if isinstance(value, list)]
        assert all(source in prompt for source, _ in links), entry


def test_one_person_is_painted_in_every_prompt() -> None:
    prompt, saved = small.workflow(None, None, 7)
    check_links(prompt)
    assert list(saved) == [small.PLAIN, "FlashFace", "as a child", "old", "with glasses"]
    samplers = {n: prompt[n]["inputs"] for n in graph.nodes_of(prompt, "KSampler")}
    assert {given["steps"] for given in samplers.values()} == {7}
    loader, guidance = (
        graph.nodes_of(prompt, kind)[0] for kind in ("FlashFaceDemoLoader", "FlashFaceGuidance")
    )
    models = [given["model"] for given in samplers.values()]
    assert models == [[loader, 4], *[[guidance, 0]] * 4]
    texts = [prompt[given["positive"][0]]["inputs"]["text"] for given in samplers.values()]
    assert texts == [small.PROMPTS[small.OWN], *small.PROMPTS.values()]


def test_a_photo_and_a_prompt_of_ones_own_take_their_places() -> None:
    prompt, saved = small.workflow("mine.png", "an old man", None)
    check_links(prompt)
    assert list(saved) == [small.PLAIN, small.OWN]
    assert not [n for n in prompt.values() if n["class_type"] == "FlashFaceDemoPerson"]
    faces = prompt[graph.nodes_of(prompt, "FlashFaceCropFaces")[0]]["inputs"]
    assert prompt[faces["image"][0]]["inputs"] == {"image": "mine.png"}


def test_the_photos_of_the_picture_are_those_that_the_workflow_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASHFACE_DEMO", str(tmp_path))
    assert not small.is_there()
    prompt, _ = small.workflow(None, None, None)
    files = small.photos_of(prompt, None)
    assert [file.name for file in files] == [f"1-freckles-young-{i}.webp" for i in range(1, 5)]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        sheet.Image.new("RGB", (40, 30), (200, 0, 0)).save(file)
    names = [str(file) for file in files]
    drawn = sheet.sheet([("photos", names), ("one", names[:1])])
    assert drawn.size == (2 * 256 + 3 * 12, 256 + 2 * 12 + 28)
    assert np.asarray(drawn)[110, 100, 0] > 190
