"""README's section "What composes" says what the tests prove."""

from __future__ import annotations

from pathlib import Path

import composition_table
import pytest


def test_readme_is_what_the_marks_make() -> None:
    text = composition_table.README.read_text(encoding="utf-8")
    assert text == composition_table.updated(text), "stale: run scripts/composition_table.py"


def test_marks_become_rows(tmp_path: Path) -> None:
    file = tmp_path / "test_one.py"
    file.write_text(
        '@composes("B")\ndef test_b(): ...\n'
        '@does_not_compose("C", note="it says so")\ndef test_c(): ...\n'
        'ROWS = [pytest.param(1, marks=composes("a", "mind this"))]\n@composes("a")\ndef f(): ...\n'
    )
    found = composition_table.rows([file])
    assert found == [("a", "mind this", True), ("B", "", True), ("C", "it says so", False)]
    text = composition_table.section(found)
    assert "**Works**: B.\n" in text
    assert "| a | mind this |" in text and "| **does not work**: C | it says so |" in text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("composes(NAME)", "must be literals"),
        ('composes("a", "one")\ncomposes("a", "two")', "two notes for a"),
    ],
)
def test_marks_that_cannot_be_read_are_refused(source: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "test_one.py"
    file.write_text(source)
    with pytest.raises(ValueError, match=message):
        composition_table.rows([file])


def test_a_readme_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        composition_table.updated("# README")
