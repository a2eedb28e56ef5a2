"""Curves from whatever a CURVE socket brings."""

from __future__ import annotations

import importlib.util
import re

import pytest

from flashface_core.flashface.curves import checked_curve

POINTS = [(0.0, 1.0), (0.4, 0.5), (1.0, 0.0)]
HAS_CURVES = importlib.util.find_spec("comfy_api.latest._input.curve_types") is not None


def forms(points: list, interpolation: str = "linear") -> list:
    """A curve in every form that this ComfyUI can bring."""
    found = [{"points": points, "interpolation": interpolation}]
    if HAS_CURVES:
        from comfy_api.input import CurveInput

        found.append(CurveInput.from_raw(found[0]))
    return found


def test_none_is_no_curve():
    assert checked_curve("strength_curve", None) is None


@pytest.mark.parametrize("value", forms(POINTS), ids=lambda value: type(value).__name__)
def test_linear_curves_pass_through_their_points_in_straight_lines(value):
    curve = checked_curve("strength_curve", value)
    assert curve is not None
    for percent, factor in [*POINTS, (0.2, 0.75), (0.7, 0.25)]:
        assert curve(percent) == pytest.approx(factor)


@pytest.mark.parametrize("value", [POINTS, [list(p) for p in POINTS], {"points": POINTS}])
def test_bare_points_make_a_curve_through_them(value):
    curve = checked_curve("strength_curve", value)
    assert curve is not None
    assert [curve(x) for x, _ in POINTS] == pytest.approx([y for _, y in POINTS])


@pytest.mark.parametrize("value", forms(POINTS[::-1]), ids=lambda value: type(value).__name__)
def test_points_may_come_in_any_order(value):
    curve = checked_curve("strength_curve", value)
    assert curve is not None
    assert [curve(x) for x, _ in POINTS] == pytest.approx([y for _, y in POINTS])


@pytest.mark.parametrize("interpolation", ["linear", "monotone_cubic"])
def test_one_point_is_a_constant(interpolation):
    for value in forms([(0.3, 0.6)], interpolation):
        curve = checked_curve("strength_curve", value)
        assert curve is not None
        assert [curve(x) for x in (0.0, 0.3, 1.0)] == pytest.approx([0.6] * 3)


def test_beyond_its_points_a_curve_is_level():
    curve = checked_curve("strength_curve", [(0.2, 0.4), (0.7, 0.9)])
    assert curve is not None
    assert [curve(0.0), curve(1.0)] == pytest.approx([0.4, 0.9])


@pytest.mark.parametrize("interpolation", ["linear", "monotone_cubic"])
def test_between_two_zeros_a_curve_is_exactly_zero(interpolation):
    for value in forms([(0, 1), (0.3, 0), (0.6, 0), (1, 1)], interpolation):
        curve = checked_curve("guidance_curve", value)
        assert curve is not None
        assert {curve(x / 100) for x in range(30, 61)} == {0.0}


@pytest.mark.parametrize("value", [[], {"points": []}])
def test_no_points_are_refused(value):
    text = "guidance_curve has no points. Draw at least one in its Curve Editor."
    with pytest.raises(ValueError, match=re.escape(text)):
        checked_curve("guidance_curve", value)


@pytest.mark.parametrize("point", [(-0.1, 0.5), (1.1, 0.5), (0.5, -0.2), (0.5, 1.5)])
def test_points_outside_0_to_1_are_refused(point):
    text = (
        f"guidance_curve has the point {point}, but both numbers of a point must lie from 0 to 1: "
        "the sampling percent and the factor. Move it in its Curve Editor."
    )
    for value in [[(0.0, 1.0), point], *forms([(0.0, 1.0), point])]:
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            checked_curve("guidance_curve", value)


def test_a_point_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="must lie from 0 to 1"):
        checked_curve("guidance_curve", [(0.5, float("nan"))])
