"""Where the embedded default lies, and what to do where it does not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import for_users, reason

MANIFEST = "demo.json"
FLASHFACE, PLAIN, AUTOENCODER, WORDS = (
    *("flashface.npz", "plain.npz"),
    *("autoencoder.npz", "words.npz"),
)
WEIGHTS = (FLASHFACE, PLAIN, AUTOENCODER, WORDS)
FACESNAP, FACESNAP_LANDMARKS = "facesnap.npz", "facesnap-landmarks.npz"
PEOPLE = "people"


@for_users
class DemoError(ValueError):
    """A part of the embedded default that is not there or not usable; the text says what to do."""


def demo_folder() -> Path:
    """The pack's folder `demo`, or the one that FLASHFACE_DEMO names."""
    named = os.environ.get("FLASHFACE_DEMO")
    return Path(named) if named else Path(__file__).absolute().parents[2] / "demo"


def file_of(folder: Path, *parts: str) -> Path:
    """The path of a file of the demo; raises DemoError where it is not there."""
    path = folder.joinpath(*parts)
    if not path.is_file():
        raise DemoError(
            f"The embedded model is not complete: demo/{'/'.join(parts)} is not in this pack's "
            "folder. Update or reinstall ComfyUI-FlashFace (a git clone: git pull). To paint real "
            "people, use Load FlashFace Model with the authors' file instead."
        )
    return path


def stamps(folder: Path) -> list[tuple[str, int, int]]:
    """What changes when a file of the demo comes, goes or is replaced: (path, time, bytes)."""
    names = (*WEIGHTS, FACESNAP, FACESNAP_LANDMARKS, MANIFEST)
    files = [path for name in names if (path := folder / name).is_file()]
    return [(str(p), status.st_mtime_ns, status.st_size) for p in files for status in [p.stat()]]


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the demo's files are; raises DemoError where nobody can read it."""
    path = file_of(folder, MANIFEST)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DemoError(
            f"demo/{MANIFEST} cannot be read ({reason(error, path)}). Update or reinstall "
            "ComfyUI-FlashFace."
        ) from error
