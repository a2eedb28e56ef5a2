"""The blueprints: the server lists them for the node search, and they fit the pack's nodes."""

from __future__ import annotations

import json

import make_workflows
import pytest
from setup.comfy_server import ComfyServer
from setup.host import PACK_NAME
from templates.blueprints import BLUEPRINTS
from templates.graph import Json
from templates.subgraph import INPUTS, OUTPUTS
from workflow_files import ROOT, problems, provide_files


@pytest.fixture(scope="module")
def info(server: ComfyServer, tmp_path_factory: pytest.TempPathFactory) -> Json:
    """The nodes of the server with every file that the blueprints name."""
    provide_files(server, tmp_path_factory.mktemp("photo"))
    return server.object_info()


def inner(name: str) -> Json:
    """The subgraph of a blueprint."""
    text = (ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text)["definitions"]["subgraphs"][0]


def test_the_files_are_what_their_description_makes(info: Json) -> None:
    made = {path.stem: json.loads(text) for path, text in make_workflows.blueprints(info).items()}
    assert sorted(made) == sorted(file.stem for file in (ROOT / "subgraphs").glob("*.json"))
    for name, file in made.items():
        expected = file["definitions"]["subgraphs"][0]
        for key in ("id", "inputs", "outputs", "description"):
            assert inner(name)[key] == expected[key], f"{name}: run scripts/make_workflows.py"


def test_the_server_lists_them(server: ComfyServer) -> None:
    listed = server.get("/global_subgraphs")
    ours = {key: entry for key, entry in listed.items() if PACK_NAME in entry["info"]["node_pack"]}
    assert sorted(entry["name"] for entry in ours.values()) == sorted(BLUEPRINTS)
    for key, entry in ours.items():
        data = json.loads(server.get(f"/global_subgraphs/{key}")["data"])
        assert data["definitions"]["subgraphs"][0]["id"] == inner(entry["name"])["id"]


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_fits_the_nodes_of_the_server(name: str, info: Json) -> None:
    graph = inner(name)
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    links = [[link[key] for key in names] for link in graph["links"]]
    between = [link for link in links if link[1] != INPUTS and link[3] != OUTPUTS]
    assert problems({"nodes": graph["nodes"], "links": between}, info) == []
    nodes = {node["id"]: node for node in graph["nodes"]}
    for number, source, slot, target, entry, _ in links:
        if source == INPUTS:
            assert nodes[target]["inputs"][entry]["link"] == number
            assert number in graph["inputs"][slot]["linkIds"]
            assert nodes[target]["inputs"][entry]["type"] == graph["inputs"][slot]["type"]
        if target == OUTPUTS:
            assert number in nodes[source]["outputs"][slot]["links"]
            assert graph["outputs"][entry]["linkIds"] == [number]
