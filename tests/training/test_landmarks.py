"""Landmarks are where the order says, move with the skin, and agree with the pose."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_people import look, photo, shot

from training.people.body import body
from training.people.expressions import named, units
from training.people.identity import person
from training.people.landmarks import COUNT, MIRROR, landmark_spots
from training.people.photo import neutral_head, take_photo
from training.people.pose import UNIT


def test_mirror_pairs_mirror_the_template():
    points = landmark_spots(look(4).person).on(body().template)
    flipped = points[list(MIRROR)] * [-1, 1, 1]
    assert np.abs(flipped - points).max() < 0.02
    assert np.array_equal(np.array(MIRROR)[list(MIRROR)], np.arange(COUNT))


def test_the_order_is_the_documented_one():
    x, y, z = neutral_head(look(4)).T
    assert (np.diff(x[:17]) > 0).all()  # jaw, picture's left to right
    assert (np.diff(x[17:27]) > 0).all()  # brows
    assert (np.diff(y[27:31]) > 0).all()  # down the bridge
    assert (np.diff(x[31:36]) > 0).all()
    assert x[36] < x[40] < x[44] < x[48]  # outer, inner; inner, outer corner
    assert y[[37, 38, 39]].max() < y[[41, 42, 43]].min()  # over the top, back below
    assert x[52] < x[64] < x[68] < x[58]
    assert y[55] < y[66] < y[70] + 0.03  # closed lips touch, or overlap a little
    assert y[70] < y[61] < y[8]
    assert np.argmin(z) == 30  # the tip of the nose is nearest: z points away


def test_head_units_are_about_the_distance_between_the_eyes():
    heads = np.stack([neutral_head(look(seed)) for seed in range(8)])
    apart = np.linalg.norm(heads[:, 36:44].mean(1) - heads[:, 44:52].mean(1), axis=-1)
    assert abs(apart.mean() - 1) < 0.12
    assert np.abs(heads.mean((0, 1))[:2]).max() < 0.25
    assert UNIT == 0.62


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (25, 0, 0), (-40, 10, 5)])
def test_points_in_3d_are_the_pose_of_the_head(yaw, pitch, roll):
    seen = photo(yaw=float(yaw), pitch=float(pitch), roll=float(roll))
    pose = seen.pose
    assert np.allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose.rotation) > 0
    solid = pose.scale * seen.head @ pose.rotation.T + pose.shift
    assert np.allclose(solid, seen.landmarks_3d, atol=1e-9)
    # The camera's perspective is all that lies between them.
    width = np.ptp(seen.landmarks[:, 0])
    assert np.abs(solid[:, :2] - seen.landmarks).max() < 0.09 * width


def test_signs_of_yaw_pitch_and_roll():
    nose, left, right = 30, slice(36, 44), slice(44, 52)
    for sign in (-1, 1):
        turned = photo(yaw=25.0 * sign).landmarks
        middle = (turned[left].mean(0) + turned[right].mean(0)) / 2
        assert sign * (turned[nose] - middle)[0] > 2
        tilted = photo(roll=15.0 * sign).landmarks
        assert sign * (tilted[left].mean(0) - tilted[right].mean(0))[1] > 2
    up, down = photo(pitch=15.0), photo(pitch=-15.0)
    assert (
        up.landmarks[nose, 1] - up.landmarks[27, 1]
        < down.landmarks[nose, 1] - down.landmarks[27, 1]
    )


def test_the_jaw_opens_the_lips():
    closed = photo()
    jaw = (np.array(units()) == "jawOpen") * 0.6
    opened = photo(units=jaw)
    gap = [p.landmarks[70, 1] - p.landmarks[66, 1] for p in (closed, opened)]
    assert gap[1] - gap[0] > 3
    assert np.abs(opened.landmarks[36:52] - closed.landmarks[36:52]).max() < 0.5


def test_brows_follow_the_painted_brow():
    wide = next(s for s in range(60) if _brow_shows(s))
    seen = photo(wide, size=192)
    for x, y in (*seen.landmarks[18:21], *seen.landmarks[23:26]):
        above = seen.image[int(y) - 10, int(x)].mean()
        assert seen.image[int(y), int(x)].mean() < above - 15


def _brow_shows(seed: int) -> bool:
    p = person(seed)
    return p.skin.mean() > 0.3 and p.brows.thickness > 0.055 and not p.fringe


def test_a_mole_is_where_the_record_says():
    found = 0
    for seed in range(40):
        pale = look(seed).person.skin.mean() > 0.3
        if not pale or not any(m.kind == "mole" for m in look(seed).person.marks):
            continue
        seen = take_photo(look(seed), shot(), 256)
        for mark in seen.marks:
            if mark.mark.kind == "mole" and mark.visible and mark.mark.radius > 0.015:
                x, y = round(mark.x - 0.5), round(mark.y - 0.5)
                around = seen.image[y - 6 : y + 7, x - 6 : x + 7].mean(-1)
                found += around[4:9, 4:9].min() < np.median(around) - 12
        if found > 2:
            return
    raise AssertionError(f"{found} moles seen where they are recorded")


def test_eyes_close():
    names = photo(expression="eyes closed", units=named("eyes closed")).landmarks
    lids = names[[41, 42, 43], 1].mean() - names[[37, 38, 39], 1].mean()
    wide = photo().landmarks
    assert lids < 0.45 * (wide[[41, 42, 43], 1].mean() - wide[[37, 38, 39], 1].mean())
