"""Who is active at which sigma, how strongly, and whether the positive prompt runs twice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..guidance import LAST_TIMESTEP
from ..reference import Identity
from .state import State

SIGMA_TOLERANCE = 1e-5
"""Relative; float32 rounding of a sigma must not move it across a threshold. Steps are 5e-3."""


@dataclass(frozen=True)
class Active:
    """An identity that takes part in an evaluation. applied: index into State.applied."""

    identity: Identity
    strength: float
    applied: int


@dataclass(frozen=True)
class Plan:
    """What an evaluation at one sigma computes.

    twin: whether the positive prompt runs a second time, alone with the references. Without it,
    every prediction has the active references. guidance: c of the twin.
    """

    timestep: int
    active: tuple[Active, ...]
    guidance: float

    @property
    def twin(self) -> bool:
        return self.guidance != 0 and bool(self.active)


class Planner:
    """Makes the plans of one sampling. sampling: the model's own, from sigmas to timesteps."""

    def __init__(self, state: State, sampling: Any):
        self._state, self._sampling = state, sampling
        self._schedule = state.guidance.schedule if state.guidance else None
        self._timesteps: dict[float, int] = {}
        # A percent is ComfyUI's; it holds at sigmas up to that of the percent.
        self._intervals = [
            (self._sigma(applied.start_percent), self._sigma(applied.end_percent))
            for applied in state.applied
        ]
        self._launch = self._sigma(self._schedule.launch_percent) if self._schedule else math.inf

    def plan(self, sigma: float) -> Plan:
        """What an evaluation at this sigma computes."""
        if sigma not in self._timesteps:
            self.look_up([sigma])
        timestep, percent = self._timesteps[sigma], self.percent(sigma)
        launched = self.launched(sigma)
        active = []
        for index, (applied, (start, end)) in enumerate(
            zip(self._state.applied, self._intervals, strict=True)
        ):
            if not _reached(sigma, start) or sigma < end * (1 - SIGMA_TOLERANCE):
                continue
            strength = applied.strength
            if self._schedule is not None:
                strength = self._schedule.strength_at(percent, launched, strength)
            for identity in applied.reference.identities:
                if strength * identity.weight != 0:
                    active.append(Active(identity, strength * identity.weight, index))
        guidance = self._schedule.guidance_at(percent, launched) if self._schedule else 0.0
        return Plan(timestep, tuple(active), guidance)

    def launched(self, sigma: float) -> bool:
        """Whether an evaluation at this sigma is past the launch of the reference guidance."""
        return _reached(sigma, self._launch)

    def percent(self, sigma: float) -> float:
        """The sampling percent, from 0 to 1, of a sigma that has been looked up."""
        return 1 - self._timesteps[sigma] / LAST_TIMESTEP

    def look_up(self, sigmas: list[float]) -> None:
        """Note the timesteps of sigmas, all at once: the host waits for the device to know them."""
        timesteps = self._sampling.timestep(torch.tensor(sigmas)).tolist()
        self._timesteps.update(zip(sigmas, map(int, timesteps), strict=True))

    def _sigma(self, percent: float) -> float:
        return float(self._sampling.percent_to_sigma(percent))


def _reached(sigma: float, threshold: float) -> bool:
    return sigma <= threshold * (1 + SIGMA_TOLERANCE)
