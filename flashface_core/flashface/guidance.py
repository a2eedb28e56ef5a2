"""Disentangled guidance: text and identity guided by scales of their own (paper, section 3.4).

Of one noisy picture the UNet gives up to three predictions: r (prompt, references), y (prompt, no
references) and u (negative prompt, no references).

    before launch   out = u + g (y - u)               y and u with references at a fixed strength
    after launch    out = u + g (y - u) + c (r - y)
    rescale         out * (phi std(y) / std(out) + 1 - phi)

g is the sampler's cfg. docs/ARCHITECTURE.md has the phases; presets are the authors' own settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from .curves import Curve

LAST_TIMESTEP = 999
TIMESTEP_TOLERANCE = 1e-3
STD_EPSILON = 1e-12


def add_reference_guidance(out: Tensor, y: Tensor, r: Tensor, c: float) -> Tensor:
    """`out + c (r - y)`; all (B, C, H, W), predictions of one kind."""
    return out + c * (r - y)


def rescale(out: Tensor, y: Tensor, phi: float) -> Tensor:
    """Return `out` with its standard deviation drawn towards that of y.

    out, y: noise predictions (B, C, H, W); std per sample, unbiased. phi: 0 changes nothing.
    """
    std_y, std_out = (tensor.flatten(1).std(dim=1) for tensor in (y, out))
    factor = phi * std_y / (std_out + STD_EPSILON) + 1 - phi
    return out * factor.view(-1, *[1] * (out.ndim - 1))


@dataclass(frozen=True)
class Schedule:
    """Strength and reference guidance over the sampling percent.

    strength None: each Apply FlashFace's own. Curves multiply the strength in force, before and
    after launch, and the reference guidance.
    """

    strength: float | None
    reference_guidance: float
    launch_percent: float
    strength_before_launch: float
    strength_curve: Curve | None = None
    guidance_curve: Curve | None = None

    def strength_at(self, percent: float, launched: bool, applied: float) -> float:
        """The strength of a reference that was applied with strength `applied`.

        A reference applied with strength 0 stays off.
        """
        if applied == 0:
            return 0.0
        own = applied if self.strength is None else self.strength
        value = own if launched else self.strength_before_launch
        return value * (self.strength_curve(percent) if self.strength_curve else 1.0)

    def guidance_at(self, percent: float, launched: bool) -> float:
        """c, 0 before launch."""
        if not launched:
            return 0.0
        return self.reference_guidance * (
            self.guidance_curve(percent) if self.guidance_curve else 1
        )

    def steps_to_act(self) -> int:
        """How many evenly spaced steps a whole sampling needs for one past the launch."""
        # The last of n is timestep 1000 / n - 1.
        return math.ceil((LAST_TIMESTEP + 1) / ((1 - self.launch_percent) * LAST_TIMESTEP + 1))

    def branches_at(self, timestep: float) -> int:
        """How many predictions a step at this timestep needs, with one reference applied.

        Launch looks at the very sigma of a step, curves at the whole timestep that the UNet sees.
        """
        launch = (1 - self.launch_percent) * LAST_TIMESTEP
        launched = self.launch_percent < 1 and timestep <= launch + TIMESTEP_TOLERANCE
        percent = 1 - round(timestep) / LAST_TIMESTEP
        guided = self.guidance_at(percent, launched) != 0
        return 3 if guided and self.strength_at(percent, launched, applied=1.0) != 0 else 2


@dataclass(frozen=True)
class Guidance:
    """What FlashFace Guidance sets on a MODEL."""

    schedule: Schedule
    rescale: float


@dataclass(frozen=True)
class Preset:
    """Settings known to work. launch: a timestep, later ones have the third prediction."""

    strength: float
    reference_guidance: float
    launch: int
    cfg: float
    steps: int
    strength_before_launch: float = 0.85

    @property
    def launch_percent(self) -> float:
        """The launch as a sampling percent, 0 at the start."""
        return 1 - min(self.launch, LAST_TIMESTEP) / LAST_TIMESTEP


PRESETS = {
    "stable identity": Preset(1.2, 3.2, 750, 7.5, 35),
    "change age": Preset(0.9, 2.5, 750, 8.5, 25),
    "Asian faces": Preset(1.2, 3.0, 800, 7.5, 25),
    "most detail": Preset(1.3, 3.2, 800, 8.0, 50),
    "one reference, avatar": Preset(0.9, 2.5, 700, 7.5, 50),
    "gentle": Preset(1.0, 2.0, 600, 7.5, 50),
    "the paper": Preset(0.85, 2.0, 1000, 7.5, 50),
}


def trailing_timesteps(steps: int, total: int | None = None) -> list[float]:
    """The authors' timesteps 999 - i 1000 / steps, from noise to picture.

    total: steps of a longer schedule, of which the last `steps` are returned.
    Raises ValueError for fewer than 1 or more than 1000 steps.
    """
    if not 1 <= steps <= LAST_TIMESTEP + 1:
        raise ValueError(f"steps must be 1 to {LAST_TIMESTEP + 1}, got {steps}.")
    total = steps if total is None else total
    return [LAST_TIMESTEP - i * (LAST_TIMESTEP + 1) / total for i in range(total - steps, total)]
