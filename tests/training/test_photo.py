"""The picture: what the masks cover, where the face is, and what the light does to it."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_people import look, photo, shot

from training.people.background import SCENES
from training.people.garments import GARMENTS, NECKLINES, Garment
from training.people.hats import HATS
from training.people.identity import BEARDS, STYLES, person
from training.people.light import LIGHTS, developed
from training.people.photo import take_photo


def test_the_masks_layers_lie_in_each_other():
    mask = photo().mask.astype(int)
    assert (mask[..., 0] <= mask[..., 2]).all()
    assert (mask[..., 1] <= mask[..., 2]).all()
    part = (mask > 127).mean((0, 1))
    assert 0.05 < part[1] < part[0] < part[2] < 0.9


def test_the_box_is_about_the_face():
    seen = photo(yaw=12.0)
    left, top, right, bottom = seen.box
    inside = (seen.landmarks > [left - 1, top]) & (seen.landmarks < [right + 1, bottom])
    assert inside.all()
    rows, columns = np.where(seen.mask[..., 1] > 127)
    assert abs(columns.mean() - (left + right) / 2) < 6
    assert top - 4 < rows.min()


def test_the_same_photo_is_the_same_bytes():
    one, two = (take_photo(look.__wrapped__(9), shot(), 64) for _ in range(2))
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.mask, two.mask)
    assert np.array_equal(one.landmarks, two.landmarks)


def test_a_larger_picture_is_the_same_picture():
    small, large = photo(size=64), photo(size=128)
    assert np.allclose(2 * small.landmarks, large.landmarks, atol=1e-6)
    halved = large.image.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halved - small.image).mean() < 4


@pytest.mark.parametrize("light", LIGHTS)
def test_pale_skin_is_not_burnt_out(light):
    pale = max(range(60), key=lambda seed: person(seed).skin.mean())
    seen = photo(pale, light=light)
    face = seen.image[seen.mask[..., 1] > 250]
    assert np.percentile(face, 98) < 253
    assert (face.min(1) > 240).mean() < 0.01


def test_the_tone_curve_rises_and_keeps_hues():
    light = np.linspace(0, 4, 200)[:, None, None] * np.array([0.6, 0.4, 0.3])
    shown = developed(light)
    assert (np.diff(shown, axis=0) > -1e-9).all()
    ratio = (shown[100] ** 2.2)[0]
    assert np.isclose(ratio[0] / ratio[1], 1.5, atol=0.01)


def test_hats_hide_hair_and_add_to_the_head():
    bare = photo()
    for hat in HATS[1:]:
        seen = photo(worn={"hat": hat, "hat_colours": ("blue", "white")})
        assert (seen.mask[..., 0] > 127).sum() > (bare.mask[..., 0] > 127).sum() * 1.02


def test_sunglasses_hide_the_eyes():
    seen = photo(2, worn={"glasses": "sunglasses"})
    for x, y in seen.five[:2]:
        assert seen.mask[int(y), int(x), 1] < 128
        assert seen.mask[int(y), int(x), 0] > 250


@pytest.mark.parametrize("style", STYLES)
def test_every_style_is_drawn(style):
    bald = photo(worn={"style": "bald"}).mask[..., 0] > 127
    seen = photo(worn={"style": style}).mask
    assert (seen[..., 0] > 127).sum() >= bald.sum()
    assert np.isfinite(look(4, style=style).hair.points).all()


def test_beards_garments_and_scenes_are_all_drawn():
    man = next(seed for seed in range(20) if person(seed).male)
    pictures = [photo(man, size=48, worn={"beard": beard}).image for beard in BEARDS]
    for i, kind in enumerate(GARMENTS):
        garment = Garment(kind, "red", "blue", NECKLINES[i % len(NECKLINES)], 14.0)
        pictures.append(photo(1, size=48, face_width=0.25, worn={"garment": garment}).image)
    pictures += [photo(0, size=48, scene=scene).image for scene in SCENES]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_heads_are_inside_the_frame():
    for seed in range(6):
        seen = photo(seed, face_width=0.5, worn={"style": "curly"})
        assert seen.mask[0, :, 0].mean() < 10
        assert seen.landmarks.min() > 0
        assert seen.landmarks.max() < 96
