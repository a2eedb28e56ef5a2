"""Example workflows that change a picture: face swap, avatar to person, face detail."""

from __future__ import annotations

from typing import Any

from .graph import PAD, Node
from .notes import FILES
from .studio import FILE, NARROW, WIDE, Studio, in_rows

BROAD = FILE + 2 * PAD
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

1. **Models**: choose your three files.
2. **Reference photos**: a photo of the person whose face you want.
3. **Prompt**: age, expression and light, so that the face fits the photo.
4. **Photo to change**: load it. With several faces in it, *order* and *index* choose one; the \
preview shows which.
5. **Picture**: press Run.

**If the picture is not right**

- the old face shines through: raise *denoise*, up to 1
- pose and light do not fit: lower *denoise* (down to 0.6), or describe them in the prompt
- hair has to change as well: raise *expand* of Grow Mask
- an edge shows: raise *blur_radius* and *sigma* of the soft edge
- not similar enough: raise *strength* of Apply FlashFace (up to 1.4), or add photos
- a small face, narrower than 1/7 of the photo: use the template *flashface_face_detail*
- the wrong region: draw it in *Create Bounding Boxes* (ComfyUI 0.27) with the photo as its \
background, and connect its *bboxes* to *Face Region*

{FILES}"""

AVATAR_NOTE = f"""\
# From an avatar or a drawing to a real person

The picture of the avatar is used twice: its face is the reference, and the new picture starts \
from it, so that pose and composition stay.

1. **Models**: choose your three files.
2. **Reference photos**: load the avatar. Where no face is found in a drawing, the whole picture \
is used; then crop it to the face first.
3. **Prompt**: say *photo* and *real person*, the age, hair, clothes and light.
4. **Where the face goes**: where it is in the avatar's picture.
5. **Picture**: press Run. *FlashFace Schedule* has the preset *one reference, avatar*.

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

1. **Models**: choose your three files.
2. **Reference photos**: a photo of the person.
3. **Prompt**: the face alone: age, expression, light. Not the whole scene.
4. **Small face**: load the picture. The preview shows the face that was found; *order* and \
*index* choose another one.
5. **Picture**: press Run.

**If the picture is not right**

- the face does not fit its surroundings: lower *denoise* (down to 0.3)
- not similar enough: raise *denoise* (up to 0.75), or *strength* of Apply FlashFace (up to 1.4)
- an edge shows: raise *feather* of Paste Faces Back
- no face is found: raise *detection_size*, or install insightface or YuNet (its node says how)
- several faces of the same person: raise *faces_per_image*; all are painted as one batch
- more or less room: *padding* p in *Detect & Crop Faces*; the face then lies \
between p / (1 + 2 p) and (1 + p) / (1 + 2 p) of the crop

As a second pass of another template: connect its *VAE Decode* in the place of the loaded picture.

{FILES}"""


def scaled(g: Studio, photo: Node) -> tuple[Node, Node]:
    """A photo with as many pixels as FlashFace was made for, and its size."""
    picture = g.node(
        *("ImageScaleToTotalPixels", (BROAD, 136)),
        image=photo["IMAGE"],
        upscale_method="lanczos",
        megapixels=MEGAPIXELS,
        resolution_steps=8,
    )
    return picture, g.node("GetImageSize", (BROAD, 136), image=picture["IMAGE"])


def face_swap(g: Studio) -> Studio:
    """Paint the face in a photo anew, and nothing else."""
    note = g.note("What to change", SWAP_NOTE, (WIDE, 990))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, SWAP)
    person = g.reference(vae, prompts[1])
    photo = g.photo("photo.png", "Photo to change", 480)
    picture, size = scaled(g, photo)
    found = g.crop(photo, "Find the face")
    region = g.region(
        *(460, "Where the face is"),
        width=size["width"],
        height=size["height"],
        bboxes=found["bboxes"],
        image=photo["IMAGE"],
    )
    mask = g.node("GrowMask", (NARROW, 110), "What is painted", mask=region["region"], expand=24)
    applied = g.apply(flashface, person[-1], region, 1.2)
    model = g.guidance(applied)
    encoded = g.node("VAEEncode", (NARROW, 70), pixels=picture["IMAGE"], vae=vae["VAE"])
    latent = g.node(
        "SetLatentNoiseMask", (NARROW, 70), samples=encoded["LATENT"], mask=mask["MASK"]
    )
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5, denoise=0.9)
    edge, saved = pasted(g, picture, decoded, mask)
    right = g.left_side(note, [[flashface, clip, vae]], prompts, *in_rows(person))
    four = g.group(
        *("4. Photo to change", right, 0, [photo, picture, size], [found]), [region, mask, encoded]
    )
    g.group("5. Picture", four.right, 0, [applied, model, latent, sampled, decoded], edge, [saved])
    return g


def pasted(g: Studio, picture: Node, decoded: Node, mask: Node) -> tuple[list[Node], Node]:
    """The new pixels over the old ones, with a soft edge; and the saved result."""
    drawn = g.node("MaskToImage", (NARROW, 70), mask=mask["MASK"])
    soft = g.node(
        *("ImageBlur", (NARROW, 110), "Soft edge"), image=drawn["IMAGE"], blur_radius=12, sigma=6.0
    )
    edge = g.node("ImageToMask", (NARROW, 90), image=soft["IMAGE"], channel="red")
    joined = g.node(
        *("ImageCompositeMasked", (NARROW, 190), "New face over the old photo"),
        destination=picture["IMAGE"],
        source=decoded["IMAGE"],
        mask=edge["MASK"],
    )
    saved = g.save(joined, g.name.removeprefix("flashface_"), (WIDE + 60, 540))
    return [drawn, soft, edge, joined], saved


def avatar_to_person(g: Studio) -> Studio:
    """A real person in the pose of a drawing."""
    note = g.note("What to change", AVATAR_NOTE, (WIDE, 960))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, REAL)
    photo = g.photo("avatar.png", "Avatar", 580)
    found = g.crop(photo, if_no_face="use whole image")
    reference = g.encode(vae, prompts[1], found["faces"])
    picture, size = scaled(g, photo)
    region = g.region(
        *(460, None),
        width=size["width"],
        height=size["height"],
        bboxes=found["bboxes"],
        image=photo["IMAGE"],
    )
    applied = g.apply(flashface, reference, region, AVATAR["strength"])
    schedule = g.node("FlashFaceSchedule", (WIDE, 460), preset="one reference, avatar", **AVATAR)
    model = g.guidance(
        applied, schedule=schedule["schedule"], reference_guidance=AVATAR["reference_guidance"]
    )
    latent = g.node("VAEEncode", (NARROW, 70), pixels=picture["IMAGE"], vae=vae["VAE"])
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=50, cfg=7.5, denoise=0.7)
    saved = g.save(decoded, "avatar_to_person", (WIDE, 480))
    right = g.left_side(note, [[flashface, clip, vae]], prompts, [photo], [found], [reference])
    four = g.group("4. Where the face goes", right, 0, [picture, size, region])
    g.group(
        *("5. Picture", four.right, 0, [applied, schedule], [model, latent]),
        [sampled, decoded, saved],
    )
    return g


def face_detail(g: Studio) -> Studio:
    """Crop a small face, paint it large, and paste it back."""
    note = g.note("What to change", DETAIL_NOTE, (WIDE, 930))
    flashface, clip, vae = g.loaders()
    prompts = g.prompts(clip, CLOSE)
    person = g.reference(vae, prompts[1])
    photo = g.photo("photo.png", "Picture with a small face", 440)
    detector = g.node("FlashFaceDetectorLoader", (BROAD, 136), detection_size=1280)
    found = g.crop(
        *(photo, "Crop the small face"),
        padding=PADDING,
        level_eyes=False,
        size=768,
        detector=detector["detector"],
    )
    region = g.region(500, "The face in the crop", **CENTRE)
    applied = g.apply(flashface, person[-1], region, 1.2)
    model = g.guidance(applied)
    latent = g.node("VAEEncode", (NARROW, 70), pixels=found["faces"], vae=vae["VAE"])
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5, denoise=0.5)
    pasted = g.node(
        *("FlashFacePasteFaces", (NARROW, 160)),
        image=photo["IMAGE"],
        faces=decoded["IMAGE"],
        bboxes=found["bboxes"],
    )
    crop = g.node("PreviewImage", (WIDE, 400), "The repainted crop", images=decoded["IMAGE"])
    saved = g.node(
        *("SaveImage", (WIDE, 480)),
        images=pasted["image"],
        filename_prefix="FlashFace/face_detail",
    )
    right = g.left_side(note, [[flashface, clip, vae]], prompts, *in_rows(person))
    four = g.group("4. Small face", right, 0, [photo, detector], [found], [region])
    columns = [applied, model, latent], [sampled, decoded, pasted], [crop, saved]
    g.group("5. Picture", four.right, 0, *columns)
    return g
