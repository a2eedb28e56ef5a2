"""Example workflows of several people, several photos and saved people, and their notes."""

from __future__ import annotations

from typing import Any

from workflow_graph import GAP_X, TITLE, Node
from workflow_notes import FILES
from workflow_studio import NARROW, NEGATIVE, WIDE, Studio

# Two people need width: 3:2 in as many pixels as FlashFace was made for.
SIZE: dict[str, Any] = {"width": 960, "height": 640}
COUPLE = (
    "photo of a young man and a young woman standing side by side in a sunlit garden, smiling, "
    "looking at the camera, upper body, natural light, detailed skin"
)
FIRST, SECOND = "person_1.png", "person_2.png"
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
4. **Where the faces go**: draw one box for each face in *Create Bounding Boxes*. Drag a box or \
its edges; drag beside it for a new one; Delete removes it.
5. **Picture**: press Run.

**If you cannot draw**

- *Node 2.0 only* stands in the place of the boxes: turn on *Nodes 2.0* in the menu behind the \
logo. The boxes count in any case.
- *Create Bounding Boxes* is red: it came with ComfyUI 0.27. Delete it, give each person a *Face \
Region* of their own, and set *x1* to *y2* there: shares of the picture, 0 to 1.

**To change more**

- another size: the same *width* and *height* in *Create Bounding Boxes*, the three *Face Region* \
and *Empty Latent Image*
- the people stand elsewhere: change the halves, too. What both masks cover, both people share.
- a third person: copy photo, crop, reference, mask and *Apply FlashFace*, and chain the *model*
- keep each face wider than 1/7 of the picture

{FILES}"""


def face_box(x: int, y: int, side: int) -> dict[str, Any]:
    """A box as Create Bounding Boxes keeps it, in pixels."""
    metadata = {"type": "obj", "text": "", "desc": "", "palette": []}
    return {"x": x, "y": y, "width": side, "height": side, "metadata": metadata}


def two_people(g: Studio) -> Studio:
    """Two people, their faces in drawn boxes, kept apart by halves of the picture."""
    note = g.note("What to change", TWO_PEOPLE, (WIDE, 1010))
    flashface, clip, vae = g.loaders()
    positive = g.words(clip, "Prompt (what to paint)", COUPLE, 450)
    negative = g.words(clip, "Negative prompt (what to avoid)", NEGATIVE, 450, "red")
    boxes = g.node(
        *("CreateBoundingBoxes", (WIDE + 40, 640), "Draw a box for each face"),
        **SIZE,
        editor_state=[face_box(192, 96, 224), face_box(544, 96, 224)],
    )
    faces = g.region(460, "Both faces", **SIZE, bboxes=boxes["bboxes"])
    halves = [g.region(460, title, **SIZE, **half) for title, half in HALVES.items()]
    one = g.reference(vae, negative, FIRST, "First person (left)")
    two = g.reference(vae, negative, SECOND, "Second person (right)")
    model = flashface
    applied = []
    for person, half in zip((one, two), halves, strict=True):
        others = {"model": model["model"], "attention_mask": half["region"]}
        model = g.apply(flashface, person[-1], faces, 1.2, **others)
        applied.append(model)
    model = g.node("FlashFaceGuidance", (NARROW, 180), model=model["model"])
    latent = g.size(**SIZE)
    prompts = positive, negative
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5)
    saved = g.save(decoded, "two_people", (WIDE + 100, 480))
    right = left_side(g, note, [flashface, clip, vae], prompts, one, two)
    four = g.group("4. Where the faces go", right, 0, [boxes, faces], halves)
    g.group("5. Picture", four.right, 0, [*applied, model], [latent, sampled, decoded, saved])
    return g


def left_side(
    g: Studio, note: Node, models: list[Node], prompts: tuple[Node, Node], *rows: tuple[Node, ...]
) -> int:
    """The note, and models and prompts over rows of photos; where the groups to the right begin."""
    note.pos = (-note.size[0] - GAP_X, TITLE)
    one = g.group("1. Models", 0, 0, models)
    three = g.group("3. Prompt", one.right, 0, *([prompt] for prompt in prompts))
    below = max(one.below, three.below)
    two = g.group("2. Reference photos", 0, below, *_stacked(*rows))
    return max(two.right, three.right)


def _stacked(*rows: tuple[Node, ...]) -> list[list[Node]]:
    """Rows of nodes as columns, each row as high as its highest node."""
    for row in rows:
        height = max(node.size[1] for node in row)
        for node in row:
            node.size = (node.size[0], height)
    return [list(column) for column in zip(*rows, strict=True)]
