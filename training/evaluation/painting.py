"""Paints all conditions of a run, and keeps what was painted: a second call goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import checkpoint, flashface, host, stage, text
from ..coder import Coder, load_coder
from ..config import Config, Evaluate
from ..steps import torch_random_of
from . import conditions
from .conditions import Condition
from .painter import Sitters, load_network, paint
from .people import HeldOut, Person, read_people
from .prompts import prompts_of

STAGE = 9  # of the random numbers
AT_ONCE = 16  # rows a person, roughly, for the size of a part


@dataclass(frozen=True)
class Studio:
    """All that painting needs: recipe, folder of its run, held-out people, coder, network."""

    config: Config
    run: Path
    held_out: HeldOut
    coder: Coder
    model: text.Captioned


def open_studio(config: Config) -> Studio:
    """Read everything of a recipe's run."""
    host.enter(config.device == "cpu")
    host.start(config.threads)
    run = host.runs_folder() / config.run
    coder = load_coder(config, run)
    held_out = read_people(config, run, coder.key)
    return Studio(config, run, held_out, coder, load_network(config, run))


def sitters_of(studio: Studio, people: Sequence[Person], again: int = 0) -> Sitters:
    """What is painted of some people; `again`: another noise."""
    config, latents = studio.config, studio.held_out.latents
    targets = torch.tensor([person.target for person in people])
    side = latents.targets.shape[-1]
    noise = [
        torch.randn(4, side, side, generator=torch_random_of(config.seed, STAGE, p.number, again))
        for p in people
    ]
    shown = torch.tensor([person.shown for person in people])
    return Sitters(
        noise=torch.stack(noise),
        region=latents.regions[targets].float(),
        faces=latents.faces[shown].float(),
        prompts=prompts_of(studio.held_out, list(people), config.seed),
    )


@dataclass(frozen=True)
class Pictures:
    """One condition's. people: places in `held_out.people`; latents: (P, 4, h, w) of them."""

    condition: Condition
    people: list[int]
    latents: Tensor


def paint_all(studio: Studio, folder: Path) -> list[Pictures]:
    """Paint what is missing; all of it is kept in the folder."""
    from tqdm import tqdm

    own, people = studio.config.evaluate, studio.held_out.people
    adults = [i for i, person in enumerate(people) if person.adult]
    jobs = [
        ("main", conditions.main_conditions(own), list(range(len(people)))),
        ("ages", conditions.age_conditions(own), adults),
        ("map", conditions.map_conditions(own), adults[: own.map_people]),
    ]
    size = max(1, own.batch // AT_ONCE)
    parts = [
        (name, listed, who[start : start + size])
        for name, listed, who in jobs if listed
        for start in range(0, len(who), size)
    ]  # fmt: skip
    found: dict[str, Pictures] = {}
    network = _network_key(studio)
    with tqdm(total=len(parts) * own.steps, unit="step", mininterval=2) as bar:
        for number, (name, listed, who) in enumerate(parts):
            bar.set_postfix(part=f"{number + 1} of {len(parts)}, {name}")
            path = folder / "painted" / f"{name}-{who[0]:04d}.safetensors"
            latents = _paint_part(studio, listed, who, path, bar, network)
            for condition, own_latents in zip(listed, latents, strict=True):
                new = Pictures(condition, who, own_latents)
                before = found.get(condition.name)
                found[condition.name] = _joined(before, new) if before else new
    return list(found.values())


def decoded(studio: Studio, latents: Tensor) -> Tensor:
    """Pictures (B, S, S, 3), 0..1, of latents."""
    parts = [studio.coder.decode(part.float()) for part in latents.split(16)]
    return torch.cat(parts).clamp(0, 1).permute(0, 2, 3, 1)


def _joined(one: Pictures, other: Pictures) -> Pictures:
    latents = torch.cat([one.latents, other.latents])
    return Pictures(one.condition, [*one.people, *other.people], latents)


def _paint_part(
    studio: Studio, listed: list[Condition], who: list[int], path: Path, bar: Any, network: str
) -> Tensor:
    """(C, P, 4, h, w); from the file where it holds these very pictures."""
    from safetensors import safe_open

    own = studio.config.evaluate
    sitters = sitters_of(studio, [studio.held_out.people[i] for i in who])
    key = part_key(network, listed, sitters, own)
    if path.exists():
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") == key:
                bar.update(own.steps)
                return file.get_tensor("latents")
    latents = paint(studio.model, sitters, listed, own, bar.update)
    checkpoint.write_tensors(path, {"latents": latents}, {"key": key})
    return latents


def _network_key(studio: Studio) -> str:
    """The weights of the network and its words."""
    digest = hashlib.sha256(studio.config.network.clip.encode())
    for name in (flashface.EXPORT, stage.WORDS):
        path = studio.run / name
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def part_key(network: str, listed: list[Condition], sitters: Sitters, own: Evaluate) -> str:
    """What the pictures of a part depend on: all that `paint` is given."""
    about = [
        network,
        [dataclasses.asdict(condition) for condition in listed],
        {kind: sitters.prompts[kind] for kind in sorted({one.prompt for one in listed})},
        [own.steps, own.cfg, own.rescale, own.repeat_to, own.precision],
    ]
    digest = hashlib.sha256(json.dumps(about).encode())
    for tensor in (sitters.noise, sitters.region, sitters.faces):
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
