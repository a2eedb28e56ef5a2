"""Example workflows of one person in new pictures: basic, guided, age, drawn."""

from __future__ import annotations

from typing import Any

from .graph import PAD, TIGHT_GAP, TIGHT_PAD, TITLE, Json
from .notes import AGE, BASIC, DRAWN, GUIDED
from .studio import NARROW, NEGATIVE, WIDE, WOMAN, Studio, face_box, in_rows

COLUMN, PICTURE = 270, 304  # widths in a graph that fits into 1600 x 1000
LIVE_PREVIEW = 220  # what KSampler shows of its work, below its widgets
# The numbers of the preset "change age": they are not read, but what a node shows should be true.
AGE_SETTINGS: dict[str, Any] = {
    "strength": 0.9,
    "reference_guidance": 2.5,
    "launch_percent": 0.249,  # as the front end rounds it
}
AGES = {
    "child": "photo of a little girl, 6 years old, on a swing in a park, smiling, upper body",
    "adult": "photo of a young woman, 30 years old, in a cafe, smiling, upper body",
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
    note = g.note("What to change", GUIDED if guided else BASIC, (COLUMN + 2 * TIGHT_PAD, 446))
    flashface, clip, vae = loaders = g.loaders()
    positive = g.words(clip, "Prompt (what to paint)", WOMAN, 160)
    negative = g.words(clip, "Negative prompt (what to avoid)", NEGATIVE, 110, "red")
    photo, faces, reference = g.reference(vae, negative)
    region = g.region(500)
    model = g.apply(flashface, reference, region, 1.2)
    steering = [reference, model]
    if guided:
        model = g.node("FlashFaceGuidance", (COLUMN, 160), model=model["model"])
        steering.append(model)
    latent = g.size()
    prompts = positive, negative
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35 if guided else 30, cfg=7.5)
    saved = g.save(decoded, g.name.removeprefix("flashface_"), (PICTURE, 300))
    for node, height in zip(loaders, (150, 120, 70), strict=True):
        node.size = (COLUMN, height)
    for node in (positive, negative, region, *steering, latent):
        node.size = (COLUMN, node.size[1])
    photo.size, faces.size = (PICTURE, 314), (PICTURE, 562)
    sampled.size, decoded.size = (PICTURE, 262 + LIVE_PREVIEW), (PICTURE, 50)
    one = g.group("1. Models", 0, 0, list(loaders), tight=True)
    # Nodes 2.0 shows a note at its full height: nothing may lie below it
    note.pos = (0, one.bounds[3] + TIGHT_GAP + TITLE)
    x = one.bounds[2] + TIGHT_GAP
    three = g.group("3. Prompt", x, 0, [positive, negative], tight=True)
    below = three.bounds[3] + TIGHT_GAP
    g.group("4. Where the face goes", x, below, [region], tight=True)
    x += three.bounds[2] + TIGHT_GAP
    two = g.group("2. Reference photos", x, 0, [photo, faces], tight=True)
    x += two.bounds[2] + TIGHT_GAP
    columns = [*steering, latent], [sampled, decoded, saved]
    g.group("5. Picture", x, 0, *columns, tight=True)
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


def drawn(g: Studio) -> Studio:
    """The region and the schedule drawn with the mouse."""
    note = g.note("What to change", DRAWN, (WIDE, 1000))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, WOMAN)
    person = g.reference(vae, prompts[1])
    boxes = g.node(
        *("CreateBoundingBoxes", (WIDE + 2 * PAD, 780), "Draw the face's box"),
        width=768,
        height=768,
        editor_state=[face_box(256, 128, 256)],
    )
    region = g.region(500, None, bboxes=boxes["bboxes"])
    curves = [
        g.node("CurveEditor", (NARROW, 380), f"{what} over the steps", curve=curve)
        for what, curve in CURVES.items()
    ]
    schedule = g.node(
        *("FlashFaceSchedule", (WIDE, 460)),
        strength_curve=curves[0]["curve"],
        guidance_curve=curves[1]["curve"],
    )
    applied = g.apply(flashface, person[-1], region, 1.2)
    model = g.guidance(applied, schedule=schedule["schedule"])
    latent = g.size()
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5)
    saved = g.save(decoded, "drawn", (WIDE, 480))
    right = g.left_side(note, [[flashface, clip, vae]], prompts, *in_rows(person))
    four = g.group("4. Where the face goes", right, 0, [boxes], [region])
    five = g.group("5. How strongly, and when", four.right, 0, curves, [schedule, applied])
    g.group("6. Picture", five.right, 0, [model, latent, sampled], [decoded, saved])
    return g
