"""The set-up's groundwork: cache folder, inter-process lock, stamps, virtual environments, pip.

A folder counts as ready only when its stamp, written last, says what it was made from. Anything
else (killed half way, changed inputs, a python that was removed) is deleted and made again.
Standard library only; Linux, macOS and Windows.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import locale
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

STAMP = "ready.json"
PROGRESS_SECONDS = 10.0
# What a caller may have set that would lead pip or Python out of the environment being made.
LEAKING = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
# Handles of the locks held now. Children inherit them: the lock of a killed parent holds until the
# pip that it started has ended too, and no second set-up works in the same folder.
_held: list[int] = []


class SetupError(RuntimeError):
    """The set-up cannot go on; the message says what happened and what to do."""


def say(text: str) -> None:
    """Print one line of progress at once, also when the output is a pipe."""
    print(text, flush=True)


def cache_folder() -> Path:
    """The per-user folder of everything that the scripts prepare (FLASHFACE_CACHE overrides it)."""
    given = os.environ.get("FLASHFACE_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "comfyui-flashface"


def key_of(*parts: str) -> str:
    """Twelve hex digits that name what a folder was made from."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def write_stamp(folder: Path, content: dict[str, str]) -> None:
    """Mark `folder` as ready; the file appears whole or not at all."""
    half = folder / (STAMP + ".half")
    half.write_text(json.dumps(content, indent=1), encoding="utf-8")
    half.replace(folder / STAMP)


def read_stamp(folder: Path) -> dict[str, str] | None:
    """What `folder` was made from, or None when it is absent, unfinished or unreadable."""
    try:
        content = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def remove(folder: Path) -> None:
    """Delete what an earlier, unfinished set-up left (nothing there is fine)."""
    # Without its stamp a folder that is deleted only in part can never be taken for a ready one.
    with contextlib.suppress(FileNotFoundError):
        (folder / STAMP).unlink()
    if folder.exists():
        shutil.rmtree(folder)


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def lock(path: Path, poll_seconds: float = 0.5) -> Iterator[None]:
    """Hold an inter-process lock; the system frees it when its process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        start = told = time.monotonic()
        if not _try_lock(handle):
            say("waiting for another set-up to finish ...")
            while not _try_lock(handle):
                time.sleep(poll_seconds)
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    say(f"  still waiting for another set-up ({told - start:.0f} s)")
        _held.append(handle)
        yield
    finally:
        if handle in _held:
            _held.remove(handle)
        os.close(handle)


def need_disk(folder: Path, gigabytes: float) -> None:
    """Raise SetupError when the disk of `folder` has less than `gigabytes` GB free."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"{folder} has {free:.1f} GB free; the set-up needs {gigabytes:g} GB. Make room, or "
            "set FLASHFACE_CACHE to a folder on a larger disk."
        )


def run(command: Sequence[str | Path], what: str, advice: str) -> None:
    """Run `command`, telling about every ten seconds how far it is.

    Raises SetupError with its last lines and `advice` when it fails.
    """
    clean = {k: v for k, v in os.environ.items() if k not in LEAKING} | {"PIP_USER": "0"}
    last: deque[str] = deque(maxlen=15)
    start = time.monotonic()
    say(f"{what} ...")
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=clean,
        pass_fds=() if sys.platform == "win32" else tuple(_held),
    )
    stream = process.stdout
    assert stream is not None
    reader = threading.Thread(
        target=lambda: last.extend(line.strip() for line in stream), daemon=True
    )
    reader.start()
    try:
        while True:
            try:
                code = process.wait(PROGRESS_SECONDS)
                break
            except subprocess.TimeoutExpired:
                now = last[-1][:90] if last else ""
                say(f"  {time.monotonic() - start:4.0f} s  {now}")
    except BaseException:
        process.kill()
        process.wait()
        raise
    reader.join(5)
    if code:
        tail = "\n".join(f"    {line}" for line in last)
        raise SetupError(f"{what} failed (exit {code}). Its last lines:\n{tail}\n{advice}")
    say(f"  done in {time.monotonic() - start:.0f} s")


def venv_python(folder: Path) -> Path:
    """Where the interpreter of the virtual environment `folder` is."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def python_runs(python: Path) -> bool:
    """Whether `python` starts at all (a deleted or moved interpreter does not)."""
    try:
        return (
            subprocess.run([str(python), "-c", ""], capture_output=True, timeout=60).returncode == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def is_ready(folder: Path, key: str) -> bool:
    """Whether `folder` holds a finished virtual environment made from what `key` names."""
    stamp = read_stamp(folder)
    return stamp is not None and stamp.get("key") == key and python_runs(venv_python(folder))


def make_venv(folder: Path, sees: Path | None = None) -> Path:
    """Make an empty virtual environment at `folder` and return its interpreter.

    It also sees the packages of the environment `sees`; pip then takes them as installed.
    """
    remove(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run(
        [sys.executable, "-m", "venv", folder],
        f"making the virtual environment {folder.name}",
        "On Debian and Ubuntu the package python3-venv may be missing.",
    )
    python = venv_python(folder)
    if sees is not None:
        link = site_packages(python) / "flashface_base.pth"
        # Python reads it in the system's encoding, from 3.13 on in UTF-8 first.
        encoding = "utf-8" if sys.version_info >= (3, 13) else locale.getpreferredencoding(False)
        link.write_text(f"{site_packages(venv_python(sees))}\n", encoding=encoding)
    return python


def site_packages(python: Path) -> Path:
    """The folder into which pip of `python` installs."""
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return Path(answer.stdout.strip())


def pip(python: Path, what: str, *arguments: str | Path) -> None:
    """Run pip of `python`; SetupError in plain words when the network or the disk says no."""
    run(
        [python, "-m", "pip", "--no-input", "--disable-pip-version-check", *arguments],
        what,
        "If this is about the network: check the connection, a proxy (HTTPS_PROXY) or your pip "
        "configuration (pip config list), and start the same command again; what is finished "
        "already is kept. If it says 'No space left on device': make room, or set FLASHFACE_CACHE.",
    )


def requirement_lines(text: str) -> list[str]:
    """The requirements in `text` without comments and blank lines, in order."""
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]
