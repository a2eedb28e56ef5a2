"""Where the nodes of an example workflow stand: columns of groups, side by side.

The front end's dialog fits the nodes of a template into three quarters of the window, and draws no
text at a zoom below 0.58. Within WIDTH and HEIGHT they open at 0.6 in a window of 1280 x 800.
"""

from __future__ import annotations

from dataclasses import dataclass

from .graph import GAP, HEAD, NOTE, TITLE, Graph, Node

WIDTH, HEIGHT = 1580, 980  # of all nodes with their title bars (px)
WIDER, HIGHER = 70, 200  # how much a node is stretched at most where there is room (px)
STRETCHED = {"CLIPTextEncode", "Face2DiffusionTextEncode", "SaveImage", "FlashFaceRegion"}
TOP = HEAD - TITLE  # of the first title bar in a group
# The share of the window that the front end fits the nodes into, with this much around them (px).
SHARE, MARGIN, WINDOW = 0.75, 10, (1280, 800)


@dataclass(frozen=True)
class Part:
    """A group of the workflow: its title, and its columns of nodes."""

    title: str
    columns: tuple[list[Node], ...]


def part(title: str, *columns: list[Node]) -> Part:
    """A group of these columns."""
    return Part(title, columns)


def place(graph: Graph, *stacks: list[Part | Node]) -> None:
    """Place stacks of groups side by side; a note stands alone or below the groups of its stack.

    Nodes 2.0 draws a note at the height of its text: nothing may lie below it. Nodes become wider
    and higher than they have to be where there is room.
    """
    columns = [column for stack in stacks for block in stack for column in _columns(block)]
    spare = WIDTH - _stand(graph, stacks)
    abreast = sum(max(len(_columns(block)) for block in stack) for stack in stacks)
    wider = max(0, min(WIDER, spare // abreast))
    for column in columns:
        for node in column:
            node.size = (node.size[0] + wider, node.size[1])
    for stack in stacks:
        for column in _columns(stack[-1]):
            _stretch(column)
    graph.groups.clear()
    _stand(graph, stacks)


def collapse(*nodes: Node) -> None:
    """Show these nodes as their title bars: what they do needs no change."""
    for node in nodes:
        node.collapsed = True


def zoom(boxes: list[tuple[float, float, float, float]]) -> float:
    """The zoom at which the dialog opens nodes of these frames (left, top, right, bottom)."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    extents = max(rights) - min(lefts), max(bottoms) - min(tops)
    return min(SHARE * size / (x + 2 * MARGIN) for size, x in zip(WINDOW, extents, strict=True))


def _columns(block: Part | Node) -> tuple[list[Node], ...]:
    return ([block],) if isinstance(block, Node) else block.columns


def _stand(graph: Graph, stacks: tuple[list[Part | Node], ...]) -> int:
    """Give every node its place; the width of all."""
    x = 0
    for stack in stacks:
        right = y = 0
        for block in stack:
            if isinstance(block, Part):
                left, top, width, height = graph.group(block.title, x, y, *block.columns).bounds
                right, y = max(right, left + width), top + height + GAP
                continue
            block.size = (max(block.size[0], right - x), block.size[1])
            block.pos = (x, max(y, TOP) + TITLE)
            right = x + block.size[0]
        x = right + GAP
    nodes = [node for stack in stacks for block in stack for c in _columns(block) for node in c]
    return max(node.pos[0] + node.size[0] for node in nodes) - min(node.pos[0] for node in nodes)


def _stretch(column: list[Node]) -> None:
    last = column[-1]
    spare = TOP + HEIGHT - last.pos[1] - last.height
    able = [node for node in column if node.type in {*STRETCHED, NOTE} and not node.collapsed]
    for node in able:
        higher = spare // len(able)
        limit = higher if node.type == NOTE else HIGHER
        node.size = (node.size[0], node.size[1] + max(0, min(higher, limit)))
