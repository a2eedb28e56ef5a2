"""Deletes set-ups in the cache folder that nobody can ask for any more.

Every checkout notes which set-up of a kind it uses ("env-0.30.0" -> "env-0.30.0-2ff2bd15d0f5").
When one is made anew, those of its kind go that no checkout on this disk has noted. A checkout
that never wrote a note only has its set-up made again.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from .environment import lock, remove, say

NOTES = "used_by.json"


def note_use(cache: Path, pack: Path, kind: str, name: str) -> None:
    """Note that the checkout `pack`, run by this Python, uses the set-up `name` of a kind."""
    # Under a lock of its own: set-ups of different kinds hold different ones.
    with lock(cache / "used_by.lock"):
        _note(cache, pack, kind, name)


def _note(cache: Path, pack: Path, kind: str, name: str) -> None:
    notes = _read(cache)
    mine = notes.setdefault(_user(pack), {})
    if mine.get(kind) == name:
        return
    mine[kind] = name
    notes = {user: use for user, use in notes.items() if _exists(user)}
    half = cache / (NOTES + f".{os.getpid()}.half")
    half.write_text(json.dumps(notes, indent=1), encoding="utf-8")
    half.replace(cache / NOTES)


def remove_unused(cache: Path, kind: str, keep: str) -> list[str]:
    """Delete the set-ups of a kind that no checkout uses, except `keep`, and say so; their names.

    Call it under the set-up's lock. What cannot be deleted (a file in use) stays for the next time.
    """
    notes = _read(cache)
    used = {keep} | {use.get(kind, "") for user, use in notes.items() if _exists(user)}
    removed = []
    for folder in sorted(cache.glob(f"{kind}-*")):
        ours = re.fullmatch(rf"{re.escape(kind)}-[0-9a-f]{{12}}", folder.name)
        if ours is None or folder.name in used:
            continue
        say(f"removing {folder.name}, which no checkout uses any more ...")
        try:
            remove(folder)
        except OSError as error:
            say(f"  it could not be removed: {error}")
            continue
        removed.append(folder.name)
    return removed


def _user(pack: Path) -> str:
    # Another Python makes set-ups of its own: one checkout may take turns with two.
    return json.dumps([str(pack), sys.base_prefix])


def _exists(user: str) -> bool:
    return all(os.path.isdir(path) for path in json.loads(user))


def _read(cache: Path) -> dict[str, dict[str, str]]:
    try:
        notes = json.loads((cache / NOTES).read_text(encoding="utf-8"))
        return {user: use for user, use in notes.items() if len(json.loads(user)) == 2}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
