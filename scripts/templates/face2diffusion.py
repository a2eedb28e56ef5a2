"""The two example workflows with Face2Diffusion, for make_workflows.py, and their notes."""

from __future__ import annotations

from .graph import Node
from .layout import collapse, part, place
from .studio import NEGATIVE, REFERENCE, Studio

CHECKPOINT = "v1-5-pruned-emaonly-fp16.safetensors"
CHECKPOINT_URL = (
    "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/" + CHECKPOINT
)
CHECKPOINT_FILE = {"name": CHECKPOINT, "url": CHECKPOINT_URL, "directory": "checkpoints"}
EIFFEL = "f l eating bread in front of the Eiffel Tower"
GARDEN = (
    "photo of f l, a young woman in a blue linen dress, standing in a sunlit garden, smiling, "
    "looking at the camera, upper body, natural light, detailed skin"
)

_FILES = (
    "| face2diffusion | msid.pt and mapping.pt of "
    "[Face2Diffusion](https://github.com/mapooon/Face2Diffusion), for non-commercial use only "
    "(CC BY-NC-SA 4.0) |\n"
    "| insightface or face_detection | a face detector that finds eyes, nose and mouth; *Load Face "
    "Detector* says which and where from |\n"
)
BASIC = f"""\
# A person as two words of the prompt

Face2Diffusion turns the face in a photo into two words. Where the prompt says **f l**, it means \
this person. The model itself is not changed, so any SD1.x checkpoint works, at its usual speed.

## 1. Models: choose your files.
## 2. Reference photos: load a photo; a batch is averaged.
## 3. Prompt: write *f l* where the person should be.
## 4. Picture: press Run.

**If the picture is not right**

- not similar enough: give the person weight, *(f l:1.2)*, use a sharper frontal photo, or \
several; or put FlashFace beside it (template *7_face2diffusion_and_flashface*)
- the prompt is ignored: take weight away, *(f l:0.8)*
- two people: connect *identity_2* and write *m n* for the second

**Model files** (put them in the folder *models* of ComfyUI, then press R)

| folder | file |
|---|---|
| checkpoints | any SD1.x checkpoint, such as [{CHECKPOINT}]({CHECKPOINT_URL}) |
{_FILES}"""
PLUS = f"""\
# FlashFace and Face2Diffusion, from one photo

**Face2Diffusion** puts the person into the prompt: two words, *f l*, that bring gist, age and \
freedom of pose. **FlashFace** lets the picture look at the photo while it is painted: shape, \
scars, details. Here one photo feeds both.

## 1. Models: choose your files.
## 2. Reference photos: load a photo.
## 3. Prompt: write *f l* where the person should be.
## 4. Where the face goes: drag the box.
## 5. Picture: press Run.

**To compare them**

- Face2Diffusion alone: *strength* of Apply FlashFace to 0
- FlashFace alone: an ordinary CLIP Text Encode with *a young woman* for *f l, a young woman*
- more likeness: raise *strength*; more freedom: lower it, and write *(f l:1.2)*

**Model files** (put them in the folder *models* of ComfyUI, then press R)

| folder | file |
|---|---|
| flashface, text_encoders, vae | the three files of the template *2_new_picture_simplest* |
{_FILES}"""


def basic(g: Studio) -> Studio:
    """One person in the prompt of an SD1.x checkpoint, as the authors paint."""
    note = g.explain(BASIC)
    checkpoint = g.put("CheckpointLoaderSimple", models=(CHECKPOINT_FILE,), ckpt_name=CHECKPOINT)
    f2d, detector = _loaders(g)
    photo, encoded = _face(g, f2d, detector)
    positive = _words(g, checkpoint, encoded, EIFFEL)
    negative = g.words(checkpoint["CLIP"], "Negative prompt", "", "red")
    latent = g.size(512, 512)
    prompts = positive["conditioning"], negative["CONDITIONING"]
    sampled, decoded = g.picture(
        *(checkpoint["MODEL"], prompts, latent, checkpoint["VAE"]),
        steps=30,
        cfg=7.0,
        sampler_name="euler_ancestral",
        scheduler="normal",
    )
    saved = g.save(decoded, "face2diffusion")
    place(
        g,
        [part("1. Models", [checkpoint, f2d, detector]), note],
        [part("2. Reference photos", [photo, encoded])],
        [part("3. Prompt", [positive, negative])],
        [part("4. Picture", [latent], [sampled, decoded, saved])],
    )
    return g


def plus(g: Studio) -> Studio:
    """One photo for both: words in the prompt, reference attention in the UNet."""
    note = g.explain(PLUS)
    flashface, clip, vae = loaders = g.loaders()
    f2d, detector = _loaders(g)
    collapse(detector)
    photo, encoded = _face(g, f2d, detector)
    faces = g.crop(photo["IMAGE"], detector=detector["detector"])
    positive = _words(g, clip, encoded, GARDEN)
    negative = g.words(clip["CLIP"], "Negative prompt", NEGATIVE, "red")
    reference = g.encode(vae["VAE"], negative, faces["faces"])
    region = g.region()
    applied = g.apply(flashface, reference, region, 0.9)
    model = g.guidance(applied)
    latent = g.size()
    prompts = positive["conditioning"], negative["CONDITIONING"]
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"])
    saved = g.save(decoded, "face2diffusion_and_flashface")
    place(
        g,
        [part("1. Models", [f2d, detector, *loaders]), note],
        [part("2. Reference photos", [photo, encoded], [faces])],
        [part("3. Prompt", [positive, negative]), part("4. Where the face goes", [region])],
        [part("5. Picture", [reference, applied, model, latent], [sampled, decoded, saved])],
    )
    return g


def _loaders(g: Studio) -> tuple[Node, Node]:
    """Face2Diffusion's files, and a face detector."""
    names = {"msid_name": "msid.pt", "mapping_name": "mapping.pt"}
    return g.put("Face2DiffusionModelLoader", **names), g.put("FlashFaceDetectorLoader")


def _face(g: Studio, f2d: Node, detector: Node) -> tuple[Node, Node]:
    """A photo, and the identity made of it."""
    photo = g.photo(REFERENCE)
    encoded = g.put(
        *("Face2DiffusionEncodeFace",),
        face2diffusion=f2d["face2diffusion"],
        image=photo["IMAGE"],
        detector=detector["detector"],
    )
    return photo, encoded


def _words(g: Studio, clip: Node, encoded: Node, text: str) -> Node:
    """The prompt with the person in it."""
    return g.put(
        *("Face2DiffusionTextEncode", "Prompt (f l is the person)", "green"),
        clip=clip["CLIP"],
        text=text,
        identity=encoded["identity"],
    )
