"""Takes a run's networks into the pack: python -m training.facesnap.embed RECIPE [KEY=VALUE ...]

Both files in fp16 beside the embedded FlashFace, for Load FaceSnap Demo.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from flashface_core.demo.folder import FACESNAP, FACESNAP_LANDMARKS, MANIFEST, demo_folder

from ..config import ConfigError, load_config
from ..embed import check_size, digest, write_half
from . import control, landmarks
from .settings import FaceSnapConfig, run_folder

SOURCES = {FACESNAP: control.EXPORT, FACESNAP_LANDMARKS: landmarks.EXPORT}
ABOUT = (
    "A small FaceSnap on the plain UNet of this demo, trained by this project on rendered people "
    "only. No weights of FaceSnap's authors are known."
)
LARGEST = 10_000_000  # bytes of both


def embed(config: FaceSnapConfig, target: Path | None = None) -> Path:
    """Write both files of a run into the demo's folder; the folder.

    Raises FileNotFoundError for exports that are not there, ValueError where they are too large.
    """
    target = target or demo_folder()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix="new-") as made:
        for name, source in SOURCES.items():
            write_half(run_folder(config) / source, Path(made, name))
        check_size(Path(made), SOURCES, LARGEST)
        for name in SOURCES:  # both or none
            Path(made, name).replace(target / name)
    note(target)
    return target


def note(target: Path) -> None:
    """Write into the demo's manifest, where there is one, what both files are."""
    path = target / MANIFEST
    if path.exists():
        known = json.loads(path.read_bytes())
        known["facesnap"] = {"about": ABOUT, "files": {n: digest(target / n) for n in SOURCES}}
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8", newline="\n")


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.facesnap.embed", description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="another folder than the pack's own")
    options = parser.parse_intermixed_args()
    try:
        folder = embed(load_config(options.config, options.changes, FaceSnapConfig), options.out)
    except (ConfigError, FileNotFoundError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"{folder}: {', '.join(SOURCES)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
