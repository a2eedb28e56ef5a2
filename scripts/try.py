"""The main job in one command: `python3 scripts/try.py`, a photo of a person in, a picture out.

Finds or prepares ComfyUI, starts its real server with this pack alone and queues the guided
workflow on scikit-image's astronaut photo. Real weights are used where present, else untrained
stand-ins.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from setup.comfy_server import ComfyServer, ServerError
from setup.environment import SetupError, cache_folder, say
from setup.host import PACK, Host, find_host, make_base_directory
from standins import weights

WORKFLOW = PACK / "tests" / "workflows" / "flashface_guided_api.json"
STANDIN_STEPS, STANDIN_SIZE = 4, 512
Prompt = dict[str, dict[str, Any]]


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="FlashFace end to end in a real ComfyUI.")
    parser.add_argument("--prompt", help="what to paint (default: the workflow's)")
    parser.add_argument("--image", type=Path, help="a photo of a person (default: an astronaut)")
    parser.add_argument("--output", type=Path, help="a folder, or a .png file")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the workflow's)")
    parser.add_argument("--comfyui", metavar="VERSION", help="a prepared ComfyUI of this version")
    options = parser.parse_args()
    if options.image is not None and not options.image.is_file():
        parser.error(f"--image {options.image}: there is no such file")
    if options.steps is not None and options.steps < 1:
        parser.error(f"--steps {options.steps}: at least 1 is needed")
    return options


def ask(host: Host, code: str, *arguments: str) -> str:
    """What `code` prints, run by the host's Python."""
    command = [str(host.python), "-c", code, *arguments]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise SetupError(f"{host.python} failed:\n{answer.stderr[-2000:]}")
    return answer.stdout.strip()


def device_arguments(host: Host) -> list[str]:
    """ComfyUI options for this machine's device: none where torch finds a GPU, else the CPU."""
    code = (
        "import torch; print(any(getattr(torch, n).is_available() for n in ('cuda', 'xpu', 'mps')"
        " if hasattr(torch, n) and hasattr(getattr(torch, n), 'is_available')))"
    )
    return [] if ask(host, code) == "True" else ["--cpu"]


def save_astronaut(host: Host, file: Path) -> None:
    """Write the photo of Eileen Collins (NASA, public domain) that scikit-image brings."""
    code = "import sys; from PIL import Image; from skimage import data; "
    ask(host, code + "Image.fromarray(data.astronaut()).save(sys.argv[1])", str(file))


def set_inputs(prompt: Prompt, kind: str, **inputs: Any) -> None:
    """Set `inputs` on every node of class `kind`; SetupError when the workflow has none."""
    nodes = [node for node in prompt.values() if node["class_type"] == kind]
    if not nodes:
        raise SetupError(f"{WORKFLOW} has no {kind} node.")
    for node in nodes:
        node["inputs"].update(inputs)


def fill_in(
    prompt: Prompt, found: weights.Weights, image: str, text: str | None, steps: int | None
) -> None:
    """Put models, photo, prompt text and step count into the workflow."""
    set_inputs(prompt, "FlashFaceModelLoader", model_name=found.flashface)
    set_inputs(prompt, "CLIPLoader", clip_name=found.clip, type="stable_diffusion")
    set_inputs(prompt, "VAELoader", vae_name=found.vae)
    set_inputs(prompt, "LoadImage", image=image)
    if not found.real:
        steps = steps or STANDIN_STEPS
        for kind in ("EmptyLatentImage", "FlashFaceRegion"):
            set_inputs(prompt, kind, width=STANDIN_SIZE, height=STANDIN_SIZE)
    if steps is not None:
        set_inputs(prompt, "KSampler", steps=steps)
    if text is not None:
        sampler = next(node for node in prompt.values() if node["class_type"] == "KSampler")
        prompt[sampler["inputs"]["positive"][0]]["inputs"]["text"] = text


def output_file(wanted: Path | None) -> Path:
    """Where the picture goes: --output, else a new file in the cache folder."""
    if wanted is not None and wanted.suffix.lower() == ".png":
        file = wanted.absolute()
    else:
        folder = wanted or cache_folder() / "flashface_output"
        file = folder.absolute() / time.strftime("flashface_%Y%m%d-%H%M%S.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def paint(host: Host, base: Path, options: argparse.Namespace) -> tuple[Path, list[str]]:
    """Run the workflow; the picture's path, and what is missing for real weights (or [])."""
    make_base_directory(base)
    models = weights.models_folder(host)
    found, missing = weights.find_real(models)
    arguments = device_arguments(host)
    if found is not None:
        arguments += weights.use_real(models, base)
    else:
        found = weights.use_standins(host, base)
    photo = options.image or base / "astronaut.png"
    if options.image is None:
        save_astronaut(host, photo)
    prompt: Prompt = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    say(f"starting ComfyUI {host.version} ...")
    with ComfyServer(host, base, arguments) as server:
        say(f"  up at {server.url}")
        image = server.upload_image(photo)
        fill_in(prompt, found, image, options.prompt, options.steps)
        say("running the guided workflow ...")
        entry = server.queue(prompt, 3600, lambda step: say(f"  sampling step {step}"))
        saved = [node for node, value in prompt.items() if value["class_type"] == "SaveImage"]
        pictures = server.images(entry, saved[0])
    file = output_file(options.output)
    file.write_bytes(pictures[0])
    return file, missing


def main() -> int:
    """Run the main job; 0 when a picture was made."""
    options = read_options()
    start = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="flashface-try-"))
    try:
        host = find_host(options.comfyui)
        ready = time.monotonic()
        file, missing = paint(host, base, options)
    except (SetupError, ServerError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    finally:
        shutil.rmtree(base, ignore_errors=True)
    say(f"done: set-up {ready - start:.0f} s, picture {time.monotonic() - ready:.0f} s\n{file}")
    if missing:
        say(
            "\nNo real weights were found, so stand-ins were used: random numbers that nobody has "
            "trained.\nThe picture is noise and shows only that every part works together. For a "
            "real one, put\n  " + "\n  ".join(missing) + "\nand run this command again. "
            "(FLASHFACE_MODELS names another models folder.)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
