"""Errors that people read: ComfyUI shows an error's type, with its module, before the message.

ComfyUI names a pack's modules after its folder, so that a type would be a whole path of the disk.
"""

from __future__ import annotations

import reprlib
from itertools import islice
from pathlib import PurePath
from typing import TypeVar

Kind = TypeVar("Kind", bound=type[Exception])


def for_users(kind: Kind) -> Kind:
    """Class decorator: the error shows as FlashFace.NAME."""
    kind.__module__ = "FlashFace"
    return kind


def one_line(text: object, longest: int = 160) -> str:
    """Words of somebody else in one line that any terminal and JSON can carry, cut where long.

    Names of files may hold line breaks, and bytes that are no UTF-8.
    """
    try:
        words = str(text)
    except Exception as error:  # such as integers of more digits than Python writes
        words = f"{type(text).__name__} ({type(error).__name__})"
    words = " ".join(words[: 4 * longest].split())
    words = words.encode("utf-8", "backslashreplace").decode("utf-8")
    words = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in words)
    return words if len(words) <= longest else words[: longest - 3] + "..."


class _Brief(reprlib.Repr):
    """Python's own short forms, but of anything: some values cannot be written at all."""

    def repr1(self, x: object, level: int) -> str:
        try:
            return super().repr1(x, level)
        except Exception as error:
            return f"<{type(x).__name__}, {type(error).__name__}>"

    def repr_dict(self, x: dict, level: int) -> str:
        """In the order that was given; Python's own sorts the keys."""
        if level <= 0 and x:
            return "{...}"
        pairs = islice(x.items(), self.maxdict)
        parts = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in pairs]
        return "{" + ", ".join(parts + ["..."] * (len(x) > self.maxdict)) + "}"


_BRIEF = _Brief()
_BRIEF.maxstring = _BRIEF.maxother = 120
_BRIEF.maxlong = 60
_BRIEF.maxlevel = 3


def shown(value: object, longest: int = 140) -> str:
    """What was given, as code would write it, short enough for a message."""
    return one_line(_BRIEF.repr(value), longest)


def file_name(path: PurePath) -> str:
    """The name of a file in a message, without its folders: those are nobody else's business."""
    return one_line(path.name, 120)


def reason(error: BaseException, path: PurePath | None = None) -> str:
    """Why something failed, in one line, without the folders of the file that it is about."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    lines = [line for line in text.strip().splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if isinstance(error, LookupError):  # its text is a bare key
        text = f"{type(error).__name__}: {text}"
    if path is not None:
        folder = str(path)[: -len(path.name)]
        for whole in (folder, repr(folder)[1:-1]):
            text = text.replace(whole, "") if whole else text
    return one_line(text)
