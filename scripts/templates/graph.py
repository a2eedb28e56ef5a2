"""A ComfyUI graph described in Python, written as a workflow (UI format) and as an API prompt.

Nodes are laid out in groups; a group is a row of columns, and a column is a stack of nodes. Names,
types and order of sockets and widgets come from a running server's /object_info.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
# CURVE and BOUNDING_BOXES are the editors of Curve Editor and Create Bounding Boxes.
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "CURVE", "BOUNDING_BOXES"}
# What the front end adds behind a widget of its own accord, by the option that asks for it.
EXTRA_VALUES = {"control_after_generate": "fixed", "image_upload": "image"}
NOTE = "MarkdownNote"
OUTSIDE = object()  # the value of an input that comes from outside of a subgraph

TITLE = 30
# Between groups, around and between the nodes of one, and above its first node's body.
GAP, PAD, HEAD = 16, 14, 66
# The front end draws no text below 0.58; its side bar and its buttons cover this much (pixels).
SCALE, VIEW_CORNER = 0.6, (80, 110)


class GraphError(ValueError):
    """A description that does not fit the nodes of the server."""


@dataclass(frozen=True)
class Input:
    """An input of a node class; `extra` is the value that the front end adds behind the widget."""

    name: str
    type: str
    widget: bool
    default: Any = None
    options: list[Any] | None = None
    extra: str | None = None


def node_inputs(info: Json) -> list[Input]:
    """The inputs of a node class in the order of its widgets, from its /object_info entry."""
    found = []
    for kind in ("required", "optional"):
        for name in info["input_order"].get(kind, ()):
            given, *rest = info["input"][kind][name]
            settings: Json = rest[0] if rest else {}
            options = given if isinstance(given, list) else settings.get("options")
            type_ = "COMBO" if isinstance(given, list) else given
            widget = type_ in WIDGETS and not settings.get("forceInput")
            default = settings.get("default", options[0] if options else None)
            extra = next((v for k, v in EXTRA_VALUES.items() if settings.get(k)), None)
            found.append(Input(name, type_, widget, default, options, extra))
    return found


@dataclass(eq=False)
class Node:
    """A node in a graph; its inputs are values and `Output`s by name."""

    id: int
    type: str
    inputs: Json
    size: tuple[int, int]
    title: str | None = None
    color: str | None = None
    models: list[Json] = field(default_factory=list)
    pos: tuple[int, int] = (0, 0)
    muted: bool = False
    collapsed: bool = False

    @property
    def height(self) -> int:
        """What it takes below its title bar."""
        return 0 if self.collapsed else self.size[1]

    def __getitem__(self, name: str) -> Output:
        """The output of that name."""
        return Output(self, name)


@dataclass(frozen=True, eq=False)
class Output:
    """One output of a node, by the name that the node gives it."""

    node: Node
    name: str


@dataclass(eq=False)
class Group:
    """A titled frame around a row of columns of nodes."""

    title: str
    columns: list[list[Node]]
    bounds: tuple[int, int, int, int]
    color: str = "#3f789e"


class Graph:
    """Nodes and groups of one workflow; `object_info` is the server's answer for all nodes."""

    def __init__(self, name: str, object_info: Json) -> None:
        self.name = name
        self.info = object_info
        self.nodes: list[Node] = []
        self.groups: list[Group] = []
        # What the front end's app mode shows: widgets as node and name, and what saves pictures.
        self.app_inputs: list[tuple[Node, str]] = []
        self.app_outputs: list[Node] = []

    def node(
        self,
        type_: str,
        size: tuple[int, int],
        title: str | None = None,
        color: str | None = None,
        /,
        models: tuple[Json, ...] = (),
        **inputs: Any,
    ) -> Node:
        """Add a node; inputs left out keep their defaults.

        Raises GraphError for an unknown node, input or output, a missing link or a wrong type.
        """
        node = Node(len(self.nodes) + 1, type_, inputs, size, title, color, list(models))
        if type_ != NOTE:
            if type_ not in self.info:
                raise GraphError(f"{self.name}: the server has no node {type_}")
            self._check(node)
        self.nodes.append(node)
        return node

    def note(self, title: str, text: str, size: tuple[int, int]) -> Node:
        """Add a note in Markdown."""
        return self.node(NOTE, size, title, text=text)

    def group(self, title: str, x: int, y: int, *columns: list[Node]) -> Group:
        """Place `columns` of nodes side by side in a frame whose top left corner is (x, y)."""
        left, lowest = x + PAD, y
        for column in columns:
            top = y + HEAD
            for node in column:
                node.pos = (left, top)
                top += node.height + TITLE + PAD
            lowest = max(lowest, top - TITLE)
            left += max(node.size[0] for node in column) + GAP
        bounds = (x, y, left - GAP + PAD - x, lowest - y)
        self.groups.append(Group(title, list(columns), bounds))
        return self.groups[-1]

    def specs(self, node: Node) -> list[Input]:
        """The inputs of a node's class."""
        return node_inputs(self.info[node.type])

    def slot(self, output: Output) -> tuple[int, str]:
        """Index and type of a node's output."""
        info = self.info[output.node.type]
        if output.name not in info["output_name"]:
            known = ", ".join(info["output_name"])
            raise GraphError(f"{output.node.type} has no output {output.name}, only {known}")
        index = info["output_name"].index(output.name)
        return index, info["output"][index]

    def _check(self, node: Node) -> None:
        specs = {spec.name: spec for spec in self.specs(node)}
        for name, value in node.inputs.items():
            if name not in specs:
                raise GraphError(f"{node.type} has no input {name}, only {', '.join(specs)}")
            given = self.slot(value)[1] if isinstance(value, Output) else None
            if given and given not in specs[name].type.split(","):
                raise GraphError(f"{node.type}.{name} is {specs[name].type}, not {given}")
        required = self.info[node.type]["input_order"].get("required", ())
        for name in required:
            if name not in node.inputs and not specs[name].widget:
                raise GraphError(f"{node.type}.{name} needs a link")

    def value(self, node: Node, spec: Input) -> Any:
        """The value of a widget: the one described, else (with a link, too) the default."""
        given = node.inputs.get(spec.name, spec.default)
        return spec.default if isinstance(given, Output) or given is OUTSIDE else given

    def prompt(self) -> Json:
        """The graph in API format, as the front end would queue it."""
        found: Json = {}
        for node in self.nodes:
            if node.type == NOTE:
                continue
            inputs: Json = {}
            for spec in self.specs(node):
                given = node.inputs.get(spec.name)
                if isinstance(given, Output):
                    inputs[spec.name] = [str(given.node.id), self.slot(given)[0]]
                elif spec.widget:
                    value = self.value(node, spec)
                    # As the front end sends lists, which could be links otherwise.
                    inputs[spec.name] = {"__value__": value} if isinstance(value, list) else value
            title = node.title or self.info[node.type]["display_name"]
            found[str(node.id)] = {
                "class_type": node.type,
                "inputs": inputs,
                "_meta": {"title": title},
            }
        return found

    def view(self) -> Json:
        """What the canvas shows first: the top left corner, large enough to read."""
        left = min(node.pos[0] for node in self.nodes)
        top = min(group.bounds[1] for group in self.groups)
        offset = [round(edge / SCALE) for edge in VIEW_CORNER]
        return {"scale": SCALE, "offset": [offset[0] - left, offset[1] - top]}

    def uuid(self) -> str:
        """An id of the workflow that never changes."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"comfyui-flashface/{self.name}"))
