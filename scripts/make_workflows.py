"""Write the example workflows: `python3 scripts/make_workflows.py`.

Each is described once, below, and written in two formats: workflows/NAME.json for people (ComfyUI
lists it under Templates) and tests/workflows/NAME_api.json for the HTTP API. Blueprints, which the
node search offers, are written as subgraphs/NAME.json. Node definitions come from the real server,
which is started for it. Pictures of them: scripts/draw_templates.py.
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
from templates import chinese
from templates import control as workflow_control
from templates import edits as workflow_edits
from templates import face2diffusion as workflow_face2diffusion
from templates import facesnap as workflow_facesnap
from templates import people as workflow_people
from templates import single as workflow_single
from templates import start as workflow_start
from templates.blueprints import BLUEPRINTS
from templates.file import workflow
from templates.graph import NOTE, Json
from templates.studio import Studio
from templates.subgraph import blueprint

# Their names are all that the Templates dialog shows and searches.
WORKFLOWS: dict[str, Callable[[Studio], Studio]] = {
    "1_start_here": workflow_start.start_here,
    "2_new_picture_of_a_person": workflow_single.guided,
    "2_new_picture_simplest": workflow_single.basic,
    "3_save_a_person_and_reuse": workflow_people.saved_person,
    "3_several_photos_of_a_person": workflow_people.several_references,
    "4_as_a_child_and_in_old_age": workflow_single.age,
    "4_two_people": workflow_people.two_people,
    "5_avatar_or_drawing_to_photo": workflow_edits.avatar_to_person,
    "5_face_swap": workflow_edits.face_swap,
    "5_small_face_detail": workflow_edits.face_detail,
    "6_pose_and_lora_controlnet": workflow_control.controlnet_lora,
    "6_strength_curves_nodes_2": workflow_single.drawn,
    "7_face2diffusion": workflow_face2diffusion.basic,
    "7_face2diffusion_and_flashface": workflow_face2diffusion.plus,
    "8_facesnap_and_flashface": workflow_facesnap.with_flashface,
    "8_facesnap_pose_of_a_picture": workflow_facesnap.pose_of_a_picture,
    "8_facesnap_two_people": workflow_facesnap.two_people,
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
            found[path] = _text(data)
    return found


def blueprints(info: Json) -> dict[Path, str]:
    """The files of the blueprints, by their path relative to the pack, with their text."""
    found = {}
    for name, draw in BLUEPRINTS.items():
        graph = Studio(name, info)
        found[Path("subgraphs", f"{name}.json")] = _text(blueprint(graph, name, draw(graph)))
    return found


def translations(info: Json) -> dict[Path, str]:
    """The file of the workflows' Chinese texts, by its path relative to the pack, with its text."""
    notes = {}
    for name, draw in WORKFLOWS.items():
        graph = draw(Studio(name, info))
        english = next(node.inputs["text"] for node in graph.nodes if node.type == NOTE)
        notes[graph.uuid()] = {"english": english, "chinese": chinese.note(name)}
    return {Path("web", "templates_zh.json"): _text({"titles": chinese.titles(), "notes": notes})}


def _text(data: Json) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


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
    for path, text in {**files(info), **blueprints(info), **translations(info)}.items():
        (PACK / path).parent.mkdir(parents=True, exist_ok=True)
        (PACK / path).write_text(text, encoding="utf-8", newline="\n")
        say(str(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
