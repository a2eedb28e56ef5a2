"""Draw the pictures of the help pages: `python3 scripts/draw_help.py`.

Runs nodes on the real server and keeps what they preview, and draws pieces of the templates in a
browser: web/docs/images/*.jpg. The photo is NASA's of Eileen Collins (public domain).
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setup.browser import browser, load_workflow, open_comfyui
from setup.comfy_server import ComfyServer, ServerError
from setup.environment import SetupError, say
from setup.host import PACK, Host, comfyui_version, find_host
from templates.models import PICTURES, place_named
from templates.pictures import draw_graph, save_photo

if TYPE_CHECKING:
    from PIL.Image import Image

TARGET = PACK / "web" / "docs" / "images"
WIDEST, QUALITY, MARGIN = 720, 82, 14
PHOTO = PICTURES[0]
# What to draw of which template: a picture's name, the template, the types of the nodes on it.
PIECES = [
    ("apply", "2_new_picture_of_a_person", ("FlashFaceApply", "FlashFaceGuidance")),
    ("two_people", "4_two_people", ("FlashFaceApply",)),
    ("combine", "3_several_photos_of_a_person", ("FlashFaceCombineReferences",)),
]
# Where nodes of these types lie on the drawn graph, as left, top, right, bottom.
PLACES = """kinds => app.graph.nodes.filter(node => kinds.includes(node.type)).map(node => {
  const [x, y] = app.canvas.ds.offset;
  return [node.pos[0] + x, node.pos[1] + y - 30,
          node.pos[0] + x + node.size[0], node.pos[1] + y + node.size[1]];
})"""


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node of a prompt."""
    return {"class_type": kind, "inputs": inputs}


def prompt() -> dict[str, Any]:
    """Nodes with previews, by the names of their pictures, and what they need to run."""
    corners = {"x1": 0.3, "y1": 0.2, "x2": 0.6, "y2": 0.5}
    choice = {"order": "largest", "index": 0, "faces_per_image": 1, "if_no_face": "error"}
    crop = {"threshold": 0.6, "padding": 0.0, "level_eyes": True, "size": 224}
    detector = {"detector": "lbp", "provider": "auto", "detection_size": 640}
    numbers = {"strength": 1.2, "reference_guidance": 3.2, "launch_percent": 0.25}
    return {
        "photo": node("LoadImage", image=PHOTO),
        "detector": node("FlashFaceDetectorLoader", **detector),
        "crop": node(
            "FlashFaceCropFaces", image=["photo", 0], detector=["detector", 0], **choice, **crop
        ),
        "region": node("FlashFaceRegion", width=768, height=768, square=True, **corners),
        "schedule": node(
            "FlashFaceSchedule", preset="stable identity", strength_before_launch=0.85, **numbers
        ),
        "clip": node("CLIPLoader", clip_name="clip_l.safetensors", type="stable_diffusion"),
        "text": node("CLIPTextEncode", clip=["clip", 0], text="blurry"),
        "vae": node("VAELoader", vae_name="vae-ft-mse-840000-ema-pruned.safetensors"),
        "reference": node(
            "FlashFaceEncodeReference",
            **{"vae": ["vae", 0], "faces": ["crop", 0], "negative": ["text", 0], "repeat_to": 4},
        ),
        "saved": node("FlashFaceSaveReference", reference=["reference", 0], name="eileen"),
        "show region": node("MaskPreview", mask=["region", 0]),
        "show schedule": node("PreviewAny", source=["schedule", 0]),
    }


def save(picture: Image, name: str) -> None:
    """Write a small JPEG."""
    picture.thumbnail((WIDEST, 4 * WIDEST))
    picture.convert("RGB").save(TARGET / f"{name}.jpg", quality=QUALITY, optimize=True)
    say(f"web/docs/images/{name}.jpg")


def draw_previews(server: ComfyServer) -> None:
    """What the nodes show of themselves after a run."""
    from PIL import Image

    entry = server.queue(prompt())
    for name in ("crop", "region", "schedule", "saved"):
        save(Image.open(io.BytesIO(server.images(entry, name)[0])), name)


def draw_pieces(server: ComfyServer) -> None:
    """Pieces of the templates' graphs."""
    with browser() as running:
        for name, template, kinds in PIECES:
            page = open_comfyui(running, server.url)
            file = PACK / "workflows" / f"{template}.json"
            load_workflow(page, json.loads(file.read_text(encoding="utf-8")))
            graph = draw_graph(page)
            boxes = page.evaluate(PLACES, kinds)
            low = [min(box[i] for box in boxes) - MARGIN for i in (0, 1)]
            high = [max(box[i] for box in boxes) + MARGIN for i in (2, 3)]
            save(graph.crop((*map(round, low), *map(round, high))), name)
            page.close()


def main() -> int:
    """Draw with the host's Python, which has Playwright and Pillow; 0 on success."""
    try:
        if len(sys.argv) < 2:
            found = find_host(tools=True)
            return subprocess.run([str(found.python), __file__, str(found.root)]).returncode
        if importlib.util.find_spec("playwright") is None:
            raise SetupError(f"{sys.executable} has no Playwright: pip install playwright")
        from standins import flashface as standin

        root = Path(sys.argv[1])
        TARGET.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="flashface-help-") as folder:
            base = Path(folder)
            place_named(standin.standin_models(), base / "models")
            save_photo(base / PHOTO)
            host = Host(root, Path(sys.executable), comfyui_version(root), prepared=True)
            with ComfyServer(host, base) as server:
                server.upload_image(base / PHOTO)
                draw_previews(server)
                draw_pieces(server)
    except (SetupError, ServerError) as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
