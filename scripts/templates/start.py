"""The first workflow: the embedded model and a person it has never seen; nothing to download."""

from __future__ import annotations

from typing import Any

from .graph import TIGHT_GAP, TIGHT_PAD, TITLE, Node
from .notes import START
from .studio import Studio

SIZE, FACE, VIEW = 128, 112, 512  # what the model was made for, and what one can look at
# Close-ups: of faces that are small in 128 pixels it has not learned enough.
PROMPT = "photo of a young woman with long red hair, close-up, on a beach, daylight, shirt"
# As the training's own pictures are made.
STRENGTH, CFG, STEPS = 1.0, 4.0, 20
GUIDANCE: dict[str, Any] = {"reference_guidance": 2.0, "launch_percent": 0.0, "rescale": 0.0}
REGION: dict[str, Any] = {"x1": 0.25, "y1": 0.22, "x2": 0.72, "y2": 0.82}
COLUMN, PICTURE = 270, 304


def start_here(g: Studio) -> Studio:
    """Photos, the plain model, and FlashFace with the same prompt and seed."""
    note = g.note("What to change", START, (COLUMN + 2 * TIGHT_PAD, 560))
    demo = g.node("FlashFaceDemoLoader", (COLUMN, 150))
    positive = g.node(
        *("CLIPTextEncode", (COLUMN, 130), "Prompt (what to paint)", "green"),
        clip=demo["clip"],
        text=PROMPT,
    )
    negative = g.node(
        *("CLIPTextEncode", (COLUMN, 100), "Negative prompt (leave it empty)", "red"),
        clip=demo["clip"],
        text="",
    )
    person = g.node("FlashFaceDemoPerson", (PICTURE, 130))
    faces = g.node("FlashFaceCropFaces", (PICTURE, 580), image=person["photos"], size=FACE)
    reference = g.node(
        *("FlashFaceEncodeReference", (COLUMN, 130)),
        vae=demo["vae"],
        faces=faces["faces"],
        negative=negative["CONDITIONING"],
        repeat_to=1,  # the small model has seen one photo as often as four
    )
    region = g.node("FlashFaceRegion", (COLUMN, 500), width=SIZE, height=SIZE, **REGION)
    applied = g.apply(demo, reference, region, STRENGTH)
    guided = g.node("FlashFaceGuidance", (COLUMN, 160), model=applied["model"], **GUIDANCE)
    latent = g.size(SIZE, SIZE)
    for node in (applied, latent):
        node.size = (COLUMN, node.size[1])
    prompts = positive, negative
    columns = [
        _picture(g, demo, model, prompts, latent, name, title)
        for model, name, title in (
            (demo["plain_model"], "start_here_plain", "Without FlashFace"),
            (guided["model"], "start_here", "With FlashFace"),
        )
    ]
    return _placed(g, note, demo, [positive, negative], region, [person, faces],
                   [[reference, applied, guided, latent], *columns])  # fmt: skip


def _picture(
    g: Studio, demo: Node, model: Any, prompts: Any, latent: Node, name: str, title: str
) -> list[Node]:
    sampled = g.node(
        *("KSampler", (PICTURE, 262)),
        model=model,
        positive=prompts[0]["CONDITIONING"],
        negative=prompts[1]["CONDITIONING"],
        latent_image=latent["LATENT"],
        seed=8,
        steps=STEPS,
        cfg=CFG,
        sampler_name="euler",
        scheduler="sgm_uniform",
    )
    decoded = g.node("VAEDecode", (PICTURE, 50), samples=sampled["LATENT"], vae=demo["vae"])
    larger = g.node(
        *("ImageScale", (PICTURE, 130), "Larger, to look at"),
        image=decoded["IMAGE"],
        upscale_method="lanczos",
        width=VIEW,
        height=VIEW,
    )
    saved = g.save(larger, name, (PICTURE, 360))
    saved.title = title
    return [sampled, decoded, larger, saved]


def _placed(
    g: Studio,
    note: Node,
    demo: Node,
    prompts: list[Node],
    region: Node,
    photos: list[Node],
    columns: list[list[Node]],
) -> Studio:
    one = g.group("1. Models", 0, 0, [demo], tight=True)
    note.pos = (0, one.bounds[3] + TIGHT_GAP + TITLE)
    x = one.bounds[2] + TIGHT_GAP
    three = g.group("3. Prompt", x, 0, prompts, tight=True)
    g.group("4. Where the face goes", x, three.bounds[3] + TIGHT_GAP, [region], tight=True)
    x += three.bounds[2] + TIGHT_GAP
    two = g.group("2. Reference photos", x, 0, photos, tight=True)
    x += two.bounds[2] + TIGHT_GAP
    g.group("5. Pictures", x, 0, *columns, tight=True)
    return g
