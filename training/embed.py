"""Makes the embedded default of a finished run: python -m training.embed RECIPE [KEY=VALUE ...]

Writes the pack's folder demo/ (or the one of FLASHFACE_DEMO): the run's exports in fp16, photos of
eight held-out people, which are drawn where they are missing, and demo.json, which says what it is.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from flashface_core.demo import folder as demo
from flashface_core.demo.people import AGES, NAMES, PHOTOS
from flashface_core.files.packed import write_packed

from . import autoencoder, base, flashface, host, record, shards, stage
from .config import Config
from .places import PROJECT

SOURCES = {
    demo.FLASHFACE: flashface.EXPORT,
    demo.PLAIN: base.EXPORT,
    demo.AUTOENCODER: autoencoder.EXPORT,
    demo.WORDS: stage.WORDS,
}
LARGEST_WEIGHTS, LARGEST_PHOTOS = 35_000_000, 5_000_000  # bytes, together
PLANNED = {"people": "people_planned"}
TEMPLATE = PROJECT / "tests" / "workflows" / "1_start_here_api.json"
SETTINGS = {
    "FlashFaceApply": ("strength",),
    "FlashFaceGuidance": (
        *("reference_guidance", "launch_percent", "strength_before_launch", "rescale"),
    ),
    "KSampler": ("steps", "cfg", "sampler_name", "scheduler"),
}
ABOUT = (
    "A small FlashFace, trained by this project on rendered people only. It shows how the method "
    "works and is not for photos of real people. The photos are rendered too; nobody in them "
    "exists, and the models have never seen them."
)


def embed(config: Config) -> None:
    """Write the demo of a run.

    Raises FileNotFoundError for exports that are not there yet, ValueError where files are too
    large, or where the run has not all that a demo needs.
    """
    from .people.embedded import draw_people

    run, target = host.runs_folder() / config.run, demo.demo_folder()
    if config.network.clip or config.network.vae:
        raise ValueError(
            f"The run {config.run} has SD1.5's own text encoder or VAE (network.clip, network.vae),"
            " and the demo holds a text encoder and an autoencoder of its run's own."
        )
    target.mkdir(parents=True, exist_ok=True)
    photos = sorted(f"{demo.PEOPLE}/{name}" for name in draw_people(target / demo.PEOPLE))
    check_size(target, photos, LARGEST_PHOTOS)
    with tempfile.TemporaryDirectory(dir=target, prefix="new-") as made:
        for name, source in SOURCES.items():
            write_half(run / source, Path(made, name))
        check_size(Path(made), demo.WEIGHTS, LARGEST_WEIGHTS)
        for name in SOURCES:  # all of a model, or none
            Path(made, name).replace(target / name)
    files = {name: digest(target / name) for name in (*demo.WEIGHTS, *photos)}
    about = manifest(config, files)
    if (before := target / demo.MANIFEST).exists():  # what another command has written there stays
        known = json.loads(before.read_bytes())
        about |= {name: known[name] for name in ("facesnap",) if name in known}
    text = json.dumps(about, indent=1) + "\n"
    (target / demo.MANIFEST).write_text(text, encoding="utf-8", newline="\n")
    total = sum(file["bytes"] for file in files.values()) / 1e6
    sys.stdout.write(f"{target}: {total:.1f} MB in {len(files)} files\n")


def manifest(config: Config, files: dict[str, Any]) -> dict[str, Any]:
    """What demo.json says of the demo of a run."""
    from .people.dataset import RENDERER
    from .people.embedded import SEEDS, SIZE, YEARS

    run = host.runs_folder() / config.run
    return {
        "format": 1,
        "about": ABOUT,
        "size": config.data.size,
        "face_size": config.data.face_size,
        "photo_size": SIZE,
        "network": {"width": config.network.width, "multipliers": config.network.multipliers},
        "trained_on": {"sets": _sets(config, run.parent), **_seen(run / "flashface")},
        "steps": {name: _steps(run / name) for name in ("autoencoder", "base", "flashface")},
        "versions": _versions(run / "flashface"),
        "settings": read_settings(TEMPLATE),
        "people": {
            "names": NAMES,
            "seeds": SEEDS,
            "years": [YEARS[age] for age in AGES],
            "photos": PHOTOS,
            "renderer": RENDERER,
        },
        "files": files,
    }


def write_half(source: Path, target: Path) -> None:
    """Write a file of weights in fp16, with its metadata; single numbers and integers stay.

    Raises FileNotFoundError without the file, ValueError for a value that fp16 does not hold.
    """
    if not source.exists():
        raise FileNotFoundError(f"There is no {source}: finish the run's stages first.")
    tensors = {name: _half(name, tensor) for name, tensor in load_file(source).items()}
    write_packed(target, tensors, _metadata(source))


def _half(name: str, tensor: Tensor) -> Tensor:
    if not tensor.ndim or not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    if not torch.isfinite(half).all():
        raise ValueError(f"{name} has values that fp16 does not hold (up to {tensor.abs().max()}).")
    return half


def check_size(folder: Path, names: Any, largest: int) -> None:
    """Raise ValueError where files are larger together than `largest` bytes."""
    sizes = {name: (folder / name).stat().st_size for name in names}
    if sum(sizes.values()) > largest:
        parts = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.items())
        raise ValueError(
            f"{sum(sizes.values()) / 1e6:.1f} MB, and {largest / 1e6:.0f} MB may be embedded: "
            f"{parts}. Train a narrower network (network.width)."
        )


def read_settings(template: Path) -> dict[str, Any]:
    """The numbers of a workflow in API format that belong to the model that it was made for."""
    nodes = json.loads(template.read_text(encoding="utf-8")).values()
    return {
        name: node["inputs"][name]
        for kind, names in SETTINGS.items()
        for node in [next(node for node in nodes if node["class_type"] == kind)]
        for name in names
    }


def _metadata(source: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        return file.metadata() or {}


def _sets(config: Config, beside: Path) -> list[Any]:
    """What the sets that were trained on were to be; fewer people may have been drawn by then."""
    files = [path / "set.json" for path in shards.resolve(config.data.train, beside)]
    found = [json.loads(file.read_bytes())["settings"] for file in files if file.exists()]
    return [{PLANNED.get(name, name): value for name, value in one.items()} for one in found]


def _steps(folder: Path) -> int | None:
    """How many steps a stage did; None where it has left no metrics."""
    path = folder / record.METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return json.loads(lines[-1])["step"] if lines else None


def _seen(folder: Path) -> dict[str, int]:
    """How many people and photos a stage was trained on, by its metrics."""
    path = folder / record.METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    noted = [line for line in map(json.loads, lines) if "people" in line]
    return {name: noted[-1][name] for name in ("people", "photos")} if noted else {}


def _versions(folder: Path) -> dict[str, str]:
    path = folder / "versions.json"
    found = json.loads(path.read_bytes()) if path.exists() else {}
    return {name: version for name, version in found.items() if name != "commit"}


def digest(path: Path) -> dict[str, Any]:
    """Size and hash of a file, as the manifest has them."""
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


if __name__ == "__main__":
    sys.exit(host.run_stage("embed", (__doc__ or "").partition("\n")[0], embed))
