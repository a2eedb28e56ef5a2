"""The example workflows fit the nodes they are made of, and run."""

from __future__ import annotations

import copy
import io
import itertools
import json
from pathlib import Path
from typing import Any

import make_workflows
import pytest
from comfy_server import ComfyServer
from PIL import Image
from workflow_files import (
    FILES,
    NAMES,
    ROOT,
    SIDE,
    frame,
    hurry,
    problems,
    provide_files,
    read_prompt,
    read_workflow,
)
from workflow_graph import NOTE, Json


@pytest.fixture(scope="module")
def ready(server: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> ComfyServer:
    """The server with every file that the workflows name."""
    provide_files(server, tmp_path_factory.mktemp("photo"))
    return server


@pytest.fixture(scope="module")
def info(ready: ComfyServer) -> Json:
    """The server's nodes."""
    return ready.object_info()


def used(text: str) -> Any:
    """A file's data without sockets that nothing is linked to: other ComfyUIs have others."""
    data = json.loads(text)
    for node in data.get("nodes", ()):
        node["inputs"] = [entry for entry in node["inputs"] if entry["link"] or "widget" in entry]
        node["outputs"] = [entry for entry in node["outputs"] if entry["links"]]
    return data


def test_the_files_are_what_their_description_makes(info: Json) -> None:
    made = make_workflows.files(info)
    assert {ROOT / path for path in made if path.parts[0] == "workflows"} == set(FILES)
    for path, text in made.items():
        saved = (ROOT / path).read_text(encoding="utf-8")
        assert used(saved) == used(text), f"{path} is stale: run scripts/make_workflows.py"


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_fits_the_nodes_of_the_server(name: str, info: Json) -> None:
    assert problems(read_workflow(name), info) == []


def spoil(info: Json, change: str) -> Json:
    """The server's nodes as if somebody had changed them without the workflows."""
    changed = copy.deepcopy(info)
    apply = changed["FlashFaceApply"]
    inputs, order = apply["input"]["required"], apply["input_order"]["required"]
    if change == "node removed":
        del changed["FlashFaceApply"]
    elif change == "input renamed":
        inputs["force"] = inputs.pop("strength")
        order[order.index("strength")] = "force"
    elif change == "input removed":
        del inputs["end_percent"]
        order.remove("end_percent")
    elif change == "input added":
        inputs["noise"] = ["FLOAT", {"default": 0.0}]
        order.append("noise")
    elif change == "range narrowed":
        inputs["strength"][1]["max"] = 1.0
    elif change == "output renamed":
        apply["output_name"] = ["patched"]
    else:
        apply["output"] = ["LATENT"]
    return changed


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("node removed", "FlashFaceApply: there is no such node"),
        ("input renamed", "FlashFaceApply: input strength does not exist (any more)"),
        ("input removed", "FlashFaceApply: input end_percent does not exist (any more)"),
        ("input added", "FlashFaceApply: input noise is not in the file"),
        ("range narrowed", "FlashFaceApply: strength cannot be 1.2"),
        ("output renamed", "FlashFaceApply has no output model of type MODEL"),
        ("output type changed", "FlashFaceApply has no output model of type MODEL"),
    ],
)
def test_a_changed_node_is_noticed(change: str, expected: str, info: Json) -> None:
    found = problems(read_workflow("flashface_basic"), spoil(info, change))
    assert any(text.endswith(expected) for text in found), found


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_uses_core_nodes_and_ours_only(name: str, info: Json) -> None:
    for node in read_workflow(name)["nodes"]:
        module = "" if node["type"] == NOTE else info[node["type"]]["python_module"]
        core = node["type"] == NOTE or module == "nodes" or module.startswith("comfy_extras")
        ours = node["type"].startswith(("FlashFace", "Face2Diffusion"))
        assert core or ours, f"{node['type']} is of {module}"


@pytest.mark.parametrize("name", NAMES)
def test_nodes_do_not_overlap_and_links_never_go_left(name: str) -> None:
    workflow = read_workflow(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for one, two in itertools.combinations(nodes.values(), 2):
        a, b = frame(one), frame(two)
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one['type']} and {two['type']} overlap"
    for _, source, _, target, _, kind in workflow["links"]:
        assert nodes[source]["pos"][0] <= nodes[target]["pos"][0], (
            f"{kind} goes left from {nodes[source]['type']} to {nodes[target]['type']}"
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_says_what_to_change(name: str) -> None:
    workflow = read_workflow(name)
    notes = [node for node in workflow["nodes"] if node["type"] == NOTE]
    assert len(notes) == 1 and len(notes[0]["widgets_values"][0]) > 300
    titles = {group["title"] for group in workflow["groups"]}
    expected = {"1. Models", "2. Reference photos", "3. Prompt"}
    if name != "face2diffusion_basic":  # Face2Diffusion alone does not know where the face goes
        expected.add("4. Where the face goes")
    assert expected < titles


@pytest.mark.parametrize("name", NAMES)
def test_a_thumbnail_stands_beside_a_workflow(name: str) -> None:
    with Image.open(ROOT / "workflows" / f"{name}.jpg") as picture:
        assert picture.size == (800, 500) and picture.format == "JPEG"


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_runs_to_a_picture(name: str, ready: ComfyServer) -> None:
    prompt = hurry(read_prompt(name))
    saved = [node for node, entry in prompt.items() if entry["class_type"] == "SaveImage"]
    history = ready.queue(prompt, 300)
    pictures = [data for node in saved for data in ready.images(history, node)]
    assert len(pictures) == len(saved) == (3 if name == "flashface_age" else 1)
    assert len(set(pictures)) == len(pictures), "different prompts gave the same picture"
    for data in pictures:
        with Image.open(io.BytesIO(data)) as picture:
            extrema = picture.convert("L").getextrema()
            assert picture.size == (SIDE, SIDE) and extrema[0] < extrema[1]


def test_the_server_lists_every_workflow_and_its_thumbnail(ready: ComfyServer) -> None:
    from host import PACK_NAME

    assert sorted(ready.get("/api/workflow_templates")[PACK_NAME]) == NAMES
    for name in NAMES:
        listed = ready.get(f"/api/workflow_templates/{PACK_NAME}/{name}.json")
        assert listed == read_workflow(name)
    assert not list(Path(ROOT, "workflows").glob("*_api.json"))
