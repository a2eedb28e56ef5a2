"""Write a graph in the format that ComfyUI's front end saves and loads (version 0.4)."""

from __future__ import annotations

from typing import Any

from release_notes import project_version
from setup.host import PACK

from .graph import NOTE, Graph, Input, Json, Node, Output

CORE = {"cnr_id": "comfy-core", "ver": "0.18.0"}  # the oldest release that has these nodes
NEWER = {"CreateBoundingBoxes": "0.27.0", "CurveEditor": "0.27.0"}  # and of those that it lacks
OURS = {
    "cnr_id": "flashface",
    "ver": project_version((PACK / "pyproject.toml").read_text(encoding="utf-8")),
}
MUTED = 2  # the front end's LGraphEventMode.NEVER
# Title and body, as the front end's own colour menu sets them. Notes have none: the palette's own
# colours suit their text in the dark and in the light theme.
COLORS = {
    "green": {"color": "#232", "bgcolor": "#353"},
    "red": {"color": "#322", "bgcolor": "#533"},
}


def workflow(graph: Graph) -> Json:
    """The graph as the front end's Save would write it."""
    links = links_of(graph)
    order = order_of(graph)
    return {
        "id": graph.uuid(),
        "revision": 0,
        "last_node_id": len(graph.nodes),
        "last_link_id": len(links),
        "nodes": [node_entry(graph, node, links, order[node.id]) for node in graph.nodes],
        "links": links,
        "groups": [
            {
                "id": number,
                "title": group.title,
                "bounding": list(group.bounds),
                "color": group.color,
                "flags": {},
            }
            for number, group in enumerate(graph.groups, 1)
        ],
        "config": {},
        "extra": {"ds": graph.view(), **_app(graph)},
        "version": 0.4,
    }


def _app(graph: Graph) -> Json:
    """What app mode needs, as the front end saves it."""
    if not graph.app_outputs:
        return {}
    inputs = [[node.id, name] for node, name in graph.app_inputs]
    return {"linearData": {"inputs": inputs, "outputs": [node.id for node in graph.app_outputs]}}


def sockets(graph: Graph, node: Node) -> list[Input]:
    """A node's inputs as the front end orders them: sockets first, then widgets."""
    if node.type == NOTE:
        return []
    return sorted(graph.specs(node), key=lambda spec: spec.widget)


def links_of(graph: Graph) -> list[list[Any]]:
    """Links as the front end lists them: number, source and its slot, target and its slot, type."""
    found: list[list[Any]] = []
    for node in graph.nodes:
        for slot, spec in enumerate(sockets(graph, node)):
            source = node.inputs.get(spec.name)
            if isinstance(source, Output):
                index, kind = graph.slot(source)
                found.append([len(found) + 1, source.node.id, index, node.id, slot, kind])
    return found


def order_of(graph: Graph) -> dict[int, int]:
    """Each node's place in the order of execution: sources before what uses them."""
    placed: dict[int, int] = {}

    def place(node: Node) -> None:
        if node.id in placed:
            return
        for value in node.inputs.values():
            if isinstance(value, Output):
                place(value.node)
        placed[node.id] = len(placed)

    for node in graph.nodes:
        place(node)
    return placed


def node_entry(graph: Graph, node: Node, links: list[list[Any]], order: int) -> Json:
    """A node as the front end saves it."""
    entry: Json = {
        "id": node.id,
        "type": node.type,
        "pos": list(node.pos),
        "size": list(node.size),
        "flags": {"collapsed": True} if node.collapsed else {},
        "order": order,
        "mode": MUTED if node.muted else 0,
        "inputs": _inputs(graph, node, links),
        "outputs": _outputs(graph, node, links),
    }
    if node.title:
        entry["title"] = node.title
    entry["properties"] = _properties(graph, node)
    entry["widgets_values"] = _widget_values(graph, node)
    return entry | (COLORS[node.color] if node.color else {})


def _inputs(graph: Graph, node: Node, links: list[list[Any]]) -> list[Json]:
    to = {link[4]: link[0] for link in links if link[3] == node.id}
    entries = []
    for slot, spec in enumerate(sockets(graph, node)):
        entry: Json = {"name": spec.name, "type": spec.type}
        if spec.name in graph.info[node.type]["input"].get("optional", ()):
            entry["shape"] = 7  # the front end's round socket with a hole: optional
        if spec.widget:
            entry["widget"] = {"name": spec.name}
        entries.append(entry | {"link": to.get(slot)})
        if spec.extra == "image":
            upload = {"name": "upload", "type": "IMAGEUPLOAD", "widget": {"name": "upload"}}
            entries.append(upload | {"link": None})
    return entries


def _outputs(graph: Graph, node: Node, links: list[list[Any]]) -> list[Json]:
    if node.type == NOTE:
        return []
    info = graph.info[node.type]
    entries = []
    for slot, (name, kind) in enumerate(zip(info["output_name"], info["output"], strict=True)):
        own = [link[0] for link in links if link[1] == node.id and link[2] == slot]
        entry: Json = {"name": name, "type": kind}
        if info["output_is_list"][slot]:
            entry["shape"] = 6  # a grid: a list
        entries.append(entry | {"links": own or None})
    return entries


def _properties(graph: Graph, node: Node) -> Json:
    if node.type == NOTE:
        return {}
    ours = graph.info[node.type].get("python_module", "").startswith("custom_nodes.")
    owner = OURS if ours else {**CORE, "ver": NEWER.get(node.type, CORE["ver"])}
    properties = {**owner, "Node name for S&R": node.type}
    return properties | ({"models": node.models} if node.models else {})


def _widget_values(graph: Graph, node: Node) -> list[Any]:
    if node.type == NOTE:
        return [node.inputs["text"]]
    values = []
    for spec in graph.specs(node):
        if spec.widget:
            values.append(graph.value(node, spec))
            if spec.extra is not None:
                values.append(spec.extra)
    return values
