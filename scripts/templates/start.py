"""The first workflow: the embedded model and a person it has never seen; nothing to download."""

from __future__ import annotations

from typing import Any

from .graph import Node, Output
from .layout import collapse, part, place
from .notes import START
from .studio import Prompts, Studio

SIZE, FACE, VIEW = 128, 112, 512  # what the model was made for, and what one can look at
# Close-ups: of faces that are small in 128 pixels it has not learned enough.
PROMPT = "photo of a young woman with long red hair, close-up, on a beach, daylight, shirt"
# As the training's own pictures are made.
STRENGTH, CFG, STEPS, SEED = 1.0, 4.0, 20, 8
GUIDANCE: dict[str, Any] = {"reference_guidance": 2.0, "launch_percent": 0.0, "rescale": 0.0}
REGION: dict[str, Any] = {"x1": 0.25, "y1": 0.22, "x2": 0.72, "y2": 0.82}


def start_here(g: Studio) -> Studio:
    """Photos, the plain model, and FlashFace with the same prompt and seed."""
    note = g.explain(START)
    demo = g.put("FlashFaceDemoLoader")
    positive = g.words(demo["clip"], "Prompt: what to paint", PROMPT)
    negative = g.words(demo["clip"], "Negative prompt (empty)", "", "red")
    person = g.put("FlashFaceDemoPerson")
    faces = g.crop(person["photos"], size=FACE)
    # The small model has seen one photo as often as four.
    reference = g.encode(demo["vae"], negative, faces["faces"], repeat_to=1)
    reference.collapsed = False
    region = g.region(None, **{"width": SIZE, "height": SIZE, **REGION})
    applied = g.apply(demo, reference, region, STRENGTH)
    guided = g.guidance(applied, **GUIDANCE)
    latent = g.size(SIZE, SIZE)
    prompts = positive, negative
    columns = [
        _picture(g, demo, model, prompts, latent, name, title)
        for model, name, title in (
            (demo["plain_model"], "start_here_plain", "Without FlashFace"),
            (guided["model"], "start_here", "With FlashFace"),
        )
    ]
    g.app_inputs = [
        *((person, "person"), (person, "age"), (positive, "text")),
        *((applied, "strength"), (columns[1][0], "seed")),
    ]
    g.app_outputs = [columns[1][-1]]
    place(
        g,
        [part("1. Models", [demo]), note],
        [part("3. Prompt", [positive, negative]), part("4. Where the face goes", [region])],
        [part("2. Reference photos", [person, faces])],
        [part("5. Pictures", [reference, applied, guided, latent], *columns)],
    )
    return g


def _picture(
    g: Studio, demo: Node, model: Output, prompts: Prompts, latent: Node, name: str, title: str
) -> list[Node]:
    sampled, decoded = g.picture(
        model, prompts, latent, demo["vae"], seed=SEED, steps=STEPS, cfg=CFG
    )
    larger = g.put(
        *("ImageScale", "Larger, to look at"),
        image=decoded["IMAGE"],
        upscale_method="lanczos",
        width=VIEW,
        height=VIEW,
    )
    collapse(larger)
    return [sampled, decoded, larger, g.save(larger, name, title)]
