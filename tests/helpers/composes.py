"""Marks tests as the proof that FlashFace works together with something.

README.md's section "What composes" is made of these marks by scripts/composition_table.py, which
reads them from the source: names and notes are literals.
"""

from __future__ import annotations

import pytest


def composes(what: str, note: str = "") -> pytest.MarkDecorator:
    """Mark a test, or a parameter, as the proof for a row. note: a limit that users should know."""
    return pytest.mark.composes(what, note)


def does_not_compose(what: str, note: str) -> pytest.MarkDecorator:
    """Mark a test of the sentence that a user gets. note: what it says, in short."""
    return pytest.mark.composes(what, note, works=False)
