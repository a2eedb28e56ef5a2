"""The stages of a FaceSnap run in their order, and what each leaves behind."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import host, record
from . import encoder, landmarks
from .bank import Bank, make_bank
from .base import Base, load_base
from .control import EXPORT, VARIANTS, Fidelity, Variant, export, load_fidelity, train
from .evidence import figures, verdicts_of
from .painting import BLACK, CONDITIONS, NOBODY, OTHER, OWN, PLAIN, make_plan, paint
from .photos import Photos, read_photos
from .settings import CONTROL, FaceSnapConfig, run_folder

SHOWN = 10  # pictures of a condition in the grid
ABLATED = (OWN, OTHER)


class Course:
    """A run's photos and frozen networks, each made when it is first asked for."""

    def __init__(self, config: FaceSnapConfig) -> None:
        host.enter(config.device == "cpu")
        host.start(config.threads)
        self.config, self.run = config, run_folder(config)

    @cached_property
    def photos(self) -> Photos:
        """Photos to train on."""
        return self._read(self.config.data.train, True)

    @cached_property
    def held_out(self) -> Photos:
        """Photos of people whom nothing is trained on."""
        return self._read(self.config.data.held_out, False)

    @cached_property
    def base(self) -> Base:
        """The embedded model's plain base."""
        return load_base().to(self.config.device)

    @cached_property
    def encoder(self) -> Any:
        """The trained face encoder."""
        return encoder.load_encoder(self.config)

    @cached_property
    def bank(self) -> Bank:
        """Of the photos to train on."""
        return make_bank(self.config, self.photos, self.base)

    @cached_property
    def tested(self) -> Bank:
        """Of the held-out photos."""
        return make_bank(self.config, self.held_out, self.base)

    def _read(self, names: Sequence[str], training: bool) -> Photos:
        from ..shards import resolve

        folders = resolve(names, host.runs_folder())
        return read_photos(folders, training, self.config.workers)


def train_landmarks(course: Course) -> None:
    """Landmark model and network."""
    landmarks.train(course.config, course.photos, course.held_out)


def train_encoder(course: Course) -> None:
    """Face encoder."""
    encoder.train(course.config, course.photos, course.held_out)


def train_control(course: Course) -> None:
    """Mixer and FFRNet."""
    _train(course, Variant(), course.run / CONTROL, course.run / EXPORT, course.config.control)


def train_ablations(course: Course) -> None:
    """The variants that the recipe names, and the whole at as many steps beside them."""
    for variant in _variants(course.config):
        short = course.config.ablations
        own = dataclasses.replace(course.config.control, steps=short.steps, minutes=short.minutes)
        folder = course.run / "ablations" / _name(variant)
        _train(course, variant, folder, folder / EXPORT, own)


def _train(course: Course, variant: Variant, folder: Path, path: Path, own: Any) -> None:
    net = train(course.config, course.bank, course.photos.owners(), course.base, course.encoder,
                variant, folder, own)  # fmt: skip
    export(path, net, course.encoder, about(course, folder))


def about(course: Course, folder: Path) -> dict[str, Any]:
    """What an exported file says of itself."""
    from .. import checkpoint

    done = checkpoint.finished(folder)
    bank = course.bank
    return {
        "base": "small",
        "text_width": 768,
        "face_encoder": {"name": "facesnap-small", "width": bank.f_id.shape[-1], "fingerprint": ""},
        "image_encoder": {
            "name": "facesnap-small-map",
            "width": bank.f_clip.shape[-1],
            "tokens": bank.f_clip.shape[-2],
        },
        "landmarks": "72.1",
        "drawing": 1,
        "data": landmarks.WORDS["data"],
        "steps": checkpoint.step_of(done[-1]) if done else 0,
        "licence": landmarks.WORDS["licence"],
    }


def judge_all(course: Course) -> None:
    """Paint held-out people with the model and with the ablations; evidence.json and a grid."""
    bench, whose, strangers, plan = _bench(course)
    found: dict[str, Any] = {"settings": dataclasses.asdict(course.config.painting)}

    def judged(net: Fidelity, variant: Variant, names: Sequence[str]) -> dict[str, Any]:
        verdicts: dict[str, list[Any]] = {}
        for name in names:
            for seed in range(course.config.painting.seeds):
                pictures, points = paint(course.config, net, course.base, course.tested, plan, name,
                                         variant, seed)  # fmt: skip
                verdicts.setdefault(name, []).append(bench.judge(pictures, points, plan.target))
                if not seed and not variant.name:
                    shown[name] = pictures
        return figures(verdicts, whose, strangers)

    shown: dict[str, Tensor] = {}
    net = load_fidelity(course.run / EXPORT, course.config, course.base, course.tested)
    found["model"] = judged(net, Variant(), CONDITIONS)
    found["claims"] = verdicts_of(found["model"])
    found["ablations"] = {}
    for variant in _variants(course.config):
        path = course.run / "ablations" / _name(variant) / EXPORT
        net = load_fidelity(path, course.config, course.base, course.tested)
        found["ablations"][_name(variant)] = judged(net, variant, ABLATED)
    save_grid(course, plan, shown)
    text = json.dumps(record.as_json_has_it(found), indent=1)
    (course.run / "evidence.json").write_text(text, encoding="utf-8")


def _bench(course: Course) -> tuple[Any, ...]:
    from flashface_core.facesnap.landmark_file import load_landmark_model

    from ..judges.judge import load_judges
    from .judging import Bench

    config = course.config
    file: Any = load_landmark_model(course.run / landmarks.EXPORT)
    seen = landmarks.Seen(course.held_out, file.model, config.device)
    folder = host.runs_folder() / (config.painting.judges or f"{config.run}/judges")
    judges = load_judges(folder, config.device)
    bench = Bench(judges, course.held_out, seen, file.net.to(config.device))
    plan = make_plan(config, course.held_out.owners())
    return bench, bench.owners[plan.own.numpy()], bench.owners[plan.other.numpy()], plan


def save_grid(course: Course, plan: Any, shown: dict[str, Tensor]) -> None:
    """A row for each of: target, reference, landmarks, own, another's, nobody, black, plain."""
    from flashface_core.facesnap.drawing import draw_landmarks

    rows = slice(0, SHOWN)
    pictures, bank = course.held_out.pictures, course.tested
    device = bank.latents.device
    points = bank.predicted(plan.own[rows].to(device), plan.target[rows].to(device))
    side = pictures.shape[1]
    dots = (draw_landmarks(points, side, side).cpu() * 255).byte()
    lines = [pictures[plan.target[rows]], pictures[plan.own[rows]], dots]
    lines += [pictures[plan.other[rows]]]
    lines += [shown[name][rows] for name in (OWN, OTHER, NOBODY, BLACK, PLAIN)]
    record.save_grid(course.run / "grid.png", [list(line.numpy()) for line in lines], 2)


def _variants(config: FaceSnapConfig) -> list[Variant]:
    """The whole first, for comparison at the same number of steps."""
    known = {variant.name: variant for variant in (Variant("whole"), *VARIANTS)}
    if unknown := set(config.ablations.names) - known.keys():
        raise ValueError(f"There is no ablation {sorted(unknown)[0]!r}; there are {list(known)}.")
    return [known[name] for name in config.ablations.names]


def _name(variant: Variant) -> str:
    return variant.name.replace(" ", "-").replace("'", "")


STAGES: dict[str, Callable[[Course], None]] = {
    "landmarks": train_landmarks,
    "encoder": train_encoder,
    "control": train_control,
    "ablations": train_ablations,
    "evidence": judge_all,
}


def run_stages(config: FaceSnapConfig, names: Sequence[str]) -> None:
    """Run some stages, in their order."""
    course = Course(config)
    for name, stage in STAGES.items():
        if name in names:
            stage(course)
