"""Write README.md's section "What composes" from the marks on the tests: run it without arguments.

The tests mark themselves with `composes("LoRA", note="...")`, see tests/helpers/composes.py. Their
source is read, not run.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).absolute().parent.parent
TESTS = ROOT / "tests" / "integration"
README = ROOT / "README.md"
BEGIN = "<!-- made by scripts/composition_table.py from the tests -->"
END = "<!-- end of what composes -->"


class Row(NamedTuple):
    """Something that FlashFace meets in a graph. note: a limit, or what is said where it fails."""

    what: str
    note: str
    works: bool


def rows(files: Iterable[Path]) -> list[Row]:
    """The rows that test files declare, each once, in alphabetical order.

    Raises ValueError where a name or note is no literal, or two notes of a row differ.
    """
    found: dict[str, Row] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            row = _row(node, file)
            if row is None:
                continue
            old = found.setdefault(row.what, row)
            if row.note and old.note and row != old:
                raise ValueError(f"{file.name}: two notes for {row.what}")
            found[row.what] = row if row.note else old
    return sorted(found.values(), key=lambda row: row.what.lower())


def _row(node: ast.AST, file: Path) -> Row | None:
    kinds = {"composes": True, "does_not_compose": False}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None
    if node.func.id not in kinds:
        return None
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    texts = [value.value for value in given if isinstance(value, ast.Constant)]
    if len(texts) != len(given) or not 1 <= len(texts) <= 2:
        raise ValueError(f"{file.name}, line {node.lineno}: names and notes must be literals")
    return Row(str(texts[0]), str(texts[1]) if len(texts) == 2 else "", kinds[node.func.id])


def section(found: list[Row]) -> str:
    """The section's text: a list of what has no note, and a table of all the rest."""
    plain = [row.what for row in found if row.works and not row.note]
    lines = [
        "Each of these is proven by a test that compares numbers, in every order of the nodes, in "
        "the newest and the oldest supported ComfyUI on every change. Where *the pack itself* is "
        "named, its tests need the pack, and were run by hand in the newest one: "
        "[docs/COMPATIBILITY.md](docs/COMPATIBILITY.md) has the figures of real packs.",
        "",
        f"**Works**: {'; '.join(plain)}.",
        "",
        "| | mind |",
        "|---|---|",
    ]
    lines += [f"| {row.what} | {row.note} |" for row in found if row.works and row.note]
    lines += [f"| **does not work**: {row.what} | {row.note} |" for row in found if not row.works]
    return "\n".join(lines)


def updated(readme: str) -> str:
    """README's text with a fresh section. Raises ValueError where its place is missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md has no place for the table: {BEGIN} ... {END}")
    made = section(rows(sorted(TESTS.glob("test_*.py"))))
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main() -> int:
    """Write the section."""
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
