"""What a FaceSnap model's file says of itself: kind, version, base, encoders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import one_line, shown
from ..files.weights import CheckpointError, Shape
from .drawing import VERSION as DRAWING
from .encoder import MAP_NAME, NAME
from .landmarks import VERSION as LANDMARKS

KEY, CONFIG, VERSION = "facesnap", "facesnap.config", "1"
BASES = {"sd15": "SD1.5", "sdxl": "SDXL", "small": "the small model of Load FlashFace Demo"}
ARCFACE = "arcface-512"
FACE_ENCODERS = (NAME, ARCFACE)
LARGEST = 10**9
MIXER = "mixer.queries"
LONGEST = 100_000  # letters of a config

OTHERS = {
    "facesnap_landmarks": "a landmark model. Choose it in Load Landmark Model (FaceSnap)",
    "facesnap_identity": "a saved identity. Choose it in Load Identity (FaceSnap)",
    "flashface_format": "a FlashFace model. Choose it in Load FlashFace Model",
    "flashface_reference": "a saved FlashFace reference. Choose it in Load Reference",
    "face2diffusion_identity": (
        "a saved Face2Diffusion identity. Choose it in Load Identity (Face2Diffusion)"
    ),
}
"""Other files of this pack by their metadata, and where they belong."""


@dataclass(frozen=True)
class Encoder:
    """What a file was trained with: name, width of a vector, vectors a picture, and which it was.

    fingerprint: of the weights that made the vectors, "" where nobody knows.
    """

    name: str
    width: int
    tokens: int = 1
    fingerprint: str = ""


@dataclass(frozen=True)
class Config:
    """base: of `BASES`. face, image: what gives f_id and f_clip."""

    base: str
    text_width: int
    face: Encoder
    image: Encoder
    data: str = ""
    steps: int = 0
    licence: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the small face encoder has to be in the file."""
        return self.face.name == NAME or self.image.name == MAP_NAME

    @property
    def title(self) -> str:
        """The base in words, such as "SD1.5 (text width 768)"."""
        return f"{BASES[self.base]} (text width {self.text_width})"


def metadata(config: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a file with these words about itself.

    config: {"base": "sd15" | "sdxl" | "small", "text_width", "face_encoder": {name, width,
    fingerprint}, "image_encoder": {name, width, tokens}, "landmarks", "drawing", "data", "steps",
    "licence"}. Raises CheckpointError for one that `open_model` would refuse.
    """
    found = {KEY: VERSION, CONFIG: json.dumps(dict(config))}
    read_config("The new file", found)
    return found


def check_kind(name: str, about: Mapping[str, str], shapes: Mapping[str, Shape]) -> None:
    """Raise CheckpointError for a file that is no FaceSnap model, or one of another version."""
    if KEY not in about and MIXER in shapes:
        raise CheckpointError(
            f"{name} has FaceSnap's weights, but not what they are for: another program has saved "
            "it without its metadata. Choose the original file."
        )
    if KEY not in about:
        other = next((what for key, what in OTHERS.items() if key in about), "")
        if not other and any("input_hint_block" in key for key in shapes):
            other = "a ControlNet. Choose it in Load ControlNet Model"
        if other:
            raise CheckpointError(f"{name} is no FaceSnap model, but {other}.")
        some = ", ".join(one_line(key, 60) for key in sorted(shapes)[:3]) or "no weights at all"
        raise CheckpointError(
            f"{name} is no FaceSnap model: its metadata lack {KEY!r}, and it has {some}. Choose a "
            "file that was trained by this project."
        )
    if about[KEY] != VERSION:
        raise CheckpointError(
            f"{name} is a FaceSnap model of version {shown(about[KEY], 20)}; this pack reads "
            f"version {VERSION}. Update ComfyUI-FlashFace."
        )


def read_config(name: str, about: Mapping[str, str]) -> Config:
    """The words of a file about itself; raises CheckpointError where they make no sense."""
    try:
        text = about.get(CONFIG, "")
        found = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{name} is damaged: what it says of itself ({CONFIG}) is no table of JSON. Copy or "
            "download it again."
        )
    face, image = (_encoder(name, found, kind) for kind in ("face_encoder", "image_encoder"))
    config = Config(
        _word(name, found, "base"),
        _number(name, found, "text_width"),
        face,
        image,
        one_line(found.get("data", "")),
        _number(name, found, "steps", least=0, default=0),
        one_line(found.get("licence", "")),
    )
    _check_known(name, config, found)
    return config


def _check_known(name: str, config: Config, found: Mapping[str, Any]) -> None:
    known = {
        "base": (config.base, tuple(BASES)),
        "face_encoder": (config.face.name, FACE_ENCODERS),
        "landmarks": (str(found.get("landmarks", LANDMARKS)), (LANDMARKS,)),
        "drawing": (str(found.get("drawing", DRAWING)), (str(DRAWING),)),
    }
    for key, (value, possible) in known.items():
        if value not in possible:
            raise CheckpointError(
                f"{name} was trained with {key} {shown(value, 60)}; this pack knows "
                f"{', '.join(possible)}. Update ComfyUI-FlashFace, or choose another file."
            )


def _encoder(name: str, found: Mapping[str, Any], kind: str) -> Encoder:
    about = found.get(kind)
    if not isinstance(about, dict):
        raise CheckpointError(
            f"{name} is damaged: its {CONFIG} has no {kind}, got {shown(about, 60)}. Copy or "
            "download it again."
        )
    return Encoder(
        _word(name, about, "name"),
        _number(name, about, "width"),
        _number(name, about, "tokens", default=1),
        one_line(about.get("fingerprint", "")),
    )


def _word(name: str, found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value:
        raise CheckpointError(
            f"{name} is damaged: {key!r} in its {CONFIG} should be a word, got {shown(value, 60)}. "
            "Copy or download it again."
        )
    return one_line(value, 80)


def _number(
    name: str, found: Mapping[str, Any], key: str, least: int = 1, default: int | None = None
) -> int:
    value = found.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
        raise CheckpointError(
            f"{name} is damaged: {key!r} in its {CONFIG} should be a whole number from {least} on, "
            f"got {shown(value, 60)}. Copy or download it again."
        )
    return value
