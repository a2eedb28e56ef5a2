"""The example workflows fit the nodes they are made of, and run."""

from __future__ import annotations

import copy
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import make_workflows
import numpy as np
import pytest
from PIL import Image
from setup.comfy_server import ComfyServer
from templates.graph import NOTE, Json
from templates.layout import zoom
from workflow_files import (
    NAMES,
    NEWER,
    ROOT,
    SIDE,
    SIDES,
    frame,
    hurry,
    missing,
    problems,
    provide_files,
    read_prompt,
    read_workflow,
)

PICTURES = {"4_as_a_child_and_in_old_age": 2, "1_start_here": 2}  # where it is not one


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
    for node in data.values():
        if isinstance(node, dict):
            node.pop("_meta", None)  # titles, which differ, too
    for node in data.get("nodes", ()):
        node["inputs"] = [entry for entry in node["inputs"] if entry["link"] or "widget" in entry]
        node["outputs"] = [entry for entry in node["outputs"] if entry["links"]]
    return data


def test_the_files_are_what_their_description_makes(info: Json) -> None:
    assert sorted(make_workflows.WORKFLOWS) == NAMES
    made = make_workflows.files(info, [name for name in NAMES if not missing(name, info)])
    for path, text in made.items():
        saved = (ROOT / path).read_text(encoding="utf-8")
        assert used(saved) == used(text), f"{path} is stale: run scripts/make_workflows.py"


def test_every_text_of_a_template_has_its_chinese(info: Json) -> None:
    if lacks := {node for name in NAMES for node in missing(name, info)}:
        pytest.skip(f"this ComfyUI is older than {', '.join(lacks)}")
    file, text = next(iter(make_workflows.translations(info).items()))
    assert (ROOT / file).read_text(encoding="utf-8") == text, "run scripts/make_workflows.py"
    known = json.loads(text)
    for workflow in map(read_workflow, NAMES):
        note = next(node for node in workflow["nodes"] if node["type"] == NOTE)
        both = known["notes"][workflow["id"]]
        assert both["english"] == note["widgets_values"][0]
        assert both["chinese"].count("\n## ") == len(workflow["groups"])
        assert "{" not in both["chinese"]
        groups = {group["title"].split(". ")[1] for group in workflow["groups"]}
        titles = {node["title"] for node in workflow["nodes"] if "title" in node}
        assert groups | titles <= known["titles"].keys()


@pytest.fixture
def present(request: pytest.FixtureRequest, info: Json) -> str:
    """The name of a workflow that this ComfyUI has all nodes for."""
    if lacks := missing(request.param, info):
        pytest.skip(f"this ComfyUI is older than {', '.join(lacks)}")
    return request.param


@pytest.mark.parametrize("present", NAMES, indirect=True)
def test_a_workflow_fits_the_nodes_of_the_server(present: str, info: Json) -> None:
    assert problems(read_workflow(present), info) == []


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
    found = problems(read_workflow("2_new_picture_simplest"), spoil(info, change))
    assert any(text.endswith(expected) for text in found), found


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_uses_core_nodes_and_ours_only(name: str, info: Json) -> None:
    for node in read_workflow(name)["nodes"]:
        if node["type"] in NEWER - info.keys():
            continue
        module = "" if node["type"] == NOTE else info[node["type"]]["python_module"]
        core = node["type"] == NOTE or module == "nodes" or module.startswith("comfy_extras")
        ours = node["type"].startswith(("FlashFace", "Face2Diffusion", "FaceSnap"))
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
def test_a_template_opens_large_enough_to_read(name: str) -> None:
    # The browser test holds `zoom` to what the front end does.
    assert zoom([frame(node) for node in read_workflow(name)["nodes"]]) >= 0.6


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_says_what_to_change(name: str) -> None:
    workflow = read_workflow(name)
    notes = [node for node in workflow["nodes"] if node["type"] == NOTE]
    assert len(notes) == 1 and len(notes[0]["widgets_values"][0]) > 300
    titles = sorted(group["title"] for group in workflow["groups"])
    assert [title.split(". ")[0] for title in titles] == [str(n + 1) for n in range(len(titles))]
    assert titles[0] == "1. Models" and titles[-1].split()[1] in ("Picture", "Pictures")
    for title in titles:  # the note explains every group under its number
        assert f"\n## {title}: " in notes[0]["widgets_values"][0], title


@pytest.mark.parametrize("name", NAMES)
def test_a_note_names_nodes_that_old_versions_lack(name: str) -> None:
    nodes = read_workflow(name)["nodes"]
    note = next(node for node in nodes if node["type"] == NOTE)["widgets_values"][0]
    for kind in NEWER & {node["type"] for node in nodes}:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind)
        assert re.search(
            rf"\*{words}\* is red: it (came with|is newer than) ComfyUI 0\.\d+", note
        ), kind


@pytest.mark.parametrize("name", NAMES)
def test_a_thumbnail_stands_beside_a_workflow(name: str) -> None:
    with Image.open(ROOT / "workflows" / f"{name}.jpg") as picture:
        assert picture.size == (512, 512) and picture.format == "JPEG"


@pytest.mark.parametrize("present", NAMES, indirect=True)
def test_a_workflow_runs_to_a_picture(present: str, ready: ComfyServer) -> None:
    prompt = hurry(read_prompt(present))
    saved = [node for node, entry in prompt.items() if entry["class_type"] == "SaveImage"]
    history = ready.queue(prompt, 300)
    pictures = [data for node in saved for data in ready.images(history, node)]
    assert len(pictures) == len(saved) == PICTURES.get(present, 1)
    assert len(set(pictures)) == len(pictures), "different prompts gave the same picture"
    for data in pictures:
        with Image.open(io.BytesIO(data)) as picture:
            extrema = picture.convert("L").getextrema()
            side = SIDES.get(present, SIDE)
            size = side if isinstance(side, tuple) else (side, side)
            assert picture.size == size and extrema[0] < extrema[1]


def test_a_saved_person_gives_the_same_picture_without_photos(ready: ComfyServer) -> None:
    prompt = hurry(read_prompt("3_save_a_person_and_reuse"))
    node_of = {entry["class_type"]: node for node, entry in prompt.items()}
    prompt[node_of["FlashFaceSaveReference"]]["inputs"]["name"] = "kept"
    before = ready.images(ready.queue(prompt), node_of["SaveImage"])
    for kind in ("LoadImage", "FlashFaceCropFaces", "FlashFaceEncodeReference"):
        del prompt[node_of[kind]]
    del prompt[node_of["FlashFaceSaveReference"]]
    loaded = node_of["FlashFaceLoadReference"]
    prompt[loaded]["inputs"]["reference_name"] = "kept.safetensors"
    prompt[node_of["FlashFaceApply"]]["inputs"]["reference"] = [loaded, 0]
    after = ready.images(ready.queue(prompt), node_of["SaveImage"])
    assert [_pixels(data) for data in after] == [_pixels(data) for data in before]


def _pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.tobytes()


def test_a_swapped_face_leaves_the_rest_of_the_photo_alone(ready: ComfyServer) -> None:
    prompt = hurry(read_prompt("5_face_swap"))
    node_of = {entry["class_type"]: node for node, entry in prompt.items()}
    for entry in prompt.values():
        if entry["class_type"] == "GrowMask":
            entry["inputs"]["expand"] = 4
        if entry["class_type"] == "ImageBlur":
            entry["inputs"].update(blur_radius=2, sigma=1.0)
    photo = {"images": [node_of["ImageScaleToTotalPixels"], 0], "filename_prefix": "before"}
    prompt["before"] = {"class_type": "SaveImage", "inputs": photo}
    history = ready.queue(prompt)
    before, after = (
        np.asarray(Image.open(io.BytesIO(ready.images(history, node)[0])), np.int16)
        for node in ("before", node_of["SaveImage"])
    )
    changed = np.abs(after - before).max(axis=2) > 0
    rows, columns = np.nonzero(changed)
    assert 20 < np.ptp(rows) < SIDE / 2 and 20 < np.ptp(columns) < SIDE / 2
    # where the astronaut's face is
    assert abs(rows.mean() / SIDE - 0.23) < 0.1 and abs(columns.mean() / SIDE - 0.43) < 0.1


def test_the_server_lists_every_workflow_and_its_thumbnail(ready: ComfyServer) -> None:
    from setup.host import PACK_NAME

    assert sorted(ready.get("/api/workflow_templates")[PACK_NAME]) == NAMES
    for name in NAMES:
        listed = ready.get(f"/api/workflow_templates/{PACK_NAME}/{name}.json")
        assert listed == read_workflow(name)
    assert not list(Path(ROOT, "workflows").glob("*_api.json"))
