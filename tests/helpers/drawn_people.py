"""Photos for the tests: small, of a person and a shot with what the test asks for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from training.people.expressions import named
from training.people.identity import person
from training.people.light import draw_light
from training.people.look import Look, make_look, usual_wear
from training.people.photo import Photo, take_photo
from training.people.shot import KINDS, Shot, draw_shot

PLAIN = {"hat": "none", "glasses": "none", "beard": "none", "style": "short", "earrings": False}


@cache
def look(seed: int, years: float = 30.0, **worn) -> Look:
    p = person(seed)
    wear = usual_wear(np.random.default_rng(seed), p, years)
    return make_look(p, years, replace(wear, **{**PLAIN, **worn}), 0)


def shot(light: str = "soft light", **known) -> Shot:
    rng = np.random.default_rng(1)
    calm = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "scene": "plain", "face_width": 0.4}
    calm |= {"expression": "neutral", "units": named("neutral"), "gaze": (0.0, 0.0)}
    drawn = draw_shot(rng, KINDS["portraits"])
    return replace(drawn, **{**calm, "light": draw_light(rng, light), **known})


def photo(seed: int = 4, size: int = 96, worn: dict | None = None, **known) -> Photo:
    return take_photo(look(seed, **(worn or {})), shot(**known), size)
