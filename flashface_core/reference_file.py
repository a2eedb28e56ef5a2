"""A reference kept as one small .safetensors, to be used again without VAE or photos.

The metadata entry `flashface_reference` holds the format's version. Person i has the tensors
`i.latents` (N, 4, h, w), `i.context` (1, T, C), `i.log_weights` (N,) and `i.weight` (), both
float64, and perhaps `i.thumbnails` (N, h, w, 3) uint8.
"""

import contextlib
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .errors import for_users
from .reference import Identity, Reference

FORMAT_KEY = "flashface_reference"
VERSION = 1
SUFFIX = ".safetensors"
NAME_BYTES = 180  # file systems allow 255, a counter and the suffix included
FORBIDDEN = '<>:"/\\|?*'
RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³]|CONIN\$|CONOUT\$)", re.IGNORECASE)
PARTS = ("latents", "context", "log_weights", "weight", "thumbnails")
LARGEST_BYTES = 256 * 1024**2  # thousands of faces
Tensors = dict[str, torch.Tensor]


@for_users
class ReferenceFileError(ValueError):
    """A saved reference, or a name for one, that cannot be used; the text says why."""


def checked_name(name: str) -> str:
    """The name as a file stem that every system takes: trimmed, in one Unicode form, no suffix.

    Raises ReferenceFileError for empty or very long names, folders, characters that a system
    forbids or does not show, and names that Windows keeps for devices.
    """
    stem = unicodedata.normalize("NFC", name).strip()
    if stem.lower().endswith(SUFFIX):
        stem = stem[: -len(SUFFIX)].rstrip()
    bad = sorted({c for c in stem if c in FORBIDDEN or not c.isprintable()})
    reason = ""
    if not stem.strip("."):
        reason = "it is empty"
    elif bad:
        shown = " ".join(c if c.isprintable() else f"U+{ord(c):04X}" for c in bad)
        reason = f"it contains {shown}, and folders are not possible here"
    elif stem[0] == "." or stem[-1] == ".":
        reason = "it starts or ends with a dot"
    elif RESERVED.fullmatch(stem.split(".")[0].rstrip()):
        reason = "Windows keeps it for a device"
    elif len(os.fsencode(stem)) > NAME_BYTES:
        reason = f"it is too long ({len(os.fsencode(stem))} bytes, at most {NAME_BYTES})"
    if reason:
        shown = name if len(name) <= 60 else name[:60] + "..."
        raise ReferenceFileError(
            f"A file cannot be saved as {shown!r}: {reason}. Use a plain name such as 'anna'."
        )
    return stem


def save_reference(reference: Reference, folder: str | Path, name: str) -> tuple[Path, bool]:
    """Write a reference into `folder`; its path, and whether a new file was made.

    Nothing is overwritten: where `name` is taken, name_00002 and so on is used, unless that file
    holds the very same reference. The file appears whole or not at all.
    Raises ReferenceFileError for a bad name or a folder that cannot be written.
    """
    stem = checked_name(name)
    content = save(_to_tensors(reference), {FORMAT_KEY: str(VERSION)})
    try:
        return write_without_overwriting(Path(folder), stem, content)
    except OSError as error:
        raise ReferenceFileError(
            f"The reference could not be saved in {folder}: {error}. Check that the folder can be "
            "written and its disk has room."
        ) from error


def load_reference(path: str | Path) -> Reference:
    """Read a reference that `save_reference` wrote, bit for bit the same, on the CPU.

    Raises ReferenceFileError for files that are damaged, foreign, or of a newer version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _foreign(path, f"it has {path.stat().st_size / 1024**2:.0f} MB")
        with safe_open(path, framework="pt", device="cpu") as file:
            _check_version(path, file.metadata() or {})
            names = list(file.keys())
            people = _people(path, names)
            return Reference(tuple(_identity(path, i, file) for i in range(people)))
    except (OSError, SafetensorError, UnicodeError) as error:
        raise ReferenceFileError(
            f"{path.name} cannot be read: {error}. It is damaged, cut off, or no safetensors file; "
            "save the reference again, or choose another one."
        ) from error


def content_key(path: Path) -> str:
    """Tell a saved file from one that took its name: by content, however quick the change was.

    A file that is too large to be one is told by size and time, and not read.
    """
    status = path.stat()
    if status.st_size > LARGEST_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _to_tensors(reference: Reference) -> Tensors:
    tensors: Tensors = {}
    for i, identity in enumerate(reference.identities):
        tensors[f"{i}.latents"] = identity.latents.contiguous()
        tensors[f"{i}.context"] = identity.context.contiguous()
        tensors[f"{i}.log_weights"] = torch.tensor(identity.log_weights, dtype=torch.float64)
        tensors[f"{i}.weight"] = torch.tensor(identity.weight, dtype=torch.float64)
        if identity.thumbnails is not None:
            tensors[f"{i}.thumbnails"] = identity.thumbnails.contiguous()
    # people may share a tensor (one negative prompt); safetensors wants each to own its memory
    return {name: tensor.clone() for name, tensor in tensors.items()}


def write_without_overwriting(folder: Path, stem: str, content: bytes) -> tuple[Path, bool]:
    """Write `stem`.safetensors, or stem_00002 and so on; its path, and whether it is new.

    A file of this name with the very same content is taken instead. The file appears whole or not
    at all. Raises OSError where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, half = tempfile.mkstemp(prefix=".saving-", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for path in _free_names(folder, stem):
            try:
                # creating it alone reserves the name, also against another ComfyUI
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                if path.is_file() and path.read_bytes() == content:
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


def _free_names(folder: Path, stem: str) -> Iterator[Path]:
    yield folder / (stem + SUFFIX)
    number = 2
    while True:
        yield folder / f"{stem}_{number:05d}{SUFFIX}"
        number += 1


def _check_version(path: Path, metadata: dict[str, str]) -> None:
    if FORMAT_KEY not in metadata:
        raise _foreign(path, f"its metadata lack {FORMAT_KEY!r}")
    version = metadata[FORMAT_KEY]
    if version != str(VERSION):
        raise ReferenceFileError(
            f"{path.name} is a saved reference of version {version[:20]!r}; this pack reads "
            f"version {VERSION}. Update the pack, or save the reference again with this one."
        )


def _people(path: Path, names: list[str]) -> int:
    """How many people the file holds; its tensor names have to be exactly theirs."""
    found = [re.fullmatch(r"(0|[1-9][0-9]{0,3})\.(\w+)", name) for name in names]
    count = 1 + max((int(match[1]) for match in found if match), default=-1)
    needed = {f"{i}.{part}" for i in range(count) for part in PARTS[:-1]}
    possible = needed | {f"{i}.thumbnails" for i in range(count)}
    if not count or needed - set(names) or set(names) - possible:
        odd = sorted(needed - set(names)) or sorted(set(names) - possible) or ["0.latents"]
        what = "lacks" if odd[0] not in names else "has an unknown tensor"
        raise _foreign(path, f"it {what} {odd[0][:60]!r}")
    return count


def _identity(path: Path, number: int, file: safe_open) -> Identity:
    parts: Tensors = {}
    for part in PARTS:
        name = f"{number}.{part}"
        if name in file.keys():
            # cloned: what is memory-mapped would fail when the file changes
            parts[part] = file.get_tensor(name).clone()
    count = len(parts["latents"]) if parts["latents"].ndim else 0
    for part, tensor in parts.items():
        if not _fits(part, tensor, count):
            form = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            raise _foreign(path, f"its '{number}.{part}' is {form} or has impossible values")
    return Identity(
        latents=parts["latents"],
        context=parts["context"],
        log_weights=tuple(parts["log_weights"].tolist()),
        weight=parts["weight"].item(),
        thumbnails=parts.get("thumbnails"),
    )


def _fits(part: str, tensor: torch.Tensor, count: int) -> bool:
    shape, dtype = tensor.shape, tensor.dtype
    if part == "thumbnails":
        right = dtype == torch.uint8 and len(shape) == 4 and (shape[0], shape[3]) == (count, 3)
    elif part == "latents":
        right = dtype == torch.float32 and len(shape) == 4 and shape[1] == 4
    elif part == "context":
        right = dtype.is_floating_point and len(shape) == 3 and shape[0] == 1
    else:
        right = dtype == torch.float64 and shape == (() if part == "weight" else (count,))
    return right and tensor.numel() > 0 and bool(torch.isfinite(tensor.double()).all())


def _foreign(path: Path, why: str) -> ReferenceFileError:
    return ReferenceFileError(
        f"{path.name} is not a saved FlashFace reference: {why}. Choose a file that Save "
        "Reference made."
    )
