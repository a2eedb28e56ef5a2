"""Write the example workflows: `python3 scripts/make_workflows.py`.

Each is described once, below, and written in two formats: workflows/NAME.json for people (ComfyUI
lists it under Templates) and tests/workflows/NAME_api.json for the HTTP API. Node definitions come
from the real server, which is started for it. Pictures of them: scripts/draw_templates.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from setup.comfy_server import ComfyServer, ServerError
from setup.environment import SetupError, say
from setup.host import PACK, find_host
from templates import control as workflow_control
from templates import edits as workflow_edits
from templates import face2diffusion as workflow_face2diffusion
from templates import people as workflow_people
from templates import single as workflow_single
from templates import start as workflow_start
from templates.file import workflow
from templates.graph import Json
from templates.studio import Studio

WORKFLOWS: dict[str, Callable[[Studio], Studio]] = {
    "1_start_here": workflow_start.start_here,
    "flashface_basic": workflow_single.basic,
    "flashface_guided": workflow_single.guided,
    "flashface_age": workflow_single.age,
    "flashface_drawn_nodes_2": workflow_single.drawn,
    "flashface_several_references": workflow_people.several_references,
    "flashface_saved_person": workflow_people.saved_person,
    "flashface_two_people": workflow_people.two_people,
    "flashface_face_swap": workflow_edits.face_swap,
    "flashface_face_detail": workflow_edits.face_detail,
    "flashface_avatar_to_person": workflow_edits.avatar_to_person,
    "flashface_controlnet_lora": workflow_control.controlnet_lora,
    "face2diffusion_basic": workflow_face2diffusion.basic,
    "flashface_plus_face2diffusion": workflow_face2diffusion.plus,
}


def files(info: Json, names: Iterable[str] = WORKFLOWS) -> dict[Path, str]:
    """The files of some workflows, by their path relative to the pack, with their text."""
    found = {}
    for name in names:
        graph = WORKFLOWS[name](Studio(name, info))
        for path, data in (
            (Path("workflows", f"{name}.json"), workflow(graph)),
            (Path("tests", "workflows", f"{name}_api.json"), graph.prompt()),
        ):
            found[path] = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return found


def main() -> int:
    """Start the server, write the files; 0 on success."""
    try:
        host = find_host()
        with tempfile.TemporaryDirectory(prefix="flashface-workflows-") as base:
            say(f"asking ComfyUI {host.version} for its nodes ...")
            with ComfyServer(host, Path(base)) as server:
                info = server.object_info()
    except (SetupError, ServerError) as error:
        say(f"error: {error}")
        return 1
    for path, text in files(info).items():
        (PACK / path).parent.mkdir(parents=True, exist_ok=True)
        (PACK / path).write_text(text, encoding="utf-8", newline="\n")
        say(str(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
