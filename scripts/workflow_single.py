"""Example workflows of one person in new pictures: basic, guided, age."""

from __future__ import annotations

from typing import Any

from workflow_graph import PAD
from workflow_notes import AGE, BASIC, GUIDED
from workflow_studio import NARROW, NEGATIVE, WIDE, WOMAN, Studio

# The numbers of the preset "change age": they are not read, but what a node shows should be true.
AGE_SETTINGS: dict[str, Any] = {"strength": 0.9, "reference_guidance": 2.5}
AGES = {
    "child": "photo of a little girl, 6 years old, on a swing in a park, smiling, upper body",
    "adult": "photo of a young woman, 30 years old, in a cafe, smiling, upper body",
    "elder": "photo of a very old woman, 80 years old, grey hair, wrinkles, smiling, upper body",
}


def single(g: Studio, guided: bool) -> Studio:
    """One person, one picture, with or without FlashFace Guidance."""
    note = g.note("What to change", GUIDED if guided else BASIC, (WIDE, 800 if guided else 700))
    flashface, clip, vae = g.loaders()
    positive = g.words(clip, "Prompt (what to paint)", WOMAN, 240)
    negative = g.words(clip, "Negative prompt (what to avoid)", NEGATIVE, 206, "red")
    photo, faces, reference = g.reference(vae, negative)
    region = g.region(500)
    model = g.apply(flashface, reference, region, 1.2)
    steering = [model]
    if guided:
        model = g.node("FlashFaceGuidance", (NARROW, 180), model=model["model"])
        steering.append(model)
    latent = g.size()
    prompts = positive, negative
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35 if guided else 30, cfg=7.5)
    saved = g.save(decoded, g.name.removeprefix("flashface_"), (WIDE, 480))
    row = g.upper_row(note, [flashface, clip, vae], [positive, negative], [region])
    g.group("2. Reference photos", 0, row[0].below, [photo], [faces], [reference])
    g.group("5. Picture", row[-1].right, 0, [*steering, latent], [sampled, decoded, saved])
    return g


def basic(g: Studio) -> Studio:
    """Apply FlashFace alone."""
    return single(g, guided=False)


def guided(g: Studio) -> Studio:
    """The recommended settings, "stable identity"."""
    return single(g, guided=True)


def age(g: Studio) -> Studio:
    """One person as child, adult and elder."""
    note = g.note("What to change", AGE, (WIDE, 840))
    flashface, clip, vae = g.loaders()
    prompts = [g.words(clip, f"Prompt: {who}", text, 110) for who, text in AGES.items()]
    negative = g.words(clip, "Negative prompt (for all)", NEGATIVE, 110, "red")
    photo, faces, reference = g.reference(vae, negative)
    region = g.region(602)
    applied = g.apply(flashface, reference, region, AGE_SETTINGS["strength"])
    schedule = g.node("FlashFaceSchedule", (WIDE, 460), preset="change age", **AGE_SETTINGS)
    model = g.node(
        *("FlashFaceGuidance", (NARROW, 200)),
        model=applied["model"],
        schedule=schedule["schedule"],
        reference_guidance=AGE_SETTINGS["reference_guidance"],
    )
    latent = g.size()
    samplers, saved = [], []
    for who, prompt in zip(AGES, prompts, strict=True):
        pair = g.picture(model, (prompt, negative), latent, vae, steps=25, cfg=8.5)
        samplers += pair
        saved.append(g.save(pair[1], f"age_{who}", (NARROW + PAD, 434)))
    row = g.upper_row(note, [flashface, clip, vae], [*prompts, negative], [region])
    below = max(group.below for group in row)
    g.group("2. Reference photos", 0, below, [photo], [faces], [reference])
    steering = [[applied, schedule], [model, latent]]
    g.group("5. Pictures", row[-1].right, 0, *steering, samplers, saved)
    return g
