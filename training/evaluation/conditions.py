"""What is compared: settings, paired: people, references, prompts and noise are the same."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from flashface_core.flashface.guidance import LAST_TIMESTEP, Schedule

from ..config import ConfigError, Evaluate
from ..diffusion import STEPS

START, NO_REGION, NO_GUIDANCE = "start", "no region", "no guidance"
CHILD, OLD, ASKED = "child", "old", "asked"
AGES = (CHILD, OLD)
CLAIMS = (1, 2, 3, 6)


@dataclass(frozen=True)
class Condition:
    """One way to paint everybody.

    references: how many are shown; launch: a timestep; region: whether the target's is given, or
    zeros; prompt: which of the prompts (see prompts.py).
    """

    name: str
    references: int
    strength: float
    guidance: float
    launch: int
    before: float
    region: bool = True
    prompt: str = "own"

    def schedule(self) -> Schedule:
        """As FlashFace Guidance sets it on a MODEL."""
        launch_percent = 1 - min(self.launch, LAST_TIMESTEP) / LAST_TIMESTEP
        return Schedule(None, self.guidance, launch_percent, self.before)


def start(own: Evaluate) -> Condition:
    """The settings of the start template."""
    return Condition(
        START,
        own.references,
        own.strength,
        own.reference_guidance,
        own.launch,
        own.strength_before_launch,
    )


def with_references(count: int, own: Evaluate) -> str:
    """The name of the condition that shows so many."""
    return START if count == own.references else f"N = {count}"


def main_conditions(own: Evaluate) -> list[Condition]:
    """Everybody's conditions: without references and with all, and those of the claims.

    Raises ConfigError for claims and steps that there are not.
    """
    if wrong := set(own.claims) - set(CLAIMS):
        raise ConfigError(f"evaluate.claims are of {CLAIMS}, got {min(wrong)}.")
    if not own.steps or STEPS % own.steps:
        raise ConfigError(f"evaluate.steps divides {STEPS}, got {own.steps}: 20, 25, 40, 50.")
    base = start(own)
    found = [
        dataclasses.replace(base, name=with_references(count, own), references=count)
        for count in range(own.references + 1)
        if 1 in own.claims or count in (0, own.references)
    ]
    found.append(dataclasses.replace(base, name=ASKED, prompt=ASKED))
    if 2 in own.claims:
        found.append(dataclasses.replace(base, name=NO_REGION, region=False))
    if 3 in own.claims:
        found.append(dataclasses.replace(base, name=NO_GUIDANCE, guidance=0.0, launch=STEPS))
        if own.launch < STEPS:  # the claim is about all steps
            found.append(dataclasses.replace(base, name="all steps", launch=STEPS))
    return found


def guided_name(own: Evaluate) -> str:
    """The condition that is compared with NO_GUIDANCE."""
    return "all steps" if own.launch < STEPS else START


def age_conditions(own: Evaluate) -> list[Condition]:
    """Other ages, of adults, at the start template's settings."""
    base = start(own)
    return [dataclasses.replace(base, name=age, prompt=age) for age in AGES if 6 in own.claims]


def map_conditions(own: Evaluate) -> list[Condition]:
    """Other ages over strength, guidance and launch; without guidance the launch does nothing."""
    if 6 not in own.claims:
        return []
    base = start(own)
    return [
        dataclasses.replace(base, name=map_name(age, s, c, launch), prompt=age,
                            strength=s, guidance=c, launch=launch)
        for age in AGES
        for s in own.strengths
        for c in own.guidances
        for launch in (own.launches if c else own.launches[-1:])
    ]  # fmt: skip


def map_name(age: str, s: float, c: float, launch: int) -> str:
    """The name of a place on the map."""
    return f"{age} s {s:g} c {c:g} launch {launch}"
