"""The guidance formulas against float64, schedules around their thresholds, and the presets."""

from __future__ import annotations

import pytest
import torch
from host_pack import pack_module

from flashface_core.flashface import guidance
from flashface_core.flashface.curves import checked_curve
from flashface_core.flashface.guidance import PRESETS, Schedule

# The authors' settings (README and demo): use -> (s, c, launch, g, steps)
SETTINGS = {
    "stable identity": (1.2, 3.2, 750, 7.5, 35),
    "change age": (0.9, 2.5, 750, 8.5, 25),
    "Asian faces": (1.2, 3.0, 800, 7.5, 25),
    "most detail": (1.3, 3.2, 800, 8, 50),
    "one reference, avatar": (0.9, 2.5, 700, 7.5, 50),
    "gentle": (1.0, 2.0, 600, 7.5, 50),
    "the paper": (0.85, 2.0, 1000, 7.5, 50),
}


def predictions(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, 8, 6, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("c", [0.0, 1.0, 3.2])
def test_reference_guidance_adds_c_times_the_difference(c):
    out, y, r = predictions(3)
    expected = out.double() + c * (r.double() - y.double())
    assert torch.allclose(guidance.add_reference_guidance(out, y, r, c).double(), expected)


@pytest.mark.parametrize("phi", [0.0, 0.5, 1.0])
def test_rescale_draws_each_sample_towards_the_deviation_of_y(phi):
    out, y = predictions(2)
    out = out * 7 + 0.3
    wide, narrow = out.double(), y.double()
    expected = torch.stack(
        [
            a * (phi * b.std() / (a.std() + 1e-12) + 1 - phi)
            for a, b in zip(wide, narrow, strict=True)
        ]
    )
    found = guidance.rescale(out, y, phi)
    assert torch.allclose(found.double(), expected, atol=1e-6)
    if phi == 1:
        assert torch.allclose(found.flatten(1).std(dim=1), y.flatten(1).std(dim=1))


def test_rescale_of_a_flat_prediction_stays_finite():
    flat, y = torch.full((1, 4, 8, 8), 2.0), torch.randn(1, 4, 8, 8)
    assert torch.isfinite(guidance.rescale(flat - 2, y, 1.0)).all()


def test_before_launch_the_strength_before_launch_counts_and_nothing_is_guided():
    schedule = Schedule(1.2, 3.2, 0.25, 0.85)
    assert schedule.strength_at(0.1, launched=False, applied=0.7) == 0.85
    assert schedule.guidance_at(0.1, launched=False) == 0
    assert schedule.strength_at(0.3, launched=True, applied=0.7) == 1.2
    assert schedule.guidance_at(0.3, launched=True) == 3.2


def test_without_a_strength_of_its_own_each_apply_keeps_its_strength():
    schedule = Schedule(None, 3.2, 0.25, 0.85)
    assert schedule.strength_at(0.3, launched=True, applied=0.7) == 0.7
    assert schedule.strength_at(0.1, launched=False, applied=0.7) == 0.85


@pytest.mark.parametrize("launched", [False, True])
def test_a_reference_applied_with_strength_0_stays_off(launched):
    assert Schedule(1.2, 3.2, 0.25, 0.85).strength_at(0.5, launched, applied=0.0) == 0


@pytest.mark.parametrize(
    ("timestep", "branches"), [(999, 2), (750.1, 2), (750.0, 3), (749.9, 3), (0.5, 3)]
)
def test_three_predictions_from_the_launch_on(timestep, branches):
    schedule = Schedule(1.2, 3.2, 1 - 750 / 999, 0.85)
    assert schedule.branches_at(timestep) == branches


def test_the_very_timestep_decides_about_the_launch_not_the_rounded_one():
    schedule = Schedule(1.2, 3.2, 1 - 732.2 / 999, 0.85)
    assert [schedule.branches_at(t) for t in (732.3, 732.1)] == [2, 3]


def test_a_launch_at_the_end_never_comes():
    assert {Schedule(1.2, 3.2, 1.0, 0.85).branches_at(t) for t in range(1000)} == {2}


def test_a_launch_at_the_start_has_come():
    assert {Schedule(1.2, 3.2, 0.0, 0.85).branches_at(t) for t in range(1000)} == {3}


POINTS = {0.0: 1.0, 0.3: 0.5, 0.6: 0.0, 0.8: 0.0, 1.0: 0.25}


@pytest.mark.parametrize(("percent", "factor"), POINTS.items())
def test_curves_multiply_what_is_in_force_at_every_point(percent, factor):
    curve = checked_curve("curve", list(POINTS.items()))
    schedule = Schedule(1.2, 3.2, 0.25, 0.85, curve, curve)
    for launched, strength, c in ((False, 0.85, 0.0), (True, 1.2, 3.2)):
        assert schedule.strength_at(percent, launched, 1.0) == pytest.approx(strength * factor)
        assert schedule.guidance_at(percent, launched) == pytest.approx(c * factor)


@pytest.mark.parametrize("which", ["strength_curve", "guidance_curve"])
def test_where_a_curve_is_0_two_predictions_are_enough(which):
    curve = checked_curve(which, list(POINTS.items()))
    schedule = Schedule(1.2, 3.2, 0.0, 0.85, **{which: curve})
    percents = (0.0, 0.59, 0.61, 0.79, 0.81, 1.0)
    branches = [schedule.branches_at(999 * (1 - percent)) for percent in percents]
    assert branches == [3, 3, 2, 2, 3, 3]


@pytest.mark.parametrize("name", SETTINGS)
def test_presets_are_the_settings_known_to_work(name):
    preset = PRESETS[name]
    found = (preset.strength, preset.reference_guidance, preset.launch, preset.cfg, preset.steps)
    assert found == SETTINGS[name]
    assert preset.strength_before_launch == 0.85
    assert preset.launch_percent == pytest.approx(1 - min(preset.launch, 999) / 999)


def test_the_node_offers_the_same_presets(pack):
    node = pack_module("nodes.flashface.schedule")
    assert [name for name in node.PRESETS if name != node.CUSTOM] == list(PRESETS) == list(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_node_gives_a_preset_whatever_its_numbers_say(name, pack, run_node):
    strength, c, launch, _, _ = SETTINGS[name]
    numbers = {"strength": 4.0, "reference_guidance": 9.0, "launch_percent": 0.9}
    (schedule,) = run_node(
        pack["FlashFaceSchedule"], preset=name, strength_before_launch=0.1, **numbers
    )
    assert (schedule.strength, schedule.reference_guidance) == (strength, c)
    assert schedule.strength_before_launch == 0.85
    assert schedule.launch_percent == pytest.approx(1 - min(launch, 999) / 999)


def test_the_end_of_a_longer_schedule_has_no_largest_length():
    assert guidance.trailing_timesteps(2, 4) == guidance.trailing_timesteps(4)[2:]
    assert guidance.trailing_timesteps(30, 1500)[0] == pytest.approx(999 - 1470 / 1.5)


@pytest.mark.parametrize("steps", [1, 7, 30, 1000])
def test_trailing_timesteps_are_the_authors(steps):
    found = guidance.trailing_timesteps(steps)
    assert found == pytest.approx([999 - i * 1000 / steps for i in range(steps)])


@pytest.mark.parametrize("steps", [0, 1001])
def test_trailing_timesteps_refuse_other_numbers(steps):
    with pytest.raises(ValueError, match=f"steps must be 1 to 1000, got {steps}"):
        guidance.trailing_timesteps(steps)
