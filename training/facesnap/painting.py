"""Paints held-out people under each condition, with the same captions, references and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import diffusion
from ..steps import random_of, torch_random_of
from .bank import Bank
from .base import Base
from .control import Fidelity, Variant, contexts, hints
from .pairs import People
from .settings import FaceSnapConfig

STAGE = 14  # of the random numbers
OWN, OTHER, NOBODY, BLACK, PLAIN = "own", "other", "nobody", "black hint", "without FaceSnap"
CONDITIONS = (OWN, OTHER, NOBODY, BLACK, PLAIN)


@dataclass(frozen=True)
class Plan:
    """P pictures to paint, rows of the bank: whose pose and prompt, who, and who else."""

    target: Tensor
    own: Tensor
    other: Tensor


def make_plan(config: FaceSnapConfig, owners: Tensor) -> Plan:
    """Targets spread over the people; own: another photo of each; other: of another person."""
    people = People(owners)
    random = random_of(config.seed, STAGE)
    whose = np.arange(config.painting.pictures) % len(people)
    target = people.of(random, whose)
    own = people.other(random, target)
    turn = random.integers(1, len(people), size=len(whose))
    strangers = (whose + turn) % len(people)
    other = people.of(random, strangers)
    return Plan(*(torch.from_numpy(rows) for rows in (target, own, other)))


@torch.no_grad()
def paint(
    config: FaceSnapConfig,
    net: Fidelity | None,
    base: Base,
    bank: Bank,
    plan: Plan,
    condition: str,
    variant: Variant,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Pictures (P, S, S, 3) uint8 and the points (P, 72, 2) that were asked for."""
    found = []
    rows = torch.arange(len(plan.target))
    noise = torch.randn(
        len(rows), *bank.latents.shape[1:], generator=torch_random_of(config.seed, STAGE, seed)
    )
    for part in rows.split(config.painting.batch):
        found.append(_painted(config, net, base, bank, plan, condition, variant, part, noise))
    pictures, points = zip(*found, strict=True)
    return torch.cat(pictures), torch.cat(points)


def _painted(
    config: FaceSnapConfig,
    net: Fidelity | None,
    base: Base,
    bank: Bank,
    plan: Plan,
    condition: str,
    variant: Variant,
    part: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor]:
    device = bank.latents.device
    target, own, other = (rows[part].to(device) for rows in (plan.target, plan.own, plan.other))
    who = other if condition == OTHER else own
    ones = torch.ones(len(part), device=device)
    text_y = contexts(base, bank.tokens[target, 0], ones)
    context = torch.cat([text_y, contexts(base, bank.tokens[target, 0], 0 * ones)])
    predicted = ones * float(variant.predicted)
    points = bank.predicted(who, target) if variant.predicted else bank.found(target)
    seen = ones * float(condition != BLACK)
    control = None
    if net is not None and condition != PLAIN:
        hint = hints(bank, target, who, predicted, seen).repeat(2, 1, 1, 1)
        kept = ones * float(condition != NOBODY)
        mixed = net.tokens(bank.f_id[0, who], bank.f_clip[0, who], kept, variant)
        null = net.tokens(bank.f_id[0, who], bank.f_clip[0, who], 0 * ones, variant)
        control = hint, torch.cat([mixed, null])

    def predict(x: Tensor, t: Tensor) -> Tensor:
        x, t = x.repeat(2, 1, 1, 1), t.repeat(2)
        with torch.autocast(device.type, torch.bfloat16, config.precision == "bf16"):
            added = None
            if control is not None and net is not None:
                added = {n: list(v) for n, v in net.residuals(x, t, *control).items()}
            y, u = base.unet(x, t, context, control=added).float().chunk(2)
        return diffusion.guided(u, y, None, config.painting.cfg, 0.0)

    latents = diffusion.ddim(predict, noise[part].to(device), config.painting.steps)
    pictures = base.coder.decode(latents).clamp(0, 1).permute(0, 2, 3, 1)
    return (pictures * 255 + 0.5).byte().cpu(), points.cpu()
