"""What the small model paints for each template's thumbnail; diagrams where it cannot run it.

Seeds were chosen among a few, as one chooses among pictures; all else is the template's.
"""

from __future__ import annotations

from typing import Any

from .demo import Painting

STEADY = {"preset": "custom", "strength": 1.0, "reference_guidance": 2.0, "launch_percent": 0.0}
RED = "photo of a young woman with long red hair, close-up"


def _person(name: str, photos: int = 4) -> dict[str, Any]:
    return {"person": name, "photos": photos, "age": "young"}


WOMAN = _person("1 freckles")
WIDE = {"width": 256, "height": 128}
HALVES = (
    {**WIDE, "x1": 0.14, "y1": 0.22, "x2": 0.36, "y2": 0.8},
    {**WIDE, "x1": 0.64, "y1": 0.22, "x2": 0.86, "y2": 0.8},
    {**WIDE, "x1": 0.0, "y1": 0.0, "x2": 0.5, "y2": 1.0},
    {**WIDE, "x1": 0.5, "y1": 0.0, "x2": 1.0, "y2": 1.0},
)

OWN = Painting((), (), own=True)

PAINTINGS: dict[str, Painting] = {
    "1_start_here": Painting((), (f"{RED}, on a beach, daylight, shirt",)),
    "2_new_picture_of_a_person": Painting((WOMAN,), (f"{RED}, in a park, daylight, shirt",)),
    "2_new_picture_simplest": Painting((WOMAN,), (f"{RED}, in a street, daylight, shirt",)),
    "3_save_a_person_and_reuse": Painting((WOMAN,), (f"{RED}, in a room, shirt",)),
    "3_several_photos_of_a_person": Painting(
        (_person("1 freckles", 1), {**_person("1 freckles", 1), "age": "old"}),
        (f"{RED}, plain background, shirt",),
    ),
    "4_as_a_child_and_in_old_age": Painting(
        (WOMAN,),
        (
            "photo of a girl with long red hair, close-up, on a beach, daylight, shirt",
            "photo of an old woman with long grey hair, close-up, on a beach, daylight, shirt",
        ),
        {("FlashFaceSchedule", 0): STEADY},
    ),
    "4_two_people": Painting(
        (WOMAN, _person("7 ponytail")),
        ("photo of a young woman, close-up, on a beach, daylight, shirt",),
        {
            ("EmptyLatentImage", 0): WIDE,
            **{("FlashFaceRegion", number): box for number, box in enumerate(HALVES)},
        },
    ),
    "5_face_swap": Painting(
        (_person("7 ponytail"), _person("1 freckles", 1)),
        (f"{RED}, in a street, daylight",),
        {
            ("GrowMask", 0): {"expand": 6},
            ("ImageBlur", 0): {"blur_radius": 3, "sigma": 2.0},
            ("KSampler", 0): {"seed": 3},
        },
    ),
    "8_facesnap_and_flashface": OWN,
    "8_facesnap_pose_of_a_picture": OWN,
    "8_facesnap_two_people": OWN,
}
# What goes in, and what comes out: names of drawings in thumbnails.py, and people of the demo.
DIAGRAMS: dict[str, tuple[str, ...]] = {
    "5_avatar_or_drawing_to_photo": ("drawing", "picture"),
    "5_small_face_detail": ("small", "person", "picture"),
    "6_pose_and_lora_controlnet": ("person", "skeleton", "picture"),
    "6_strength_curves_nodes_2": ("person", "curve", "picture"),
    "7_face2diffusion": ("person", "words", "picture"),
    "7_face2diffusion_and_flashface": ("person", "words", "features", "picture"),
}
