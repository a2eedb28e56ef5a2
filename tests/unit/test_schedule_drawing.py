"""The drawing of a schedule, and the number of evaluations that it promises."""

from __future__ import annotations

import pytest
import torch

from flashface_core.flashface.curves import checked_curve
from flashface_core.flashface.guidance import PRESETS, Schedule, trailing_timesteps
from flashface_core.flashface.schedule_drawing import SIZE, draw, evaluations

DIP = checked_curve("guidance_curve", [(0, 1), (0.4, 0), (0.7, 0), (1, 1)])
SCHEDULES = {
    "numbers": Schedule(1.2, 3.2, 0.25, 0.85),
    "from each Apply": Schedule(None, 3.2, 0.25, 0.85),
    "never launched": Schedule(1.2, 3.2, 1.0, 0.85),
    "launched from the start": Schedule(1.2, 3.2, 0.0, 0.85),
    "no guidance": Schedule(1.2, 0.0, 0.25, 0.85),
    "negative strength": Schedule(-5.0, 20.0, 0.25, 0.0),
    "all 0": Schedule(0.0, 0.0, 0.0, 0.0),
    "curves": Schedule(1.2, 3.2, 0.25, 0.85, DIP, DIP),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_makes_an_image(name):
    image = draw(SCHEDULES[name])
    assert image.shape == (1, SIZE[1], SIZE[0], 3) and image.dtype == torch.float32
    assert 0 <= image.min() < image.max() <= 1


def test_launch_and_curves_show_in_the_drawing():
    names = ("numbers", "never launched", "no guidance", "curves")
    images = [draw(SCHEDULES[name]) for name in names]
    assert all(not torch.equal(a, b) for i, a in enumerate(images) for b in images[:i])


@pytest.mark.parametrize("steps", [1, 25, 30])
@pytest.mark.parametrize("name", SCHEDULES)
def test_evaluations_are_the_branches_of_every_step(name, steps):
    schedule = SCHEDULES[name]
    counted = [schedule.branches_at(timestep) for timestep in trailing_timesteps(steps)]
    assert evaluations(schedule, steps) == sum(counted)


def test_a_launch_after_8_of_30_steps_saves_8_evaluations():
    assert evaluations(SCHEDULES["numbers"]) == 8 * 2 + 22 * 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [("never launched", 60), ("launched from the start", 90), ("no guidance", 60), ("all 0", 60)],
)
def test_evaluations_of_a_30_step_run(name, expected):
    assert evaluations(SCHEDULES[name]) == expected


def test_ranges_without_guidance_cost_two_predictions():
    dip = Schedule(1.2, 3.2, 0.0, 0.85, guidance_curve=DIP)
    quiet = [t for t in trailing_timesteps(30) if 0.4 <= 1 - round(t) / 999 <= 0.7]
    assert evaluations(dip) == 90 - len(quiet)


def test_a_preset_costs_between_two_and_three_predictions_a_step():
    for preset in PRESETS.values():
        schedule = Schedule(
            preset.strength,
            preset.reference_guidance,
            preset.launch_percent,
            preset.strength_before_launch,
        )
        assert 60 < evaluations(schedule) <= 90
