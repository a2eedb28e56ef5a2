"""Two finders of faces, one list: what each is worth, beside the other and alone."""

from __future__ import annotations

import pytest

from flashface_core.faces.boxes import Box
from flashface_core.faces.detection.face_net import Seen
from flashface_core.faces.detection.lbp import _score
from flashface_core.faces.detection.together import Candidate, merged, overlap, weighed

FACE = Box(100, 100, 200, 228)
EYE = Box(110, 125, 150, 176)
BADGE = Box(220, 260, 260, 311)


def test_a_face_of_both_keeps_the_cascade_s_box_and_gains() -> None:
    near = Box(105, 98, 203, 225)
    (found,) = weighed([Candidate(FACE, 20.0)], [Seen(near, 0.9)])
    assert found.box == FACE and found.strength > 1.7 * 20


def test_what_the_network_does_not_see_keeps_half() -> None:
    (found,) = weighed([Candidate(FACE, 20.0)], [])
    assert found == Candidate(FACE, 10.0)


def test_an_eye_above_a_mask_is_a_part_of_the_face() -> None:
    (found,) = weighed([Candidate(EYE, 80.0)], [Seen(FACE, 0.95)])
    assert overlap(found.box, FACE) > 0.95 and _score(found.strength) > 0.7


def test_a_badge_is_not_stronger_than_a_face_in_disguise() -> None:
    found = weighed([Candidate(BADGE, 20.0)], [Seen(FACE, 0.95), Seen(BADGE, 0.3)])
    assert [c.box.x1 < 200 for c in found] == [True, False]


@pytest.mark.parametrize(("sure", "counts"), [(0.5, False), (0.67, False), (0.83, True)])
def test_alone_the_network_has_to_be_sure(sure: float, counts: bool) -> None:
    (found,) = weighed([], [Seen(FACE, sure)])
    assert (_score(found.strength) >= 0.6) is counts


def test_boxes_of_the_network_get_the_shape_of_all_others() -> None:
    (found,) = weighed([], [Seen(Box(0, 0, 100, 100), 0.9)])
    assert found.box.height / found.box.width == pytest.approx(1.28)
    assert found.box.area == pytest.approx(10000) and found.box.centre == (50, 50)


def test_of_two_boxes_of_one_face_the_stronger_is_left() -> None:
    inside = Candidate(Box(120, 120, 190, 210), 5.0)
    assert merged([inside, Candidate(FACE, 9.0)]) == [Candidate(FACE, 9.0)]
    assert len(merged([Candidate(BADGE, 1.0), Candidate(FACE, 9.0)])) == 2
    assert weighed([], []) == []
