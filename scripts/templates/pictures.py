"""Pictures of the example workflows, as the real front end draws them in a browser."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setup.browser import browser, load_workflow, open_comfyui, run_workflow
from setup.comfy_server import ComfyServer
from setup.environment import say
from setup.host import PACK

from .models import PICTURES

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL, README_WIDTH, MARGIN = (800, 500), 1400, 20
BACKGROUND = (31, 31, 31)
EDITORS = {"CreateBoundingBoxes", "CurveEditor"}  # drawn in Nodes 2.0, which these need
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
# One step of a small picture: what the nodes preview does not depend on it.
HURRY = """() => { for (const node of app.graph.nodes) for (const widget of node.widgets ?? []) {
  if (widget.name === "steps") widget.value = 1;
  if (node.type === "EmptyLatentImage" && widget.name !== "batch_size") widget.value = 128;
} }"""
# Stand-in weights give noise, which would say the wrong thing in a picture of the graph.
RESTORE = """workflow => { for (const node of app.graph.nodes) {
  if (node.type === "SaveImage") {
    app.nodeOutputs[node.id] = {};
    node.imgs = node.images = undefined;
  }
  const saved = workflow.nodes.find(n => n.id == node.id).widgets_values;
  if (["KSampler", "EmptyLatentImage"].includes(node.type)) {
    node.widgets = node.widgets.slice(0, saved.length);  // without the text of the run
    node.widgets.forEach((widget, i) => widget.value = saved[i]);
  }
} }"""


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


def save_thumbnail(graph: Image, file: Path) -> None:
    """Fit a drawn graph into THUMBNAIL."""
    from PIL import Image, ImageOps

    fitted = ImageOps.pad(graph, THUMBNAIL, Image.Resampling.LANCZOS, color=BACKGROUND)
    fitted.save(file, quality=88, optimize=True)


def save_placeholder(file: Path) -> None:
    """Draw a head and shoulders: a thumbnail shows nobody's photo."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (512, 512), (64, 72, 84))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((176, 96, 336, 290), fill=(150, 160, 174))
    pen.ellipse((86, 330, 426, 690), fill=(150, 160, 174))
    picture.save(file)


def save_photo(file: Path) -> None:
    """Write the photo of Eileen Collins (NASA, public domain) that scikit-image brings."""
    from PIL import Image
    from skimage import data

    Image.fromarray(data.astronaut()).save(file)


def draw(server: ComfyServer, base: Path, names: list[str]) -> None:
    """Draw the workflows of these names; without names every one, and the basic one after a run."""
    for name in PICTURES:
        save_placeholder(base / name)
        server.upload_image(base / name)
    with browser() as running:
        for file in sorted((PACK / "workflows").glob("*.json")):
            if names and file.stem not in names:
                continue
            workflow = json.loads(file.read_text(encoding="utf-8"))
            modern = not EDITORS.isdisjoint(node["type"] for node in workflow["nodes"])
            page = open_comfyui(running, server.url, modern=modern)
            load_workflow(page, workflow)
            save_thumbnail(draw_graph(page), file.with_suffix(".jpg"))
            say(str(file.with_suffix(".jpg").relative_to(PACK)))
            page.close()
        if not names:
            save_photo(base / PICTURES[0])
            server.upload_image(base / PICTURES[0])
            draw_run(open_comfyui(running, server.url))


def draw_run(page: Any) -> None:
    """Draw the basic workflow with the previews of a run."""
    workflow = json.loads((PACK / "workflows/2_new_picture_simplest.json").read_text("utf-8"))
    load_workflow(page, workflow)
    page.evaluate(HURRY)
    run_workflow(page)
    page.evaluate(RESTORE, workflow)
    graph = draw_graph(page)
    graph.thumbnail((README_WIDTH, graph.height))
    target = PACK / "docs/images/flashface_basic.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    graph.save(target, optimize=True)
    say(str(target.relative_to(PACK)))
