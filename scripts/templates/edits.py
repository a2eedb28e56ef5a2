"""Example workflows that change a picture: face swap, avatar to person, face detail."""

from __future__ import annotations

from typing import Any

from .graph import Node
from .layout import collapse, part, place
from .notes import DEMO, FILES
from .studio import STRENGTH, Studio

# The numbers of the preset: they are not read, but what a node shows should be true.
AVATAR: dict[str, Any] = {
    "strength": 0.9,
    "reference_guidance": 2.5,
    "launch_percent": 0.299,
}
MEGAPIXELS = 0.5625  # 768 x 768, in any shape
PADDING = 0.6  # around the small face, so that it blends in
# Where that leaves the face in its crop.
CENTRE: dict[str, Any] = {"x1": 0.27, "y1": 0.27, "x2": 0.73, "y2": 0.73}
SWAP = "photo of a young woman, smiling, looking at the camera, natural light, detailed skin"
CLOSE = "close-up photo of the face of a young woman, natural light, detailed skin, sharp focus"
REAL = (
    "photo of a young woman, real person, natural skin with pores, soft daylight, "
    "looking at the camera, upper body, 85 mm lens"
)

SWAP_NOTE = f"""\
# Put a person's face into an existing photo

The face in a photo is found and painted anew: the reference says who, the prompt says the rest. \
All other pixels stay as they are.

## 1. Models: choose your three files.
## 2. Reference photos: a photo of the person whose face you want.
## 3. Prompt: age, expression and light of the photo.
## 4. Photo to change: load it.
## 5. Where the face is: *order* and *index* choose another one.
## 6. Picture: press Run.

**If the picture is not right**

- the old face shines through: raise *denoise*, up to 1
- pose and light do not fit: lower *denoise* (down to 0.6), or describe them in the prompt
- hair has to change as well: raise *expand* of Grow Mask
- an edge shows: raise *blur_radius* and *sigma* of the soft edge
- not similar enough: raise *strength* of Apply FlashFace (up to 1.4), or add photos
- a small face, narrower than 1/7 of the photo: use the template *5_small_face_detail*
- the wrong region: draw it in *Create Bounding Boxes* (ComfyUI 0.27) with the photo as its \
background, and connect its *bboxes* to *Face Region*

{FILES}
{DEMO}"""

AVATAR_NOTE = f"""\
# From an avatar or a drawing to a real person

The picture of the avatar is used twice: its face is the reference, and the new picture starts \
from it, so that pose and composition stay.

## 1. Models: choose your three files.
## 2. Reference photos: load the avatar.
## 3. Prompt: *photo*, *real person*, age, hair, clothes, light.
## 4. Where the face goes: as in the avatar.
## 5. Picture: press Run.

Where no face is found in a drawing, the whole picture is used; crop it to the face then. \
*FlashFace Schedule* has the preset *one reference, avatar*.

**If the picture is not right**

- still a drawing: raise *denoise* (up to 0.85), and name what you see in the negative prompt, \
such as *drawing, 3d render, big eyes*
- pose and clothes are lost: lower *denoise* (down to 0.5)
- another pose altogether: connect *Empty Latent Image* to *KSampler* and set *denoise* to 1
- not similar enough: choose *stable identity* or *custom* in FlashFace Schedule
- the face has a drawing's proportions: choose *gentle*

{FILES}"""

DETAIL_NOTE = f"""\
# More detail and likeness for a small face

SD1.5 has few pixels for a face that is a small part of a picture. Here such a face is cropped \
with some room around it, painted anew at 768 x 768 with the person in mind, and pasted back.

## 1. Models: choose your three files.
## 2. Reference photos: a photo of the person.
## 3. Prompt: the face alone: age, expression, light.
## 4. Small face: load the picture.
## 5. The face, cropped: *order* and *index* choose another one.
## 6. Picture: press Run.

**If the picture is not right**

- the face does not fit its surroundings: lower *denoise* (down to 0.3)
- not similar enough: raise *denoise* (up to 0.75), or *strength* of Apply FlashFace (up to 1.4)
- an edge shows: raise *feather* of Paste Faces Back
- no face is found: raise *detection_size*, or install insightface or YuNet (its node says how)
- several faces of the same person: raise *faces_per_image*; all are painted as one batch
- more or less room: *padding* p in *Detect & Crop Faces*; the face then lies \
between p / (1 + 2 p) and (1 + p) / (1 + 2 p) of the crop
- for *Ultimate SD Upscale* and other upscalers in tiles: give them the MODEL **without** Apply \
FlashFace, since each tile would be asked for a whole face, and load their picture here afterwards

As a second pass of another template: connect its *VAE Decode* in the place of the loaded picture.

{FILES}"""


def scaled(g: Studio, photo: Any) -> tuple[Node, Node]:
    """A photo with as many pixels as FlashFace was made for, and its size; both collapsed."""
    picture = g.put(
        *("ImageScaleToTotalPixels",),
        image=photo,
        upscale_method="lanczos",
        megapixels=MEGAPIXELS,
        resolution_steps=8,
    )
    size = g.put("GetImageSize", image=picture["IMAGE"])
    collapse(picture, size)
    return picture, size


def over(g: Studio, title: str, photo: Any, size: Node, found: Node) -> Node:
    """The region of a photo's face."""
    return g.region(
        title,
        width=size["width"],
        height=size["height"],
        bboxes=found["bboxes"],
        image=photo,
    )


def face_swap(g: Studio) -> Studio:
    """Paint the face in a photo anew, and nothing else."""
    note = g.explain(SWAP_NOTE)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], SWAP)
    person, faces, reference = g.reference(vae, prompts[1])
    photo = g.photo("photo.png", "Photo to change")
    picture, size = scaled(g, photo["IMAGE"])
    found = g.crop(photo["IMAGE"], "Find the face")
    region = over(g, "Where the face is", photo["IMAGE"], size, found)
    region.size = (region.size[0], 400)  # Nodes 2.0 draws it higher; nothing lies below it
    mask = g.put("GrowMask", "What is painted", mask=region["region"], expand=24)
    applied = g.apply(flashface, reference, region, STRENGTH)
    model = g.guidance(applied)
    encoded = g.put("VAEEncode", pixels=picture["IMAGE"], vae=vae["VAE"])
    latent = g.put("SetLatentNoiseMask", samples=encoded["LATENT"], mask=mask["MASK"])
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"], denoise=0.9)
    edge, joined = pasted(g, picture, decoded, mask)
    collapse(encoded, latent)
    saved = g.save(joined, "face_swap")
    place(
        g,
        [part("1. Models", list(loaders)), part("3. Prompt", list(prompts))],
        [part("4. Photo to change", [photo, picture, size]), note],
        [part("2. Reference photos", [person, faces, reference])],
        [part("5. Where the face is", [found, region])],
        [part("6. Picture", [mask, *edge, applied, model, encoded, latent],
              [sampled, decoded, joined, saved])],
    )  # fmt: skip
    return g


def pasted(g: Studio, picture: Node, decoded: Node, mask: Node) -> tuple[list[Node], Node]:
    """The mask with a soft edge, and the new pixels over the old ones; the latter collapsed."""
    drawn = g.put("MaskToImage", mask=mask["MASK"])
    soft = g.put("ImageBlur", "Soft edge", image=drawn["IMAGE"], blur_radius=12, sigma=6.0)
    edge = g.put("ImageToMask", image=soft["IMAGE"], channel="red")
    joined = g.put(
        *("ImageCompositeMasked", "New face over the old photo"),
        destination=picture["IMAGE"],
        source=decoded["IMAGE"],
        mask=edge["MASK"],
    )
    collapse(drawn, edge, joined)
    return [drawn, soft, edge], joined


def avatar_to_person(g: Studio) -> Studio:
    """A real person in the pose of a drawing."""
    note = g.explain(AVATAR_NOTE)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], REAL)
    photo = g.photo("avatar.png", "Avatar")
    found = g.crop(photo["IMAGE"], if_no_face="use whole image")
    reference = g.encode(vae["VAE"], prompts[1], found["faces"])
    picture, size = scaled(g, photo["IMAGE"])
    region = over(g, "Where the face goes", photo["IMAGE"], size, found)
    applied = g.apply(flashface, reference, region, AVATAR["strength"])
    schedule = g.put("FlashFaceSchedule", preset="one reference, avatar", **AVATAR)
    model = g.guidance(
        applied, schedule=schedule["schedule"], reference_guidance=AVATAR["reference_guidance"]
    )
    latent = g.put("VAEEncode", pixels=picture["IMAGE"], vae=vae["VAE"])
    collapse(latent)
    settings = {"steps": 50, "denoise": 0.7}
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"], **settings)
    saved = g.save(decoded, "avatar_to_person")
    place(
        g,
        [part("1. Models", list(loaders)), part("3. Prompt", list(prompts))],
        [part("2. Reference photos", [photo, found, reference])],
        [part("4. Where the face goes", [picture, size, region]), note],
        [part("5. Picture", [applied, schedule, model, latent], [sampled, decoded, saved])],
    )
    return g


def face_detail(g: Studio) -> Studio:
    """Crop a small face, paint it large, and paste it back."""
    note = g.explain(DETAIL_NOTE)
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], CLOSE)
    person, faces, reference = g.reference(vae, prompts[1])
    photo = g.photo("photo.png", "Picture with a small face")
    detector = g.put("FlashFaceDetectorLoader", detection_size=1280)
    found = g.crop(
        *(photo["IMAGE"], "Crop the small face"),
        padding=PADDING,
        level_eyes=False,
        size=768,
        detector=detector["detector"],
    )
    region = g.region("The face in the crop", **CENTRE)
    applied = g.apply(flashface, reference, region, STRENGTH)
    model = g.guidance(applied)
    latent = g.put("VAEEncode", pixels=found["faces"], vae=vae["VAE"])
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"], denoise=0.5)
    crop = g.put("PreviewImage", "The repainted crop", images=decoded["IMAGE"])
    whole = g.put(
        *("FlashFacePasteFaces",),
        image=photo["IMAGE"],
        faces=decoded["IMAGE"],
        bboxes=found["bboxes"],
    )
    saved = g.put("SaveImage", images=whole["image"], filename_prefix="FlashFace/face_detail")
    collapse(region, latent)
    place(
        g,
        [part("1. Models", list(loaders)), part("3. Prompt", list(prompts))],
        [part("4. Small face", [photo, detector]), note],
        [part("2. Reference photos", [person, faces, reference])],
        [part("5. The face, cropped", [found, region, latent])],
        [part("6. Picture", [applied, model, sampled], [decoded, crop, whole, saved])],
    )
    return g
