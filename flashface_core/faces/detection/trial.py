"""A model file that was never opened before is opened first in a process of its own.

What is remembered of it is a hash of its content, in memory and in the user's cache folder, so
that each file is tried once on a machine. See `native` for what runs there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import file_name, one_line, reason
from .native import OPENING

log = logging.getLogger(__name__)

KILLED = "SIGKILL"

SCRIPT = Path(__file__).with_name("native.py")
VERSION = "1"  # of what a trial proves
SECONDS = 120  # and one more for every MB
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)
_known: dict[str, str] = {}
"""Key -> what is wrong with a file, "" for nothing."""


class TrialError(ValueError):
    """A file that would end this process, or take its memory; the text says what it did."""


def try_file(path: Path, kind: str, size: int, library: str) -> None:
    """Open a model file in another process, if that was never done.

    kind: "yunet" or "onnx". size: side of the pictures that it will see. library: name and version
    of what opens it. Raises TrialError where the process ended, or went beyond its memory (not
    limited on Windows and macOS) or time; OSError for a file that cannot be read.
    """
    status = path.stat()
    digest = _digest(path, status.st_size, status.st_mtime_ns)
    words = f"{VERSION} {kind} {size} {library} {sys.version_info[:2]} {digest}"
    key = hashlib.sha256(words.encode()).hexdigest()
    if key not in _known:
        fault = None if key in _kept() else _try(path, kind, size, status.st_size)
        if fault == "":
            _keep(key)
        if fault and KILLED in fault:  # perhaps the system took its memory: not so the next time
            raise TrialError(f"{fault}; the machine may lack memory: close programs, try again")
        _known[key] = fault or ""
    if _known[key]:
        raise TrialError(_known[key])


def _try(path: Path, kind: str, size: int, length: int) -> str | None:
    """What is wrong with the file, "" for nothing; None where it could not be tried."""
    python = _python()
    if python is None:
        log.debug("No Python to try %s with.", file_name(path))
        return None
    request = {
        # Python itself passes over entries that are no str, such as the Paths of other packs
        "sys_path": [entry for entry in sys.path if isinstance(entry, str)],
        "kind": kind,
        "path": str(path),
        "size": size,
        # the file's activations at this size, and a few copies of its weights
        "memory": (1 << 30) + 1024 * size**2 + 8 * length,
    }
    limit = SECONDS + length // 10**6
    try:
        done = subprocess.run(
            [python, "-I", str(SCRIPT)],
            input=json.dumps(request).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **ONE_THREAD},
            timeout=limit,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        if OPENING not in _lines(error.stdout):
            return _untried(path, f"Python was not ready there within {limit} seconds")
        return f"opening it takes more than {limit} seconds"
    except OSError as error:
        return _untried(path, reason(error))
    return _verdict(path, done)


def _verdict(path: Path, done: subprocess.CompletedProcess[bytes]) -> str | None:
    lines = _lines(done.stdout)
    try:
        answer: Any = json.loads(lines[-1])
    except (ValueError, IndexError):
        answer = None
    if isinstance(answer, dict) and "untried" in answer:
        return _untried(path, one_line(answer["untried"]))
    if isinstance(answer, dict):
        return str(answer.get("fault", ""))
    if OPENING not in lines:  # such as a Python that finds its library by PYTHONHOME alone
        return _untried(path, f"Python does not start there ({_ending(done.returncode)})")
    return f"it ends the process that opens it ({_ending(done.returncode)})"


def _lines(output: bytes | None) -> list[str]:
    return (output or b"").decode("utf-8", "replace").strip().splitlines()


def _untried(path: Path, why: str) -> None:
    log.warning("%s was not tried before it is opened: %s", file_name(path), why)


def _ending(code: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit code {code}"


def _python() -> str | None:
    """This Python's program; None inside of another program, which would start instead."""
    for program in (sys.executable, getattr(sys, "_base_executable", None)):
        if program and "python" in os.path.basename(program).lower() and os.path.isfile(program):
            return program
    return None


@lru_cache(maxsize=256)
def _digest(path: Path, length: int, changed: int) -> str:
    """SHA-256 of a file; length and changed: bytes and time in ns, which tell a new content."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _store() -> Path:
    """The file in the user's cache folder with a line for every file that was tried well."""
    given = os.environ.get("FLASHFACE_CACHE")
    if given:
        return Path(given) / "tried_models.txt"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "comfyui-flashface" / "tried_models.txt"


def _kept() -> set[str]:
    try:
        # Bytes that are no ASCII, as a crash or an editor leaves them, spoil their own line only.
        return set(_store().read_text(encoding="ascii", errors="replace").split())
    except (OSError, RuntimeError):  # also a user without a home
        return set()


def _keep(key: str) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # then it is tried again next time
        _store().parent.mkdir(parents=True, exist_ok=True)
        with _store().open("a", encoding="ascii") as file:
            file.write(f"\n{key}\n")  # the line before may be cut off
