"""What a run made, in files of at most a given size, and back: weights in fp16, metrics, grids."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from .checkpoint import write_tensors

NOTES = ("metrics.jsonl", "config.json", "versions.json")
JUDGES = ("faces.safetensors", "pictures.safetensors", "*report*.json")
GRIDS = 3
NAME = "run.tar"


def pack(run: Path, out: Path, megabytes: float) -> list[Path]:
    """Write a run's results as OUT/run.tar.000 and so on; full states are left out."""
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{NAME}.*"):
        old.unlink()
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for path in sorted(run.glob("*.safetensors")):
            half = out / path.name
            _halve(path, half)
            tar.add(half, path.name)
            half.unlink()
        for folder in sorted(run.iterdir()) if run.exists() else ():
            notes = [folder / name for name in NOTES if (folder / name).exists()]
            notes += sorted(path for kind in JUDGES for path in folder.glob(kind))
            for path in (*notes, *sorted(folder.glob("grids/*.png"))[-GRIDS:]):
                tar.add(path, path.relative_to(run).as_posix())
    content, size = whole.getbuffer(), int(megabytes * 1e6)
    paths = []
    for number, start in enumerate(range(0, len(content), size)):
        paths.append(out / f"{NAME}.{number:03d}")
        paths[-1].write_bytes(content[start : start + size])
    return paths


def unpack(folder: Path, run: Path) -> None:
    """Put the pieces of a folder together in a run's folder; FileNotFoundError without any."""
    paths = sorted(folder.glob(f"{NAME}.*"))
    if not paths:
        raise FileNotFoundError(f"There are no pieces {NAME}.000 and so on in {folder}.")
    run.mkdir(parents=True, exist_ok=True)
    whole = io.BytesIO(b"".join(path.read_bytes() for path in paths))
    with tarfile.open(fileobj=whole) as tar:
        if hasattr(tarfile, "data_filter"):  # from Python 3.10.12 on
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(run)


def _halve(source: Path, target: Path) -> None:
    from safetensors import safe_open

    with safe_open(source, framework="pt") as file:
        metadata = {k: v for k, v in (file.metadata() or {}).items() if k != "format"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    halved = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    write_tensors(target, halved, metadata)
