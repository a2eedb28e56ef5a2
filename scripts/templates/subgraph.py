"""Write a graph as a blueprint: a subgraph with inputs and outputs, which the node search offers.

ComfyUI reads every pack's subgraphs/*.json. The file is a workflow with one node, whose type is the
id of the subgraph in its definitions; inputs that lead to widgets show these on the node.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from .file import OURS, links_of, node_entry, order_of, sockets
from .graph import TITLE, Graph, Json, Node, Output

INPUTS, OUTPUTS = -10, -20  # the front end's ids of a subgraph's two ends
GAP, WIDTH, ROW = 60, 120, 20


@dataclass
class Ends:
    """What a blueprint shows: inputs of nodes within, and outputs of nodes within, by name.

    An input may go to several nodes; the first one's value and type count.
    """

    inputs: dict[str, list[tuple[Node, str]]]
    outputs: dict[str, Output]
    description: str
    aliases: list[str] = field(default_factory=list)


def blueprint(graph: Graph, title: str, ends: Ends) -> Json:
    """The file of a blueprint of this title."""
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"comfyui-flashface/blueprint/{graph.name}"))
    links = [*links_of(graph)]
    into = [_input(graph, links, slot, *item) for slot, item in enumerate(ends.inputs.items())]
    out = [_output(graph, links, slot, *item) for slot, item in enumerate(ends.outputs.items())]
    order = order_of(graph)
    nodes = [node_entry(graph, node, links, order[node.id]) for node in graph.nodes]
    left, right, middle = _frame(graph)
    inner = {
        "id": identity,
        "version": 1,
        "state": {
            **{"lastGroupId": 0, "lastNodeId": len(nodes), "lastLinkId": len(links)},
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": title,
        "inputNode": _end(INPUTS, left - GAP - WIDTH, middle, into),
        "outputNode": _end(OUTPUTS, right + GAP, middle, out),
        "inputs": into,
        "outputs": out,
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": [_link(link) for link in links],
        "extra": {"workflowRendererVersion": "LG"},
        "category": "FlashFace",
        "description": ends.description,
    }
    return {
        "revision": 0,
        "last_node_id": len(nodes) + 1,
        "last_link_id": 0,
        "nodes": [_instance(graph, identity, title, ends, into, out)],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [inner]},
        "extra": {
            "BlueprintDescription": ends.description,
            "BlueprintSearchAliases": ends.aliases,
        },
    }


def _input(
    graph: Graph, links: list[Any], slot: int, name: str, targets: list[tuple[Node, str]]
) -> Json:
    """An input of the subgraph; its links are added to `links`."""
    kind, own = "", []
    for node, inner in targets:
        specs = sockets(graph, node)
        index = next(i for i, spec in enumerate(specs) if spec.name == inner)
        # behind a widget with an upload button the front end has a socket for that, too
        index += sum(spec.extra == "image" for spec in specs[:index])
        kind = kind or specs[index].type
        own.append(len(links) + 1)
        links.append([len(links) + 1, INPUTS, slot, node.id, index, kind])
    return {"id": _id(graph, "in", name), "name": name, "type": kind, "linkIds": own}


def _output(graph: Graph, links: list[Any], slot: int, name: str, output: Output) -> Json:
    """An output of the subgraph; its link is added to `links`."""
    index, kind = graph.slot(output)
    links.append([len(links) + 1, output.node.id, index, OUTPUTS, slot, kind])
    return {"id": _id(graph, "out", name), "name": name, "type": kind, "linkIds": [len(links)]}


def _end(identity: int, x: int, y: int, rows: list[Json]) -> Json:
    """The box at one end of a subgraph."""
    return {"id": identity, "bounding": [x, y, WIDTH, 2 * ROW + ROW * len(rows)]}


def _link(link: list[Any]) -> Json:
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return dict(zip(names, link, strict=True))


def _id(graph: Graph, end: str, name: str) -> str:
    text = f"comfyui-flashface/blueprint/{graph.name}/{end}/{name}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))


def _frame(graph: Graph) -> tuple[int, int, int]:
    """Left, right and half the height of all nodes."""
    left = min(node.pos[0] for node in graph.nodes)
    right = max(node.pos[0] + node.size[0] for node in graph.nodes)
    top = min(node.pos[1] - TITLE for node in graph.nodes)
    bottom = max(node.pos[1] + node.height for node in graph.nodes)
    return left, right, (top + bottom) // 2


def _instance(
    graph: Graph, identity: str, title: str, ends: Ends, into: list[Json], out: list[Json]
) -> Json:
    """The node that stands for the subgraph."""
    inputs, values, shown = [], [], []
    for entry, targets in zip(into, ends.inputs.values(), strict=True):
        node, name = targets[0]
        spec = next(spec for spec in graph.specs(node) if spec.name == name)
        inputs.append({"name": entry["name"], "type": entry["type"], "link": None})
        if spec.widget:
            inputs[-1]["widget"] = {"name": entry["name"]}
            values.append(graph.value(node, spec))
            shown.append(["-1", entry["name"]])
    return {
        "id": len(graph.nodes) + 1,
        "type": identity,
        "pos": [0, 0],
        "size": [320, 60 + 26 * len(inputs)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": [{"name": end["name"], "type": end["type"], "links": []} for end in out],
        "properties": {"proxyWidgets": shown, **OURS},
        "widgets_values": values,
        "title": title,
    }
