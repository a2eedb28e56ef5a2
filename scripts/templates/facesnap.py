"""The example workflows of FaceSnap, all with the embedded models, and their notes."""

from __future__ import annotations

from typing import Any

from .graph import Node, Output
from .layout import collapse, part, place
from .start import CFG, FACE, GUIDANCE, SEED, SIZE, STEPS, VIEW
from .studio import Prompts, Studio

WHO, SECOND = "1 freckles", "7 ponytail"
POSE = {"person": "7 ponytail", "age": "old"}  # turned to the left
SEEDS = {"facesnap_pose": 2, "facesnap_and_flashface": 2}
PROMPT = "photo of a young woman with long red hair, close-up, on a beach, daylight, shirt"
COUPLE = "photo of a young woman, close-up, on a beach, daylight, shirt"
PLACES: tuple[dict[str, Any], ...] = (
    {"x1": 0.14, "y1": 0.22, "x2": 0.36, "y2": 0.8, "square": False},
    {"x1": 0.64, "y1": 0.22, "x2": 0.86, "y2": 0.8, "square": False},
)
BESIDE = 0.5  # identity strength beside FlashFace

ABOUT = """\
**No weights of FaceSnap's authors exist.** These small ones were trained by this project on \
**rendered people only**, at 128 pixels: they show how FaceSnap works, roughly, and are **not for \
photos of real people**.
"""
WORDS = """\
**Words that it knows** are in the note of *1_start_here*, and in the help of Load FlashFace Demo.
"""
POSE_NOTE = f"""\
# A person in the pose of a picture

*Find Landmarks* tells shape, expression and pose of a face apart. *Predict Landmarks* gives the \
shape of one face the pose and expression of another, and *Apply FaceSnap* paints the person there.

{ABOUT}
## 1. Models: all of them at once.
## 2. Who: photos of the person.
## 3. Pose: a photo whose pose and expression is taken.
## 4. Prompt: what to paint.
## 5. Landmarks: look at the dots.
## 6. Picture: press Run.

**Try**

- *yaw*, *pitch* and *roll* of Predict Landmarks; *expression* none
- *identity_strength* 0: nobody in particular, in that pose
- muting *Predict Landmarks*' link to Apply: the person, wherever the prompt puts the face

{WORDS}"""
TWO_NOTE = f"""\
# Two people, placed by drawn boxes

Each person has photos, a box and an *Apply FaceSnap* of their own; *face_mask* keeps each where \
their face is.

{ABOUT}
## 1. Models: all of them at once.
## 2. First person: choose one of eight.
## 3. Second person: another one.
## 4. Prompt: what both are doing.
## 5. Where the faces go: drag the boxes.
## 6. Picture: press Run.

**Try**

- boxes of other sizes and places
- *pose* frontal in one of the Predict Landmarks, or a *yaw* of its own
- *strength* 0 in one Apply FaceSnap: that person is gone

{WORDS}"""
BOTH_NOTE = f"""\
# FaceSnap places, FlashFace paints the likeness

*Apply FaceSnap* puts the face into the pose of a picture; *Apply FlashFace* looks at the photos \
for the likeness. FaceSnap's *identity_strength* is {BESIDE}, so that the two do not pull.

{ABOUT}
## 1. Models: both methods', at once.
## 2. Who: photos of the person.
## 3. Pose: a photo whose pose and expression is taken.
## 4. Prompt: what to paint.
## 5. Landmarks: look at the dots.
## 6. Picture: press Run.

**Try**

- *strength* of Apply FaceSnap 0: FlashFace alone chooses the pose
- *strength* of Apply FlashFace 0: FaceSnap alone brings the person

{WORDS}"""


def pose_of_a_picture(g: Studio) -> Studio:
    """One person in the pose and expression of another picture."""
    note = g.explain(POSE_NOTE)
    demo, snap = _models(g)
    prompts = _prompts(g, demo, PROMPT)
    person = _person(g, snap, WHO)
    posing = _posing(g, snap)
    predicted = _predicted(g, person[-1], posing[-1], SIZE)
    applied = _applied(g, prompts, snap, person[1], predicted["landmark_image"])
    latent = g.size(SIZE, SIZE)
    collapse(latent)
    column = _painted(g, demo["plain_model"], applied, latent, demo, "facesnap_pose")
    place(
        g,
        [part("1. Models", [demo, snap]), note],
        [part("2. Who", person), part("3. Pose", posing)],
        [part("4. Prompt", list(prompts)), part("5. Landmarks", [predicted])],
        [part("6. Picture", [applied, latent], column)],
    )
    return g


def two_people(g: Studio) -> Studio:
    """Two people, each in a box of their own."""
    note = g.explain(TWO_NOTE)
    demo, snap = _models(g)
    prompts = _prompts(g, demo, COUPLE)
    chain: Prompts = prompts
    people, boxes, between = [], [], []
    for number, name, box in zip(("first", "second"), (WHO, SECOND), PLACES, strict=True):
        person = _person(g, snap, name)
        title = f"Face of the {number} person"
        region = g.region(title, **{"width": 2 * SIZE, "height": SIZE, **box})
        face = {"pose": "frontal", "face_region": region["region"]}
        predicted = _predicted(g, person[-1], None, 2 * SIZE, **face)
        picture, mask = predicted["landmark_image"], predicted["face_mask"]
        applied = _applied(g, chain, snap, person[1], picture, region_mask=mask)
        collapse(predicted, applied)
        chain = applied["positive"], applied["negative"]
        people.append(person)
        boxes.append([region])
        between += [predicted, applied]
    latent = g.size(2 * SIZE, SIZE)
    collapse(latent)
    column = _painted(g, demo["plain_model"], applied, latent, demo, "facesnap_two_people", 2)
    place(
        g,
        [part("1. Models", [demo, snap]), note],
        [part("2. First person", people[0]), part("3. Second person", people[1])],
        [part("4. Prompt", list(prompts)), part("5. Where the faces go", *boxes)],
        [part("6. Picture", [*between, latent], column)],
    )
    return g


def with_flashface(g: Studio) -> Studio:
    """FaceSnap's place and pose, FlashFace's likeness."""
    note = g.explain(BOTH_NOTE)
    demo, snap = _models(g)
    prompts = _prompts(g, demo, PROMPT)
    person = _person(g, snap, WHO)
    faces = g.crop(person[0]["photos"], size=FACE)
    reference = g.encode(demo["vae"], prompts[1], faces["faces"], repeat_to=1)
    posing = _posing(g, snap)
    predicted = _predicted(g, person[-1], posing[-1], SIZE)
    picture, half = predicted["landmark_image"], {"identity_strength": BESIDE}
    given = _applied(g, prompts, snap, person[1], picture, **half)
    applied = g.put(
        *("FlashFaceApply",),
        model=demo["model"],
        flashface=demo["flashface"],
        reference=reference["reference"],
        strength=1.0,
    )
    guided = g.guidance(applied, **GUIDANCE)
    latent = g.size(SIZE, SIZE)
    collapse(applied, guided, latent)
    column = _painted(g, guided["model"], given, latent, demo, "facesnap_and_flashface")
    place(
        g,
        [part("1. Models", [demo, snap]), note],
        [part("4. Prompt", list(prompts)), part("3. Pose", posing)],
        [part("2. Who", [person[0], faces, *person[1:]])],
        [part("5. Landmarks", [predicted])],
        [part("6. Picture", [reference, given, applied, guided, latent], column)],
    )
    return g


def _models(g: Studio) -> tuple[Node, Node]:
    return g.put("FlashFaceDemoLoader"), g.put("FaceSnapDemoLoader")


def _prompts(g: Studio, demo: Node, text: str) -> tuple[Node, Node]:
    positive = g.words(demo["clip"], "Prompt: what to paint", text)
    return positive, g.words(demo["clip"], "Negative prompt (empty)", "", "red")


def _person(g: Studio, snap: Node, name: str) -> list[Node]:
    """Photos of somebody, the identity made of them, one photo, and the face in it."""
    photos = g.put("FlashFaceDemoPerson", person=name)
    identity = g.put("FaceSnapEncodeFace", facesnap=snap["facesnap"], image=photos["photos"])
    one = g.put("FlashFaceDemoPerson", "One photo (shape)", person=name, photos=1)
    face = _found(g, snap, one)
    collapse(identity, one, face)
    return [photos, identity, one, face]


def _posing(g: Studio, snap: Node) -> list[Node]:
    """A photo whose pose is taken, and the face in it."""
    photo = g.put("FlashFaceDemoPerson", "Whose pose", photos=1, **POSE)
    face = _found(g, snap, photo)
    collapse(face)
    return [photo, face]


def _predicted(g: Studio, face: Node, driver: Node | None, width: int, **settings: Any) -> Node:
    driven = {"driver": driver["face"]} if driver else {}
    given = {**driven, **settings, "width": width, "height": SIZE}
    return g.put(
        *("FaceSnapPredictLandmarks", "Predict Landmarks"), reference=face["face"], **given
    )


def _found(g: Studio, snap: Node, photo: Node) -> Node:
    model = snap["landmark_model"]
    return g.put("FaceSnapFindLandmarks", landmark_model=model, image=photo["photos"])


def _applied(
    g: Studio, prompts: Prompts, snap: Node, identity: Node, landmarks: Output, **settings: Any
) -> Node:
    positive, negative = (
        prompt["CONDITIONING"] if isinstance(prompt, Node) else prompt for prompt in prompts
    )
    return g.put(
        *("FaceSnapApply",),
        positive=positive,
        negative=negative,
        facesnap=snap["facesnap"],
        identity=identity["identity"],
        landmark_image=landmarks,
        **settings,
    )


def _painted(
    g: Studio, model: Output, applied: Node, latent: Node, demo: Node, name: str, wide: int = 1
) -> list[Node]:
    prompts = applied["positive"], applied["negative"]
    sampled, decoded = g.picture(
        model, prompts, latent, demo["vae"], seed=SEEDS.get(name, SEED), steps=STEPS, cfg=CFG
    )
    larger = g.put(
        *("ImageScale", "Larger, to look at"),
        image=decoded["IMAGE"],
        upscale_method="lanczos",
        width=wide * VIEW,
        height=VIEW,
    )
    collapse(larger)
    return [sampled, decoded, larger, g.save(larger, name)]
