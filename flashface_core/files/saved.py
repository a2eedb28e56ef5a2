"""People kept as small .safetensors files: names, whole writes, content keys, versions.

What is inside is the methods' own business; these are the rules that all saved people share.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import struct
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from ..errors import file_name, for_users, one_line, reason, shown

SUFFIX = ".safetensors"
NAME_BYTES = 180  # file systems allow 255, a counter and the suffix included
FORBIDDEN = '<>:"/\\|?*'
RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)", re.IGNORECASE)
LARGEST_BYTES = 256 * 1024**2  # thousands of faces
Tensors = dict[str, torch.Tensor]


@for_users
class SavedFileError(ValueError):
    """A saved person, or a name for one, that cannot be used; the text says why."""


@dataclass(frozen=True)
class Format:
    """A kind of saved person. key: the metadata entry that holds the format's version.

    noun, title and node: "reference", "FlashFace reference", "Save Reference", for errors.
    """

    key: str
    version: int
    noun: str
    title: str
    node: str

    def foreign(self, path: Path, why: str) -> SavedFileError:
        """The error for a file that is something else."""
        return SavedFileError(
            f"{file_name(path)} is not a saved {self.title}: {why}. Choose a file that {self.node} "
            "made."
        )


FLASHFACE_REFERENCE = Format(
    "flashface_reference", 1, "reference", "FlashFace reference", "Save Reference"
)
FACE2DIFFUSION_IDENTITY = Format(
    "face2diffusion_identity", 1, "identity", "Face2Diffusion identity", "Save Identity"
)
FACESNAP_IDENTITY = Format(
    "facesnap_identity", 1, "identity", "FaceSnap identity", "Save Identity (FaceSnap)"
)
FORMATS = (FLASHFACE_REFERENCE, FACE2DIFFUSION_IDENTITY, FACESNAP_IDENTITY)


def save_person(
    format: Format,
    tensors: Tensors,
    folder: str | Path,
    name: str,
    listed: Sequence[str | Path] = (),
    about: Mapping[str, str] | None = None,
) -> tuple[Path, bool]:
    """Write a person's tensors into `folder`; the path, and whether a new file was made.

    about: more entries of the file's metadata, beside its version.

    Nothing is overwritten or hidden: where `name` is taken in `folder` or in one of the `listed`
    folders (all that are loaded from, the first ones first), name_00002 and so on is used, unless
    the file that would be loaded holds the very same content. It appears whole or not at all.
    Raises SavedFileError for a bad name or a folder that cannot be written.
    """
    stem = checked_name(name)
    # people may share a tensor (one negative prompt); safetensors wants each to own its memory
    owned = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
    content = _in_order(save(owned, {**(about or {}), format.key: str(format.version)}))
    if len(content) > LARGEST_BYTES:
        raise SavedFileError(
            f"The {format.noun} cannot be saved: it has {len(content) / 1024**2:.0f} MB, and files "
            f"of more than {LARGEST_BYTES / 1024**2:.0f} MB are not read. Use fewer faces."
        )
    try:
        return write_without_overwriting(Path(folder), stem, content, [Path(p) for p in listed])
    except OSError as error:
        raise SavedFileError(
            f"The {format.noun} could not be saved in {one_line(folder, 400)}: {reason(error)}. "
            "Check that the folder can "
            "be written and its disk has room."
        ) from error


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata sorted: safetensors writes them in any order."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    words = json.dumps(header, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 8)
    return struct.pack("<Q", len(words)) + words + content[8 + length :]


def within(tensor: torch.Tensor, largest: float) -> bool:
    """Whether all numbers of a tensor are finite, and none is further from 0 than `largest`."""
    return bool((tensor.double().abs() <= largest).all())


def tensor_words(tensor: torch.Tensor) -> str:
    """Its dtype and shape, such as float32 [4, 3]."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


@contextlib.contextmanager
def open_person(format: Format, path: Path) -> Iterator[safe_open]:
    """Open a file that `save_person` wrote, for reading inside the `with` block.

    Clone what is kept: memory-mapped tensors would fail when the file changes.
    Raises SavedFileError for files that are damaged, foreign, or of another version.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise format.foreign(path, f"it has {path.stat().st_size / 1024**2:.0f} MB")
        with safe_open(path, framework="pt", device="cpu") as file:
            _check_version(format, path, file.metadata() or {})
            yield file
    except SavedFileError:
        raise
    except Exception as error:  # also dtypes that this torch has not
        raise SavedFileError(
            f"{file_name(path)} cannot be read: {reason(error, path)}. It is damaged, cut "
            f"off, or no safetensors file; save the {format.noun} again, or choose another one."
        ) from error


def _check_version(format: Format, path: Path, metadata: dict[str, str]) -> None:
    if format.key not in metadata:
        kind = next((f"it is a {f.title}, " for f in FORMATS if f.key in metadata), "")
        raise format.foreign(path, f"{kind}its metadata lack {format.key!r}")
    version = metadata[format.key]
    if version != str(format.version):
        raise SavedFileError(
            f"{file_name(path)} is a saved {format.noun} of version {shown(version, 20)}; this "
            f"pack reads version {format.version}. Update the pack, or save the {format.noun} "
            "again with this one."
        )


def checked_name(name: str) -> str:
    """The name as a file stem that every system takes: trimmed, in one Unicode form, no suffix.

    Raises SavedFileError for empty or very long names, folders, characters that a system
    forbids or does not show, and names that Windows keeps for devices.
    """
    stem = unicodedata.normalize("NFC", name).strip()
    if stem.lower().endswith(SUFFIX):
        stem = stem[: -len(SUFFIX)].rstrip()
    bad = sorted({c for c in stem if c in FORBIDDEN or not c.isprintable()})
    why = ""
    if not stem.strip("."):
        why = "it is empty"
    elif bad:
        letters = " ".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in bad[:10])
        why = f"it contains {letters}, and folders are not possible here"
    elif stem[0] == "." or stem[-1] == ".":
        why = "it starts or ends with a dot"
    elif RESERVED.fullmatch(stem.split(".")[0].rstrip()):
        why = "Windows keeps it for a device"
    elif len(os.fsencode(stem)) > NAME_BYTES:
        why = f"it is too long ({len(os.fsencode(stem))} bytes, at most {NAME_BYTES})"
    if why:
        raise SavedFileError(
            f"A file cannot be saved as {shown(name, 66)}: {why}. Use a plain name such as 'anna'."
        )
    return stem


def write_without_overwriting(
    folder: Path, stem: str, content: bytes, listed: Sequence[Path] = ()
) -> tuple[Path, bool]:
    """Write `stem`.safetensors, or stem_00002 and so on; its path, and whether it is new.

    A name is free where neither `folder` nor the `listed` ones have it. Its first file with the
    very same content is taken instead. The file appears whole or not at all. Raises OSError where
    the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, half = tempfile.mkstemp(prefix=".saving-", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for name in _names(stem):
            path = folder / name
            holder = next((p / name for p in listed if os.path.lexists(p / name)), path)
            if _holds(holder, content):
                return holder, False
            if holder != path:
                continue
            try:
                # creating it alone reserves the name, also against another ComfyUI
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                if _holds(path, content):
                    return path, False
                continue
            try:
                os.chmod(half, path.stat().st_mode & 0o777)
                os.replace(half, path)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return path, True
        raise AssertionError("names never end")
    finally:
        with contextlib.suppress(OSError):
            os.unlink(half)


def _names(stem: str) -> Iterator[str]:
    yield stem + SUFFIX
    for number in itertools.count(2):
        yield f"{stem}_{number:05d}{SUFFIX}"


def _holds(path: Path, content: bytes) -> bool:
    try:
        same_size = path.is_file() and path.stat().st_size == len(content)
        return same_size and path.read_bytes() == content
    except OSError:  # another ComfyUI's folder may not be for reading
        return False


def content_key(path: Path) -> str:
    """Tell a saved file from one that took its name: by content, however quick the change was.

    A file that is too large to be one is told by size and time, and not read.
    """
    status = path.stat()
    if status.st_size > LARGEST_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()
