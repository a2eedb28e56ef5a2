"""Graphs as the real front end draws them in a browser, for the help pages."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

MARGIN = 20
# Only the graph: none of the front end's bars, buttons and messages over it.
HIDE = """#graph-canvas-container > :not(canvas, .isolate, [data-testid=transform-pane]),
.no-drag, .p-toast, .comfyui-body > :not(#graph-canvas-container) { display: none !important }"""
# The frame around all nodes and groups; the canvas moves so that it begins in the corner.
PLACE = """margin => {
  const boxes = [
    ...app.graph.nodes.map(n => [n.pos[0], n.pos[1] - 30, n.size[0], n.size[1] + 30]),
    ...app.graph.groups.map(g => [g.pos[0], g.pos[1], g.size[0], g.size[1]]),
  ];
  const left = Math.min(...boxes.map(b => b[0])) - margin;
  const top = Math.min(...boxes.map(b => b[1])) - margin;
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [-left, -top];
  app.canvas.setDirty(true, true);
  return [Math.max(...boxes.map(b => b[0] + b[2])) + margin - left,
          Math.max(...boxes.map(b => b[1] + b[3])) + margin - top];
}"""


def draw_graph(page: Any) -> Image:
    """The whole graph at its full size, without the front end around it."""
    from PIL import Image

    width, height = page.evaluate(PLACE, MARGIN)
    page.set_viewport_size({"width": round(width), "height": round(height)})
    page.add_style_tag(content=HIDE)
    page.wait_for_timeout(1000)
    page.evaluate(PLACE, MARGIN)
    page.wait_for_timeout(1500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def save_photo(file: Path) -> None:
    """Write the photo of Eileen Collins (NASA, public domain) that scikit-image brings."""
    from PIL import Image
    from skimage import data

    Image.fromarray(data.astronaut()).save(file)
