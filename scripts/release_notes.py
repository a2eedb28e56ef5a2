"""The changelog's section of a version: `python3 scripts/release_notes.py v0.1.0`.

The release workflow calls this with the tag. It fails where pyproject.toml has another version or
CHANGELOG.md has no section for it, so that nothing is published by mistake.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACK = Path(__file__).absolute().parent.parent


class ReleaseError(RuntimeError):
    """The version is not ready to be released; the message says what to do."""


def project_version(pyproject: str) -> str:
    """The version in the text of a pyproject.toml, the only place that has it."""
    found = re.search(r'^version = "(\d+\.\d+\.\d+)"', pyproject, re.MULTILINE)
    if found is None:
        raise ReleaseError('pyproject.toml has no line like version = "1.2.3".')
    return found.group(1)


def notes(changelog: str, version: str) -> str:
    """The text below "## [version] - date". ReleaseError if there is none."""
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    found = re.search(heading + r"\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found.group(1).strip():
        raise ReleaseError(
            f'CHANGELOG.md has no section "## [{version}] - YYYY-MM-DD" with text. Rename '
            '"Unreleased" to it.'
        )
    return found.group(1).strip()


def release_notes(tag: str, pack: Path = PACK) -> str:
    """The notes of the release that `tag` ("v1.2.3") makes. ReleaseError if it does not fit."""
    version = project_version((pack / "pyproject.toml").read_text(encoding="utf-8"))
    if tag != f"v{version}":
        raise ReleaseError(f"The tag is {tag}, but pyproject.toml's version makes it v{version}.")
    return notes((pack / "CHANGELOG.md").read_text(encoding="utf-8"), version)


def main() -> int:
    """Print the notes of the tag that is given."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(release_notes(sys.argv[1]))
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
