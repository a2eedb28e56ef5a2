"""The embedded model: one person in several prompts, beside what it paints without FlashFace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from setup.comfy_server import ComfyServer
from setup.environment import SetupError
from setup.host import PACK, Host

from .graph import Prompt, nodes_of, read, set_inputs

sys.path.append(str(PACK))  # last: the core's folder knows no ComfyUI
from flashface_core.demo.folder import MANIFEST, WEIGHTS, demo_folder

PLAIN, OWN = "the model without FlashFace", "FlashFace"
PROMPTS = {
    OWN: "photo of a young woman with long red hair, close-up, on a beach, daylight, shirt",
    "as a child": "photo of a girl with long red hair, close-up, on a beach, daylight, shirt",
    "old": "photo of an old woman with long grey hair, close-up, on a beach, daylight, shirt",
    "with glasses": (
        "photo of a young woman with long red hair, glasses, close-up, on a beach, daylight, shirt"
    ),
}
ABOUT = (
    "Painted by the small model that comes with this pack: trained on rendered people only, at 128"
    " pixels. The person is rendered too, and the model has never seen her."
)
ABOUT_OWN_PHOTO = (
    "Painted by the small model that comes with this pack. It was trained on rendered people only,"
    "\nat 128 pixels, and has never seen a photograph: expect some of hair, skin and glasses, and\n"
    "no likeness. For real people FlashFace needs the authors' weights."
)


def is_there() -> bool:
    """Whether the checkout has the embedded model."""
    folder = demo_folder()
    return all((folder / name).is_file() for name in (*WEIGHTS, MANIFEST))


def texts_of(text: str | None) -> dict[str, str]:
    """Titles and prompts of the pictures with FlashFace: only one for a prompt of one's own."""
    return PROMPTS if text is None else {OWN: text}


def workflow(
    image: str | None, text: str | None, steps: int | None
) -> tuple[Prompt, dict[str, str]]:
    """The start template with a sampler for each picture, and title -> id of what saves it.

    image: a photo in the server's input folder, None for the template's own person.
    """
    prompt = read("1_start_here")
    if image is not None:
        person = nodes_of(prompt, "FlashFaceDemoPerson")[0]
        prompt[person] = {"class_type": "LoadImage", "inputs": {"image": image}}
    if steps is not None:
        set_inputs(prompt, "KSampler", steps=steps)
    samplers = {prompt[node]["inputs"]["model"][0]: prompt[node]["inputs"] for node in
                nodes_of(prompt, "KSampler")}  # fmt: skip
    guided = samplers.pop(nodes_of(prompt, "FlashFaceGuidance")[0])
    plain = next(iter(samplers.values()))
    clip = prompt[guided["positive"][0]]["inputs"]["clip"]
    vae = prompt[nodes_of(prompt, "VAEDecode")[0]]["inputs"]["vae"]
    for kind in ("KSampler", "VAEDecode", "ImageScale", "SaveImage"):
        for node in nodes_of(prompt, kind):
            del prompt[node]
    texts = texts_of(text)
    saved = {}
    for number, (title, words) in enumerate({PLAIN: texts[OWN], **texts}.items()):
        inputs = plain if title == PLAIN else guided
        saved[title] = _paint(prompt, f"{number}_", inputs, clip, vae, words)
    return prompt, saved


def _paint(
    prompt: Prompt, name: str, sampler: dict[str, Any], clip: Any, vae: Any, words: str
) -> str:
    """Add what paints one prompt; the id of what saves the picture."""
    text, sampled, decoded, saved = (
        f"{name}{part}" for part in ("text", "latent", "image", "file")
    )
    prompt[text] = {"class_type": "CLIPTextEncode", "inputs": {"clip": clip, "text": words}}
    prompt[sampled] = {"class_type": "KSampler", "inputs": {**sampler, "positive": [text, 0]}}
    prompt[decoded] = {"class_type": "VAEDecode", "inputs": {"samples": [sampled, 0], "vae": vae}}
    inputs = {"images": [decoded, 0], "filename_prefix": "FlashFace/try"}
    prompt[saved] = {"class_type": "SaveImage", "inputs": inputs}
    return saved


def photos_of(prompt: Prompt, image: Path | None) -> list[Path]:
    """The photos that the workflow looks at, as files."""
    if image is not None:
        return [image]
    given = prompt[nodes_of(prompt, "FlashFaceDemoPerson")[0]]["inputs"]
    start = f"{given['person'].replace(' ', '-')}-{given['age']}"
    return [demo_folder() / "people" / f"{start}-{i + 1}.webp" for i in range(given["photos"])]


def draw_sheet(
    host: Host, base: Path, server: ComfyServer, entry: Any, saved: dict[str, str],
    photos: list[Path], target: Path,
) -> None:  # fmt: skip
    """Write one picture of the photos and everything that was painted, with their titles."""
    panels: list[Any] = [["photos", [str(photo) for photo in photos]]]
    for title, node in saved.items():
        file = base / f"{node}.png"
        file.write_bytes(server.images(entry, node)[0])
        panels.append([title, [str(file)]])
    command = [str(host.python), str(Path(__file__).with_name("sheet.py")), str(target)]
    answer = subprocess.run([*command, json.dumps(panels)], capture_output=True, text=True)
    if answer.returncode:
        raise SetupError(f"The picture could not be put together:\n{answer.stderr[-2000:]}")
