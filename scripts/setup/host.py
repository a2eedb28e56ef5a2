"""Find or prepare the host, a real ComfyUI with the Python that runs it.

In order: a ComfyUI around this pack (custom_nodes/<pack>), COMFYUI_PATH (with COMFYUI_PYTHON), else
one that is prepared once in the cache folder and reused. A ComfyUI of the user's is never changed.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .comfyui_source import DEFAULT_VERSION, SOURCES, is_comfyui, prepare_source
from .environment import (
    SetupError,
    cache_folder,
    is_ready,
    key_of,
    lock,
    make_venv,
    need_disk,
    pip,
    python_runs,
    read_stamp,
    requirement_lines,
    venv_python,
    write_stamp,
)
from .leftovers import note_use, remove_unused

PACK = Path(__file__).absolute().parents[2]
PACK_NAME = "ComfyUI-FlashFace"
# Installed before ComfyUI's own requirements: the newest torch and the newest torchaudio are built
# for different CUDA versions and do not import together.
TORCH = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
ALL_GB, ENV_GB = 12.0, 3.0


@dataclass(frozen=True)
class Host:
    """A ComfyUI and the interpreter that runs it; `prepared` when it is ours and not the user's."""

    root: Path
    python: Path
    version: str
    prepared: bool


def comfyui_around(pack: Path) -> Path | None:
    """The ComfyUI in whose custom_nodes folder `pack` lies, if any (links are tried both ways)."""
    for place in (pack.absolute(), pack.resolve()):
        if place.parent.name == "custom_nodes" and is_comfyui(place.parent.parent):
            return place.parent.parent
    return None


def comfyui_version(root: Path) -> str:
    """The version that ComfyUI at `root` says it has, or "unknown"."""
    text = (root / "comfyui_version.py").read_text(encoding="utf-8")
    found = re.search(r"__version__\s*=\s*[\"']([^\"']+)", text)
    return found.group(1) if found else "unknown"


def python_of(root: Path) -> Path:
    """The interpreter of the user's ComfyUI at `root`; raises SetupError when none is found."""
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        if not python_runs(Path(named)):
            raise SetupError(f"COMFYUI_PYTHON is {named}, and that does not run as a Python.")
        return Path(named)
    if importlib.util.find_spec("torch") is not None:
        return Path(sys.executable)
    portable = [folder / "python_embeded" / "python.exe" for folder in (root, root.parent)]
    places = [venv_python(root / "venv"), venv_python(root / ".venv"), *portable]
    for place in places:
        if place.exists() and python_runs(place):
            return place
    raise SetupError(
        f"ComfyUI is at {root}, but the Python that runs it was not found: {sys.executable} has no "
        f"torch, and there is none at {', '.join(map(str, places))}. Run this script with "
        "ComfyUI's Python, or set COMFYUI_PYTHON to it."
    )


def users_host() -> Host | None:
    """The user's own ComfyUI, around the pack or named by COMFYUI_PATH; None when there is none."""
    root = comfyui_around(PACK)
    named = os.environ.get("COMFYUI_PATH")
    if root is None and named:
        root = Path(named).expanduser().absolute()
        if not is_comfyui(root):
            raise SetupError(
                f"COMFYUI_PATH is {root}, and that is not a ComfyUI folder (main.py, "
                "comfyui_version.py and comfy/ were looked for). Correct it or unset it."
            )
    if root is None:
        return None
    return Host(root, python_of(root), comfyui_version(root), prepared=False)


def _prepare_torch(cache: Path) -> Path:
    # Not by the kernel's version or a virtual environment that this runs in: torch is the same.
    system = sys.platform, platform.machine(), *platform.libc_ver()
    key = key_of(*TORCH, platform.python_version(), sys.base_prefix, *system)
    base = cache / f"torch-{key}"
    ready = is_ready(base, key)
    if not ready:
        need_disk(cache, ALL_GB)
        python = make_venv(base)
        pip(python, "installing torch (several GB)", "install", "--no-cache-dir", *TORCH)
        write_stamp(base, {"key": key, "torch": TORCH[0]})
    _note(cache, "torch", base, made=not ready)
    return base


def _note(cache: Path, kind: str, folder: Path, made: bool) -> None:
    """Note what this checkout uses; a new set-up takes the place of those that nobody uses."""
    note_use(cache, PACK, kind, folder.name)
    if made:
        remove_unused(cache, kind, folder.name)


def _prepare_environment(cache: Path, base: Path, root: Path, version: str) -> Path:
    needs = [root / "requirements.txt", PACK / "requirements.txt"]
    lines = [requirement_lines(need.read_text(encoding="utf-8")) for need in needs]
    key = key_of(base.name, *("\n".join(block) for block in lines))
    folder = cache / f"env-{version}-{key}"
    ready = is_ready(folder, key)
    if not ready:
        need_disk(cache, ENV_GB)
        python = make_venv(folder, sees=base)
        pip(python, f"installing what ComfyUI {version} needs", "install", "-r", needs[0])
        if lines[1]:
            pip(python, "installing what this pack needs", "install", "-r", needs[1])
        write_stamp(folder, {"key": key, "comfyui": version})
    _note(cache, f"env-{version}", folder, made=not ready)
    return folder


def _prepare_tools(folder: Path, version: str) -> None:
    needs = [PACK / "requirements-dev.txt"]
    if version == DEFAULT_VERSION:  # training is tested there alone
        needs.append(PACK / "requirements-training.txt")
    lines = [line for need in needs for line in requirement_lines(need.read_text(encoding="utf-8"))]
    tools = key_of(*lines)
    stamp = read_stamp(folder) or {}
    if stamp.get("tools") != tools:
        files = [part for need in needs for part in ("-r", need)]
        pip(venv_python(folder), "installing the test tools", "install", *files)
        write_stamp(folder, {**stamp, "tools": tools})


def prepared_host(version: str = DEFAULT_VERSION, tools: bool = False) -> Host:
    """Prepare ComfyUI `version` in the cache folder, or reuse it there.

    `tools` adds requirements-dev.txt, and to the newest requirements-training.txt. Safe when
    several run at once; raises SetupError.
    """
    if version not in SOURCES:
        raise SetupError(f"ComfyUI {version} cannot be prepared; known: {', '.join(SOURCES)}.")
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with lock(cache / "setup.lock"):
            base = _prepare_torch(cache)
            root = prepare_source(cache, version, venv_python(base))
            folder = _prepare_environment(cache, base, root, version)
            if tools:
                _prepare_tools(folder, version)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"The set-up in {cache} failed: {error}. Check that the folder can be written and has "
            "room, or set FLASHFACE_CACHE to another one."
        ) from error
    return Host(root, venv_python(folder), version, prepared=True)


def find_host(version: str | None = None, tools: bool = False) -> Host:
    """The host to use: the user's ComfyUI, else (or when a `version` is named) a prepared one."""
    if sys.version_info < (3, 10):  # noqa: UP036 - run before anything could refuse it
        raise SetupError(f"Python 3.10 or newer is needed; this is {platform.python_version()}.")
    host = None if version else users_host()
    return host or prepared_host(version or DEFAULT_VERSION, tools)


def make_base_directory(folder: Path) -> Path:
    """Make `folder` a private --base-directory for ComfyUI that holds this pack alone."""
    nodes = folder / "custom_nodes"
    for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    link = nodes / PACK_NAME
    if os.path.lexists(link):
        if link.resolve() == PACK.resolve():
            return folder
        link.unlink() if link.is_symlink() else shutil.rmtree(link)
    try:
        link.symlink_to(PACK, target_is_directory=True)
    except OSError:
        # Windows without developer mode: symbolic links need a privilege, a copy does not.
        skip = shutil.ignore_patterns(".git", "__pycache__", "tests", ".*_cache")
        shutil.copytree(PACK, link, ignore=skip)
    return folder
