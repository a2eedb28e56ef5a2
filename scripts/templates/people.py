"""Example workflows of several people, several photos and saved people, and their notes."""

from __future__ import annotations

from typing import Any

from .notes import FILES, HELP
from .studio import FILE, NARROW, WIDE, WOMAN, Studio, in_rows

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

1. **Models**: choose your three files.
2. **Reference photos**: one photo of each person.
3. **Prompt**: name both people, with their ages, from left to right.
4. **Where the faces go**: drag the box in each person's *Face Region*; beside it are the halves.
5. **Picture**: press Run.

**To change more**

- another size: the same *width* and *height* in the four *Face Region* and *Empty Latent Image*
- the people stand elsewhere: change the halves, too. What both masks cover, both people share.
- a third person: copy photo, crop, reference, regions and *Apply FlashFace*, and chain the *model*
- one person alone: mute the other's *Encode Reference Faces*
- keep each face wider than 1/7 of the picture

{FILES}"""


SEVERAL = f"""\
# One person from several photos, by weight

Several different photos of one person keep more likeness than one. Photos of one *Encode \
Reference Faces* all count alike; *Combine References* says how much each reference counts.

1. **Models**: choose your three files.
2. **Reference photos**: two good photos, and a third one, such as another age, another \
hairstyle or another person to mix in. *weight_1* and *weight_2* usually add up to 1.
3. **Prompt**: say what to paint. Always give the age, like *young woman* or *old man*.
4. **Where the face goes**: drag the box, or set its numbers: shares of the picture, 0 to 1.
5. **Picture**: press Run.

**To change more**

- only good photos: connect the reference of the good photos to *Apply FlashFace* and delete \
*Combine References*. Four photos are the usual number.
- one more photo: a second *Batch Images*, with the first one's output and the new face
- one more weight: a second *Combine References* behind the first
- a new person between two: photos of both, weights 0.5 and 0.5

{HELP}
{FILES}"""

SAVED = f"""\
# Save a person, and use them without photos

The first run paints a picture from photos and keeps the person as one small file in \
*models/flashface_references*. Later pictures need that file alone.

1. **Models**: choose your three files.
2. **Reference photos**: load a photo. *Save Reference* gives the person a name.
3. **Prompt**: say what to paint. Always give the age, like *young woman* or *old man*.
4. **Where the face goes**: drag the box, or set its numbers: shares of the picture, 0 to 1.
5. **The saved person**: muted and not connected yet.
6. **Picture**: press Run.

**From then on**

1. Press R: *Load Reference* now lists the new file. Choose it, and press Ctrl+M on the node.
2. Draw a link from *reference* of *Load Reference* to *reference* of *Apply FlashFace*.
3. Delete the group *2. Reference photos*, or select its nodes and press Ctrl+M to mute them.

The same seed gives the same picture. The file holds small pictures of the faces, encoded faces \
and the negative prompt of the day it was saved: treat it like a photo of the person.

{HELP}
{FILES}"""


def two_people(g: Studio) -> Studio:
    """Two people, a drawn Face Region for each, kept apart by halves of the picture."""
    note = g.note("What to change", TWO_PEOPLE, (WIDE, 1010))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, COUPLE)
    faces = [g.region(420, title, **SIZE, **box) for title, box in FACES.items()]
    halves = [g.region(420, title, **SIZE, **half) for title, half in HALVES.items()]
    one = g.reference(vae, prompts[1], "person_1.png", "First person (left)")
    two = g.reference(vae, prompts[1], "person_2.png", "Second person (right)")
    model = flashface
    steering = []
    for person, face, half in zip((one, two), faces, halves, strict=True):
        others = {"model": model["model"], "attention_mask": half["region"]}
        model = g.apply(flashface, person[-1], face, 1.2, **others)
        steering.append(model)
    steering.append(model := g.guidance(model))
    latent = g.size(**SIZE)
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5)
    saved = g.save(decoded, "two_people", (WIDE + 100, 480))
    right = g.left_side(note, [[flashface, clip, vae]], prompts, *in_rows(one, two))
    four = g.group("4. Where the faces go", right, 0, faces, halves)
    g.group("5. Picture", four.right, 0, steering, [latent, sampled, decoded, saved])
    return g


def several_references(g: Studio) -> Studio:
    """Three photos: two make one reference, a third one counts less."""
    note = g.note("What to change", SEVERAL, (WIDE, 960))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, WOMAN)
    files = {"": "First good photo", "_2": "Second good photo", "_3": "Other photo"}
    photos = [g.photo(f"reference{end}.png", title, 580) for end, title in files.items()]
    crops = [g.crop(photo) for photo in photos]
    both = g.node(
        *("ImageBatch", (NARROW, 70), "Both good photos"),
        image1=crops[0]["faces"],
        image2=crops[1]["faces"],
    )
    good = g.encode(vae, prompts[1], both["IMAGE"], "Encode the good photos")
    other = g.encode(vae, prompts[1], crops[2]["faces"], "Encode the other photo")
    mixed = g.node(
        *("FlashFaceCombineReferences", (NARROW, 150), "How much of each"),
        reference_1=good["reference"],
        weight_1=0.7,
        reference_2=other["reference"],
        weight_2=0.3,
    )
    region = g.region(500)
    applied = g.apply(flashface, mixed, region, 1.2)
    model = g.guidance(applied)
    latent = g.size()
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5)
    saved = g.save(decoded, "several_references", (WIDE, 480))
    references = [both, good, other, mixed]
    right = g.left_side(note, [[flashface, clip, vae]], prompts, photos, crops, references)
    four = g.group("4. Where the face goes", right, 0, [region])
    g.group("5. Picture", four.right, 0, [applied, model, latent], [sampled, decoded, saved])
    return g


def saved_person(g: Studio) -> Studio:
    """Save a person with the first picture, and need no photos for the next ones."""
    note = g.note("What to change", SAVED, (WIDE, 1060))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, WOMAN)
    photo, faces, encoded = g.reference(vae, prompts[1])
    kept = g.node(
        *("FlashFaceSaveReference", (NARROW, 376)), reference=encoded["reference"], name=PERSON
    )
    loaded = g.node("FlashFaceLoadReference", (FILE, 376), reference_name=f"{PERSON}.safetensors")
    loaded.muted = True  # its file is not there before the first run
    region = g.region(500)
    applied = g.apply(flashface, encoded, region, 1.2)
    model = g.guidance(applied)
    latent = g.size()
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5)
    saved = g.save(decoded, "saved_person", (WIDE, 480))
    photo.size = (photo.size[0], 580)
    right = g.left_side(note, [[flashface, clip, vae]], prompts, [photo], [faces], [encoded, kept])
    four = g.group("4. Where the face goes", right, 0, [region])
    five = g.group("5. The saved person", right, four.below, [loaded])
    g.group("6. Picture", five.right, 0, [applied, model, latent], [sampled, decoded, saved])
    return g
