"""The main job in one command: `python3 scripts/try.py`, a photo of a person in, a picture out.

Finds or prepares ComfyUI and starts its real server with this pack alone. Where the authors'
weights are present it queues the guided workflow on scikit-image's astronaut photo. Else the model
that comes with the pack paints a person that it has never seen; where a checkout lacks that one
too, untrained stand-ins show that everything works together.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Windows' portable Python looks for modules in its own folders alone.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from setup.comfy_server import ComfyServer, ServerError
from setup.environment import SetupError, cache_folder, say
from setup.host import Host, find_host, make_base_directory
from standins import weights
from trial import full, small
from trial.graph import nodes_of

NOISE = (
    "No trained weights were found, so stand-ins were used: random numbers that nobody has trained."
    "\nThe picture is noise and shows only that every part works together."
)


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="FlashFace end to end in a real ComfyUI.")
    parser.add_argument("--prompt", help="what to paint (default: the workflow's)")
    parser.add_argument("--image", type=Path, help="a photo of a person of your own")
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


def output_file(wanted: Path | None) -> Path:
    """Where the picture goes: --output, else a new file in the cache folder."""
    if wanted is not None and wanted.suffix.lower() == ".png":
        file = wanted.absolute()
    else:
        folder = wanted or cache_folder() / "flashface_output"
        file = folder.absolute() / time.strftime("flashface_%Y%m%d-%H%M%S.png")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def paint(host: Host, base: Path, options: argparse.Namespace) -> tuple[Path, str]:
    """Run a workflow; the picture's path, and what there is to say about it."""
    make_base_directory(base)
    models = weights.models_folder(host)
    found, missing = weights.find_real(models)
    arguments = device_arguments(host)
    embedded = found is None and small.is_there()
    if found is not None:
        arguments += weights.use_real(models, base)
    elif not embedded:
        found = weights.use_standins(host, base)
    file = output_file(options.output)
    say(f"starting ComfyUI {host.version} ...")
    with ComfyServer(host, base, arguments) as server:
        say(f"  up at {server.url}")
        if embedded:
            paint_small(server, host, base, options, file)
        else:
            assert found is not None
            paint_full(server, host, base, options, file, found)
    return file, what_to_know(embedded, options, missing)


def paint_full(
    server: ComfyServer,
    host: Host,
    base: Path,
    options: argparse.Namespace,
    file: Path,
    found: weights.Weights,
) -> None:
    """Run the guided workflow on one photo and write its picture."""
    photo = options.image or base / "astronaut.png"
    if options.image is None:
        save_astronaut(host, photo)
    prompt = full.guided(found, server.upload_image(photo), options.prompt, options.steps)
    say("running the guided workflow ...")
    entry = server.queue(prompt, 3600, say_step)
    file.write_bytes(server.images(entry, nodes_of(prompt, "SaveImage")[0])[0])


def paint_small(
    server: ComfyServer, host: Host, base: Path, options: argparse.Namespace, file: Path
) -> None:
    """Paint one person in several prompts with the embedded model, and write them side by side."""
    image = server.upload_image(options.image) if options.image else None
    prompt, saved = small.workflow(image, options.prompt, options.steps)
    say(f"painting {len(saved)} pictures with the model that comes with the pack ...")
    entry = server.queue(prompt, 3600, say_step)
    photos = small.photos_of(prompt, options.image)
    small.draw_sheet(host, base, server, entry, saved, photos, file)


def say_step(step: str) -> None:
    """Say how far a sampling is."""
    say(f"  sampling step {step}")


def what_to_know(embedded: bool, options: argparse.Namespace, missing: list[str]) -> str:
    """What the picture is, and how to get a real one; nothing where it is one."""
    if not missing:
        return ""
    about = NOISE
    if embedded:
        about = small.ABOUT if options.image is None else small.ABOUT_OWN_PHOTO
    return (
        f"\n{about}\nFor pictures with the authors' model, put\n  " + "\n  ".join(missing) + "\n"
        "and run this command again. (FLASHFACE_MODELS names another models folder.)"
    )


def main() -> int:
    """Run the main job; 0 when a picture was made."""
    options = read_options()
    start = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="flashface-try-"))
    try:
        host = find_host(options.comfyui)
        ready = time.monotonic()
        file, about = paint(host, base, options)
    except (SetupError, ServerError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    finally:
        shutil.rmtree(base, ignore_errors=True)
    say(f"done: set-up {ready - start:.0f} s, picture {time.monotonic() - ready:.0f} s\n{file}")
    if about:
        say(about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
