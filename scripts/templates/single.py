"""Example workflows of one person in new pictures: basic, guided, age, drawn."""

from __future__ import annotations

from typing import Any

from .graph import Json
from .layout import collapse, part, place
from .notes import AGE, BASIC, DRAWN, GUIDED
from .studio import NEGATIVE, STRENGTH, WOMAN, Studio

# The numbers of the preset "change age": they are not read, but what a node shows should be true.
AGE_SETTINGS: dict[str, Any] = {
    "strength": 0.9,
    "reference_guidance": 2.5,
    "launch_percent": 0.249,  # as the front end rounds it
}
AGES = {
    "child": "photo of a little girl, 6 years old, on a swing in a park, smiling, upper body",
    "elder": "photo of a very old woman, 80 years old, grey hair, wrinkles, smiling, upper body",
}


def _curve(*points: list[float]) -> Json:
    return {"points": list(points), "interpolation": "monotone_cubic"}


# Factors 0 to 1 from the first step (left) to the last.
CURVES: dict[str, Json] = {
    "Strength": _curve([0.0, 0.8], [0.3, 1.0], [1.0, 1.0]),
    "Guidance": _curve([0.0, 1.0], [0.7, 1.0], [1.0, 0.6]),
}


def single(g: Studio, guided: bool) -> Studio:
    """One person, one picture, with or without FlashFace Guidance."""
    note = g.explain(GUIDED if guided else BASIC)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], WOMAN)
    photo, faces, reference = g.reference(vae, prompts[1])
    region = g.region()
    applied = g.apply(flashface, reference, region, STRENGTH)
    steering = [applied, g.guidance(applied)] if guided else [applied]
    latent = g.size()
    sampled, decoded = g.picture(steering[-1]["model"], prompts, latent, vae["VAE"])
    saved = g.save(decoded, "new_picture")
    place(
        g,
        [part("1. Models", list(loaders)), note],
        [part("3. Prompt", list(prompts)), part("4. Where the face goes", [region])],
        [part("2. Reference photos", [photo, faces, reference])],
        [part("5. Picture", [*steering, latent], [sampled, decoded, saved])],
    )
    return g


def basic(g: Studio) -> Studio:
    """Apply FlashFace alone."""
    return single(g, guided=False)


def guided(g: Studio) -> Studio:
    """The recommended settings, "stable identity"."""
    return single(g, guided=True)


def age(g: Studio) -> Studio:
    """One person as a child and as an elder."""
    note = g.explain(AGE)
    flashface, clip, vae = loaders = g.loaders()
    prompts = [g.words(clip["CLIP"], f"Prompt: {who}", text) for who, text in AGES.items()]
    negative = g.words(clip["CLIP"], "Negative prompt, for both", NEGATIVE, "red")
    photo, faces, reference = g.reference(vae, negative)
    region = g.region()
    applied = g.apply(flashface, reference, region, AGE_SETTINGS["strength"])
    schedule = g.put("FlashFaceSchedule", preset="change age", **AGE_SETTINGS)
    model = g.guidance(
        applied,
        schedule=schedule["schedule"],
        reference_guidance=AGE_SETTINGS["reference_guidance"],
    )
    latent = g.size()
    collapse(latent)
    columns = [[applied, schedule, model, latent]]
    for who, prompt in zip(AGES, prompts, strict=True):
        painted = g.picture(
            model["model"], (prompt, negative), latent, vae["VAE"], steps=25, cfg=8.5
        )
        columns.append([*painted, g.save(painted[1], f"age_{who}")])
    place(
        g,
        [part("1. Models", list(loaders)), note],
        [part("3. Prompt", [*prompts, negative]), part("4. Where the face goes", [region])],
        [part("2. Reference photos", [photo, faces, reference])],
        [part("5. Pictures", *columns)],
    )
    return g


def drawn(g: Studio) -> Studio:
    """The course of strength and guidance drawn with the mouse."""
    note = g.explain(DRAWN)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], WOMAN)
    photo, faces, reference = g.reference(vae, prompts[1])
    region = g.region()
    curves = [
        g.put("CurveEditor", f"{what} over the steps", curve=curve)
        for what, curve in CURVES.items()
    ]
    schedule = g.put(
        *("FlashFaceSchedule",),
        strength_curve=curves[0]["curve"],
        guidance_curve=curves[1]["curve"],
    )
    applied = g.apply(flashface, reference, region, STRENGTH)
    model = g.guidance(applied, schedule=schedule["schedule"])
    latent = g.size()
    collapse(latent)
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"])
    saved = g.save(decoded, "drawn")
    place(
        g,
        [part("1. Models", list(loaders)), note],
        [part("3. Prompt", list(prompts)), part("4. Where the face goes", [region])],
        [part("2. Reference photos", [photo, faces, reference])],
        [part("5. How strongly, and when", curves)],
        [part("6. Picture", [schedule, applied, model, latent], [sampled, decoded, saved])],
    )
    return g
