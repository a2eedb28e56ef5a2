"""The example workflows, and what is wrong with one against a running server's nodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from setup.comfy_server import ComfyServer
from standins import flashface as standin
from templates.graph import NOTE, TITLE, Json, node_inputs
from templates.models import PICTURES, place_control, place_detector, place_named, place_person

ROOT = Path(__file__).absolute().parents[2]
FILES = sorted((ROOT / "workflows").glob("*.json"))
NAMES = [file.stem for file in FILES]
SIDE, STEPS, CROP = 128, 2, 224
# where the result is as large as the photo, or is enlarged
SIDES: dict[str, int | tuple[int, int]] = {
    **{"5_small_face_detail": 512, "1_start_here": 512, "8_facesnap_pose_of_a_picture": 512},
    **{"8_facesnap_and_flashface": 512, "8_facesnap_two_people": (1024, 512)},
}
# Core nodes that came after the oldest ComfyUI that the pack supports; the notes say so.
NEWER = {"CreateBoundingBoxes", "CurveEditor"}
UPLOAD = "upload"  # the front end's own button on Load Image


def read_workflow(name: str) -> Json:
    """The workflow as people open it."""
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))


def missing(name: str, info: Json) -> list[str]:
    """The core nodes of a workflow that are newer than the server's ComfyUI."""
    kinds = {node["type"] for node in read_workflow(name)["nodes"]} & NEWER
    return sorted(kinds - info.keys())


def read_prompt(name: str) -> dict[str, Json]:
    """The same graph in API format."""
    file = ROOT / "tests" / "workflows" / f"{name}_api.json"
    return json.loads(file.read_text(encoding="utf-8"))


def provide_files(server: ComfyServer, folder: Path) -> None:
    """Give the server all files that the workflows name: stand-in models, and photos.

    Each photo is darker than the one before.
    """
    from PIL import Image
    from skimage import data

    place_named(standin.standin_models(), server.base / "models")
    place_detector(server.base / "models")
    place_control(server.base / "models")
    place_person(server.base / "models")
    photo = Image.fromarray(data.astronaut())
    for number, name in enumerate(PICTURES):
        photo.point([value * (20 - number) // 20 for value in range(256)] * 3).save(folder / name)
        server.upload_image(folder / name)


def hurry(prompt: dict[str, Json]) -> dict[str, Json]:
    """The prompt with a small picture and few steps."""
    for node in prompt.values():
        if node["class_type"] == "KSampler":
            node["inputs"]["steps"] = STEPS
        if node["class_type"] == "EmptyLatentImage":
            node["inputs"].update(width=SIDE, height=SIDE)
        if node["class_type"] == "ImageScaleToTotalPixels":
            node["inputs"]["megapixels"] = SIDE**2 / 1024**2
        if node["class_type"] == "FlashFaceCropFaces":
            node["inputs"]["size"] = min(node["inputs"]["size"], CROP)
    return prompt


def problems(workflow: Json, info: Json) -> list[str]:
    """What would make this workflow open or run wrongly with the nodes in `info`; [] if nothing."""
    found = []
    for node in workflow["nodes"]:
        if node["type"] == NOTE:
            continue
        if node["type"] not in info:
            found.append(f"{node['type']}: there is no such node")
            continue
        found += [f"{node['type']}: {text}" for text in _node_problems(node, info[node["type"]])]
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for link in workflow["links"]:
        found += [f"link {link[0]}: {text}" for text in _link_problems(link, nodes, info)]
    return found


def _node_problems(node: Json, info: Json) -> list[str]:
    specs = {spec.name: spec for spec in node_inputs(info)}
    given = {entry["name"]: entry for entry in node["inputs"] if entry["name"] != UPLOAD}
    found = [f"input {name} does not exist (any more)" for name in given.keys() - specs.keys()]
    found += [f"input {name} is not in the file" for name in specs.keys() - given.keys()]
    for name in given.keys() & specs.keys():
        if given[name]["type"] != specs[name].type:
            found.append(f"{name} is {specs[name].type}, the file says {given[name]['type']}")
        required = name in info["input"].get("required", ()) and not specs[name].widget
        if required and given[name]["link"] is None:
            found.append(f"{name} has to be linked")
    values = iter(node["widgets_values"])
    widgets = [spec for spec in specs.values() if spec.widget]
    expected = len(widgets) + sum(spec.extra is not None for spec in widgets)
    if expected != len(node["widgets_values"]):
        return [*found, f"{expected} widget values, the file has {len(node['widgets_values'])}"]
    for spec in widgets:
        value = next(values)
        if not _allowed(spec, value, info):
            found.append(f"{spec.name} cannot be {value!r}")
        if spec.extra is not None:
            next(values)
    return found


def _allowed(spec: Any, value: Any, info: Json) -> bool:
    if spec.options is not None:
        return value in spec.options
    kinds: dict[str, tuple[type, ...]] = {"INT": (int,), "FLOAT": (int, float)}
    if spec.type not in kinds:
        others = {"BOOLEAN": bool, "BOUNDING_BOXES": list, "CURVE": dict}
        return isinstance(value, others.get(spec.type, str))
    entry = (info["input"].get("required", {}) | info["input"].get("optional", {}))[spec.name][1]
    inside = entry.get("min", value) <= value <= entry.get("max", value)
    return isinstance(value, kinds[spec.type]) and inside


def _link_problems(link: list[Any], nodes: dict[int, Json], info: Json) -> list[str]:
    number, source, slot, target, entry, kind = link
    outputs = info.get(nodes[source]["type"], {}).get("output", [])
    names = info.get(nodes[source]["type"], {}).get("output_name", [])
    found = []
    saved = nodes[source]["outputs"][slot]
    if slot >= len(outputs) or outputs[slot] != kind or names[slot] != saved["name"]:
        found.append(f"{nodes[source]['type']} has no output {saved['name']} of type {kind}")
    if number not in (saved["links"] or ()) or nodes[target]["inputs"][entry]["link"] != number:
        found.append("its two ends do not agree")
    if nodes[target]["inputs"][entry]["type"] != kind:
        found.append(f"{kind} goes into {nodes[target]['inputs'][entry]['type']}")
    return found


def frame(node: Json) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a node with its title bar."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE, x + width, y if node["flags"].get("collapsed") else y + height
