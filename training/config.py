"""A run's settings: frozen dataclasses, filled from a TOML file and KEY=VALUE changes.

Defaults are the paper's recipe where the paper says something; recipes list only differences.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHOICES = {
    "network.init": ("copy", "zero"),
    "precision": ("fp32", "bf16"),
    "evaluate.precision": ("fp32", "bf16"),
}
FROM_ZERO = ("seed", "keep_every", "warmup", "steps", "half_blocks", "workers", "seconds")


class ConfigError(ValueError):
    """A setting that does not exist or has a wrong value; the text says which and what is right."""


@dataclass(frozen=True)
class Data:
    """Where pictures come from. Names are folders of sets; relative ones lie beside the runs.

    size: pixels of a target's side; face_size: of a reference's.
    """

    train: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    size: int = 768
    face_size: int = 224


@dataclass(frozen=True)
class Autoencoder:
    """TAESD's layout, of which `half_blocks` of three blocks at half size are trained.

    minutes: as in `Stage`. start: a file of an earlier run's autoencoder to begin with.
    """

    steps: int = 20_000
    minutes: float = 0.0
    batch: int = 8
    crop: int = 64
    lr: float = 5e-4
    lr_end: float = 1e-5
    warmup: int = 100
    half_blocks: int = 1
    noise: float = 0.05  # added to unit latents, so that near latents give near pictures
    start: str = ""


@dataclass(frozen=True)
class Network:
    """Sizes of the UNet and of ReferenceNet. init: of reference attention, "copy" or "zero".

    clip, vae: files of SD1.5's text encoder and VAE; empty: the run's own words and autoencoder.
    """

    width: int = 320
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    text_width: int = 768
    init: str = "copy"
    clip: str = ""
    vae: str = ""


@dataclass(frozen=True)
class Stage:
    """A diffusion stage, of the plain base or of FlashFace.

    minutes: where set, the stage ends by the clock, not after `steps`; see course.py.
    batch: pictures in all processes together. share: targets that share a reference set.
    snr: ceiling of the signal-to-noise weight, 0 for plain noise MSE. head_weight: of the loss
    inside the head's mask, outside 1. words_lr: of the learned token rows, 0 leaves them fixed.
    """

    steps: int = 50_000
    minutes: float = 0.0
    batch: int = 32
    share: int = 1
    lr: float = 2e-5
    lr_end: float = 2e-5
    words_lr: float = 0.0
    warmup: int = 500
    weight_decay: float = 0.01
    beta2: float = 0.999
    clip: float = 1.0
    ema: float = 0.9999
    snr: float = 0.0
    head_weight: float = 1.0
    drop_text: float = 0.1
    drop_region: float = 0.1
    drop_references: float = 0.1
    drop_both: float = 0.05
    references: int = 4  # at most; drawn uniformly from 1 on
    start: str = ""  # a file to start from: a UNet, or what this stage wrote; empty: the run's base


@dataclass(frozen=True)
class Judges:
    """Networks that tell who and what a painted picture shows (training/judges).

    train, held_out: sets of the splits `judges` and `judges-held-out`. face_size: pixels of a face
    crop. width, blocks: of the residual networks. seconds: a network's at most, 0 for no end but
    the steps'; the learning rate falls by whichever is nearer.
    """

    train: tuple[str, ...] = ("people/portraits-128/judges",)
    held_out: tuple[str, ...] = ("people/portraits-128/judges-held-out",)
    face_size: int = 96
    width: int = 48
    picture_width: int = 48
    blocks: int = 2
    dims: int = 128
    steps: int = 3000
    picture_steps: int = 1500
    batch: int = 256
    lr: float = 1e-3
    margin: float = 0.4
    scale: float = 32.0
    seconds: int = 0


@dataclass(frozen=True)
class Evaluate:
    """How `training.evaluate` paints held-out people: the settings of the start template.

    claims: numbers of docs/EVIDENCE.md. people: how many; map_people: of them, for the map of age
    against likeness over `strengths`, `guidances` and `launches`. repeat_to: of Encode Reference
    Faces; each reference counts once, as in training. batch: samples in one call of the UNet.
    steps: a divisor of 1000. judges: folder of the judges; empty: the run's own.
    """

    claims: tuple[int, ...] = (1, 2, 3, 6)
    people: int = 100
    map_people: int = 6
    references: int = 4
    repeat_to: int = 1
    strength: float = 1.0
    reference_guidance: float = 2.0
    launch: int = 1000
    strength_before_launch: float = 0.85
    cfg: float = 4.0
    rescale: float = 0.0
    steps: int = 20
    strengths: tuple[float, ...] = (0.7, 0.85, 1.2)
    guidances: tuple[float, ...] = (0.0, 1.0, 2.0, 3.2)
    launches: tuple[int, ...] = (750, 1000)
    batch: int = 256
    precision: str = "fp32"
    judges: str = ""


@dataclass(frozen=True)
class Config:
    """A whole run. precision: "fp32" or "bf16" (autocast over fp32 weights).

    workers: processes that draw batches ahead and read photos; 0: the training process itself.
    replay: steps as CUDA graphs; see replay.py.
    """

    run: str = "paper"
    seed: int = 0
    threads: int = 1
    workers: int = 0
    device: str = "cuda"
    replay: bool = False
    precision: str = "bf16"
    save_every: int = 1000
    keep_every: int = 10_000
    sample_every: int = 1000
    log_every: int = 100
    data: Data = field(default_factory=Data)
    autoencoder: Autoencoder = field(default_factory=Autoencoder)
    network: Network = field(default_factory=Network)
    base: Stage = field(default_factory=Stage)
    flashface: Stage = field(default_factory=Stage)
    judges: Judges = field(default_factory=Judges)
    evaluate: Evaluate = field(default_factory=Evaluate)


def load_config(path: Path, changes: Sequence[str] = (), kind: Any = Config) -> Any:
    """The settings of a recipe with KEY=VALUE changes, such as `base.steps=100`; a `kind`.

    Raises ConfigError for unknown names, with the nearest known one, and for wrong values.
    """
    table = _read_toml(path)
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigError(f"{change!r} is no KEY=VALUE; write for example run=try.")
        place = table
        *groups, name = key.split(".")
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{change!r}: {group} is a setting, and none lies below it.")
        place[name] = _value(text)
    return _fill(kind, table, "")


def as_json(config: Config) -> str:
    """The effective settings, to be kept with the run."""
    return json.dumps(dataclasses.asdict(config), indent=1)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef]
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The recipe {path} cannot be read: {error}.") from error


def _value(text: str) -> Any:
    """A value as in JSON; what is none is a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _fill(kind: type, table: dict[str, Any], where: str) -> Any:
    known = {entry.name: entry for entry in dataclasses.fields(kind)}
    values = {}
    for name, value in table.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.0)
            raise ConfigError(
                f"There is no setting {where}{name}; the nearest is {where}{near[0]}."
            )
        default = _default(known[name])
        if dataclasses.is_dataclass(default):
            if not isinstance(value, dict):
                raise ConfigError(f"{where}{name} is a group of settings, got {value!r}.")
            values[name] = _fill(type(default), value, f"{where}{name}.")
        else:
            values[name] = _checked(f"{where}{name}", value, default)
    return kind(**values)


def _default(entry: dataclasses.Field) -> Any:
    has_factory = entry.default_factory is not dataclasses.MISSING
    return entry.default_factory() if has_factory else entry.default  # type: ignore[misc]


def _checked(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple):
        value = tuple(value) if isinstance(value, list) else (value,)
        kind = type(default[0]) if default else str
        right = all(type(entry) is kind for entry in value)
    elif type(default) is float:
        right = type(value) in (int, float)
    else:
        right = type(value) is type(default)
    if not right:
        raise ConfigError(f"{name} is of the kind of {default!r}, got {value!r}.")
    if type(default) is float:
        value = _finite(name, value)
    if name in CHOICES and value not in CHOICES[name]:
        raise ConfigError(f"{name} is one of {', '.join(CHOICES[name])}, got {value!r}.")
    least = 0 if name.rpartition(".")[2] in FROM_ZERO else 1
    for number in value if isinstance(value, tuple) else (value,):
        if type(number) is int and number < least:
            raise ConfigError(f"{name} is {least} or more, got {number}.")
    return value


def _finite(name: str, value: float) -> float:
    try:
        number = float(value)
    except OverflowError:  # an integer that no float holds
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError(f"{name} is a finite number, got {value}.")
    return number
