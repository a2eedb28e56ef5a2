"""Example workflows of several people, several photos and saved people, and their notes."""

from __future__ import annotations

from typing import Any

from .layout import collapse, part, place
from .notes import DEMO, FILES, HELP
from .studio import STRENGTH, WOMAN, Studio

# Two people need width: 3:2 in as many pixels as FlashFace was made for.
SIZE: dict[str, Any] = {"width": 960, "height": 640}
COUPLE = (
    "photo of a young man and a young woman standing side by side in a sunlit garden, smiling, "
    "looking at the camera, upper body, natural light, detailed skin"
)
PERSON = "person"
FACES: dict[str, dict[str, Any]] = {
    "Face of the first person": {"x1": 0.2, "y1": 0.15, "x2": 0.43, "y2": 0.5},
    "Face of the second person": {"x1": 0.57, "y1": 0.15, "x2": 0.8, "y2": 0.5},
}
HALVES: dict[str, dict[str, Any]] = {
    "Left half: first person": {"x1": 0.0, "y1": 0.0, "x2": 0.5, "y2": 1.0, "square": False},
    "Right half: second person": {"x1": 0.5, "y1": 0.0, "x2": 1.0, "y2": 1.0, "square": False},
}

TWO_PEOPLE = f"""\
# Two people in one picture

Each person has photos, a reference and an *Apply FlashFace* of their own. *attention_mask* keeps \
them apart: the first person may be seen in the left half only, the second in the right half.

## 1. Models: choose your three files.
## 2. Reference photos: one photo of each person.
## 3. Prompt: name both people, with their ages, from left to right.
## 4. Where the faces go: drag the box of each person.
## 5. Picture: press Run.

**To change more**

- another size: the same *width* and *height* in the four *Face Region* and *Empty Latent Image*
- the people stand elsewhere: change the halves, too. What both masks cover, both people share.
- a third person: copy photo, crop, reference, regions and *Apply FlashFace*, and chain the *model*
- one person alone: mute the other's *Encode Reference Faces*
- keep each face wider than 1/7 of the picture

{FILES}
{DEMO}"""


SEVERAL = f"""\
# One person from several photos, by weight

Several different photos of one person keep more likeness than one. *Combine References* says how \
much each counts: *weight_1* and *weight_2* usually add up to 1.

## 1. Models: choose your three files.
## 2. Reference photos: a good photo, and another one.
## 3. Prompt: what to paint, with an age: *young woman*.
## 4. Where the face goes: drag the box.
## 5. Picture: press Run.

**To change more**

- photos that all count alike, four as a rule: join their *faces* with *Batch Images*, and encode \
them with one *Encode Reference Faces*; delete *Combine References*
- one more weight: a second *Combine References* behind the first
- a new person between two: photos of both, weights 0.5 and 0.5

{HELP}
{FILES}
{DEMO}"""

SAVED = f"""\
# Save a person, and use them without photos

The first run paints a picture from photos and keeps the person as one small file in \
*models/flashface_references*. Later pictures need that file alone.

## 1. Models: choose your three files.
## 2. Reference photos: load a photo of the person.
## 3. Prompt: what to paint, with an age: *young woman*.
## 4. Where the face goes: drag the box.
## 5. The saved person: give a name. *Load Reference* is muted and not connected yet.
## 6. Picture: press Run.

**From then on**

1. Press R: *Load Reference* now lists the new file. Choose it, and press Ctrl+M on the node.
2. Draw a link from *reference* of *Load Reference* to *reference* of *Apply FlashFace*.
3. Delete the group *2. Reference photos* and *Save Reference*, or select these nodes and press \
Ctrl+M to mute them.

The same seed gives the same picture. The file holds small pictures of the faces, encoded faces \
and the negative prompt of the day it was saved: treat it like a photo of the person.

{HELP}
{FILES}
{DEMO}"""


def two_people(g: Studio) -> Studio:
    """Two people, a drawn Face Region for each, kept apart by halves of the picture."""
    note = g.explain(TWO_PEOPLE)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], COUPLE)
    faces = [g.region(title, **SIZE, **box) for title, box in FACES.items()]
    halves = [g.region(title, **SIZE, **half) for title, half in HALVES.items()]
    one = g.reference(vae, prompts[1], "person_1.png", "First person (left)")
    two = g.reference(vae, prompts[1], "person_2.png", "Second person (right)")
    collapse(*halves, one[1], two[1])
    model, steering = flashface, []
    for person, face, half in zip((one, two), faces, halves, strict=True):
        others = {"model": model["model"], "attention_mask": half["region"]}
        model = g.apply(flashface, person[-1], face, STRENGTH, **others)
        steering.append(model)
    steering.append(model := g.guidance(model))
    latent = g.size(**SIZE)
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"])
    saved = g.save(decoded, "two_people")
    place(
        g,
        [note],
        [part("1. Models", list(loaders)), part("3. Prompt", list(prompts))],
        [part("2. Reference photos", [*one, *two])],
        [part("4. Where the faces go", faces)],
        [part("5. Picture", [*halves, *steering, latent], [sampled, decoded, saved])],
    )
    return g


def several_references(g: Studio) -> Studio:
    """Two photos of a person, each with a weight of its own."""
    note = g.explain(SEVERAL)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], WOMAN)
    good = g.reference(vae, prompts[1], "reference.png", "Good photo")
    other = g.reference(vae, prompts[1], "reference_2.png", "Other photo")
    mixed = g.put(
        *("FlashFaceCombineReferences", "How much of each"),
        reference_1=good[-1]["reference"],
        weight_1=0.7,
        reference_2=other[-1]["reference"],
        weight_2=0.3,
    )
    region = g.region()
    applied = g.apply(flashface, mixed, region, STRENGTH)
    model = g.guidance(applied)
    latent = g.size()
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"])
    saved = g.save(decoded, "several_references")
    place(
        g,
        [part("1. Models", list(loaders)), note],
        [part("3. Prompt", list(prompts)), part("4. Where the face goes", [region])],
        [part("2. Reference photos", list(good), list(other))],
        [part("5. Picture", [mixed, applied, model, latent], [sampled, decoded, saved])],
    )
    return g


def saved_person(g: Studio) -> Studio:
    """Save a person with the first picture, and need no photos for the next ones."""
    note = g.explain(SAVED)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], WOMAN)
    photo, faces, encoded = g.reference(vae, prompts[1])
    kept = g.put("FlashFaceSaveReference", reference=encoded["reference"], name=PERSON)
    loaded = g.put("FlashFaceLoadReference", reference_name=f"{PERSON}.safetensors")
    loaded.muted = True  # its file is not there before the first run
    region = g.region()
    applied = g.apply(flashface, encoded, region, STRENGTH)
    model = g.guidance(applied)
    latent = g.size()
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"])
    saved = g.save(decoded, "saved_person")
    place(
        g,
        [part("1. Models", list(loaders)), note],
        [part("3. Prompt", list(prompts)), part("4. Where the face goes", [region])],
        [part("2. Reference photos", [photo, faces, encoded])],
        [part("5. The saved person", [kept, loaded])],
        [part("6. Picture", [applied, model, latent], [sampled, decoded, saved])],
    )
    return g
