"""A release needs a tag, a version and a changelog that agree; broken workflows are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract import frozen
from host_pack import ROOT
from node_diff import additions, contract_at
from release_notes import ReleaseError, notes, project_version, release_notes

CHANGELOG = """# Changelog
## [Unreleased]
- later

## [1.2.0] - 2026-03-01
### Added
- this

## [1.1.0] - 2026-02-01
- before
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_notes_are_the_section_of_the_version(project: Path) -> None:
    assert release_notes("v1.2.0", project) == "### Added\n- this"
    assert notes(CHANGELOG, "1.1.0") == "- before"


def test_a_tag_of_another_version_is_refused(project: Path) -> None:
    with pytest.raises(ReleaseError, match=r"The tag is v1\.3\.0, but .* makes it v1\.2\.0"):
        release_notes("v1.3.0", project)


def test_a_version_without_notes_is_refused() -> None:
    with pytest.raises(ReleaseError, match=r'no section "## \[1\.3\.0\]'):
        notes(CHANGELOG, "1.3.0")


def test_the_version_is_in_one_place() -> None:
    assert project_version((ROOT / "pyproject.toml").read_text())
    for name in ("__init__.py", "nodes/__init__.py", "flashface_core/__init__.py"):
        assert "__version__" not in (ROOT / name).read_text()


def test_additions_are_named() -> None:
    new = frozen()
    old = {**new, "FlashFaceApply": {**new["FlashFaceApply"], "inputs": {}}}
    del old["FlashFaceRegion"]
    found = additions(old, new)
    assert "FlashFaceRegion is new" in found and "FlashFaceApply.inputs.strength is new" in found
    assert additions(new, new) == []


def test_a_commit_without_a_contract_has_an_empty_one(tmp_path: Path, monkeypatch) -> None:
    import subprocess

    import node_diff

    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    monkeypatch.setattr(node_diff, "PACK", tmp_path)
    monkeypatch.setattr(node_diff, "FILE", tmp_path / "contract.json")
    assert contract_at("HEAD") == {}
    with pytest.raises(subprocess.CalledProcessError):
        contract_at("nowhere")
