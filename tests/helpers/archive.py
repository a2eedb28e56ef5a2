"""The archive that ComfyUI's registry hands out, by comfy-cli's packing rules.

`comfy node pack` takes the files that git tracks, less what .comfyignore names (in .gitignore's
syntax), plus the `includes` of pyproject.toml. Where there is no git repository (or git refuses
it), the files that .gitignore does not name stand for the tracked ones.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

from host_pack import ROOT

IGNORE = str(ROOT / ".comfyignore")


def archive_files() -> list[str]:
    """The archive's files, relative to the pack, with forward slashes."""
    assert re.search(r"^includes = \[\]", project_text(), re.MULTILINE), "includes: pack them too"
    return sorted(project_files() - project_files("--ignored", "--exclude-from", IGNORE))


def project_files(*which: str) -> set[str]:
    """The files that git tracks here; `which`: options of git ls-files that choose among them."""
    tracked = _git("ls-files", "--cached")
    if tracked:
        return _git("ls-files", "--cached", *which)
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(["git", "init", "-q", "--bare", empty], check=True)
        here = ("--git-dir", empty, "--work-tree", str(ROOT))
        chosen = which or ("--exclude-standard",)
        return _git(*here, "ls-files", "--others", *chosen)


def project_text() -> str:
    """The text of pyproject.toml."""
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def project_value(name: str) -> str:
    """The value of a `name = "value"` line of pyproject.toml."""
    found = re.search(rf'^{re.escape(name)} = "(.*?)"', project_text(), re.MULTILINE)
    assert found, f"pyproject.toml has no {name}"
    return found.group(1)


def write_archive(file: Path) -> Path:
    """Pack the archive into a zip file."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in archive_files():
            archive.write(ROOT / name, name)
    return file


def _git(*arguments: str) -> set[str]:
    """The lines that git prints; none where it fails. Files that are deleted do not count."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    return {line for line in lines if (ROOT / line).is_file()}
