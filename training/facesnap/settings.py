"""The settings of a FaceSnap run, read from a TOML file as those of other runs are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .. import host

LANDMARKS, ENCODER, CONTROL = "landmarks", "encoder", "control"
STAGES = (LANDMARKS, ENCODER, CONTROL)


@dataclass(frozen=True)
class Sets:
    """Sets of kind `poses` to train on and to measure with; names as in other recipes."""

    train: tuple[str, ...] = ("people/poses-128/train",)
    held_out: tuple[str, ...] = ("people/poses-128/held-out",)


@dataclass(frozen=True)
class Part:
    """A network's training. minutes: where set, it ends by the clock; see course.py."""

    steps: int = 6000
    minutes: float = 0.0
    batch: int = 64
    lr: float = 1e-3
    lr_end: float = 1e-5
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999


@dataclass(frozen=True)
class Landmarks(Part):
    """Landmark model and network. start: a file to go on from, whose model is kept as it is."""

    start: str = ""


@dataclass(frozen=True)
class Encoder(Part):
    """The face encoder: ArcFace over the people, and the renderer's numbers beside it."""

    width: int = 32
    dims: int = 128
    margin: float = 0.4
    scale: float = 32.0
    numbers: float = 0.5  # weight of the numbers' squared error
    weight_decay: float = 0.05


@dataclass(frozen=True)
class Control(Part):
    """Mixer and FFRNet on the frozen base.

    width, tokens, layers: of the mixer. head_weight: of errors inside the head's mask. id_weight:
    of 1 - cosine for samples of the batch's first `id_share`, whose t is at most `id_times`.
    different: share of samples whose reference is another photo than the target. predicted: share
    of hints made from the reference's shape. drop_*: as the paper's relatives do.
    """

    width: int = 160
    tokens: int = 8
    layers: int = 2
    lr: float = 3e-4
    snr: float = 5.0
    head_weight: float = 3.0
    id_weight: float = 0.1
    id_share: float = 0.25
    id_times: int = 250
    different: float = 0.8
    predicted: float = 0.5
    drop_identity: float = 0.1
    drop_text: float = 0.1
    drop_hint: float = 0.1
    drop_all: float = 0.02


@dataclass(frozen=True)
class Ablations:
    """Shorter trainings of the control stage with one thing changed each; see ablations.py."""

    steps: int = 2000
    minutes: float = 0.0
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Painting:
    """How held-out people are painted to be judged. pictures, seeds: of each condition."""

    pictures: int = 200
    seeds: int = 3
    steps: int = 20
    cfg: float = 4.0
    batch: int = 200
    judges: str = ""  # folder of the judges; empty: the run's own


@dataclass(frozen=True)
class FaceSnapConfig:
    """A whole run; names that other runs have too mean the same."""

    run: str = "facesnap-people"
    seed: int = 0
    threads: int = 1
    workers: int = 0
    device: str = "cpu"
    replay: bool = False
    precision: str = "fp32"
    save_every: int = 1000
    keep_every: int = 100_000
    sample_every: int = 1000
    log_every: int = 50
    data: Sets = field(default_factory=Sets)
    modes: tuple[int, ...] = (32, 32)  # of shape and of expression in the landmark model
    landmarks: Landmarks = field(default_factory=Landmarks)
    encoder: Encoder = field(default_factory=Encoder)
    control: Control = field(default_factory=Control)
    ablations: Ablations = field(default_factory=Ablations)
    painting: Painting = field(default_factory=Painting)


def run_folder(config: FaceSnapConfig) -> Path:
    """Where a run lies."""
    return host.runs_folder() / config.run
