"""The two example workflows with Face2Diffusion, for make_workflows.py, and their notes."""

from __future__ import annotations

from .graph import GAP_X, PAD, TITLE, Node
from .studio import FILE, NARROW, NEGATIVE, WIDE, Studio

# What stands below one group and beside the next is 2 * PAD wider.
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

1. **Models**: choose your files. *auto* takes the best face detector that you have.
2. **Reference photos**: load a photo. Load several, as a batch, and they are averaged.
3. **Prompt**: write *f l* where the person should be.
4. **Picture**: press Run.

**If the picture is not right**

- not similar enough: give the person weight, *(f l:1.2)*, use a sharper frontal photo, or \
several; or put FlashFace beside it (template *flashface_plus_face2diffusion*)
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

1. **Models**: FlashFace's three files, and Face2Diffusion's two. *auto* takes the best face \
detector that you have.
2. **Reference photos**: load a photo. One preview shows FlashFace's crop, one the aligned face.
3. **Prompt**: write *f l* where the person should be.
4. **Where the face goes**: drag the box, or set its numbers: shares of the picture, 0 to 1.
5. **Picture**: press Run.

**To compare them**

- Face2Diffusion alone: *strength* of Apply FlashFace to 0
- FlashFace alone: an ordinary CLIP Text Encode with *a young woman* for *f l, a young woman*
- more likeness: raise *strength*; more freedom: lower it, and write *(f l:1.2)*

**Model files** (put them in the folder *models* of ComfyUI, then press R)

| folder | file |
|---|---|
| flashface, text_encoders, vae | the three files of the template *flashface_basic* |
{_FILES}"""


def basic(g: Studio) -> Studio:
    """One person in the prompt of an SD1.x checkpoint, as the authors paint."""
    note = g.note("What to change", BASIC, (WIDE, 620))
    checkpoint = g.node(
        *("CheckpointLoaderSimple", (FILE, 140)), models=(CHECKPOINT_FILE,), ckpt_name=CHECKPOINT
    )
    f2d, detector = _loaders(g)
    photo, encoded = _face(g, f2d, detector, (FILE + 2 * PAD, WIDE))
    positive = _words(g, checkpoint, encoded, EIFFEL)
    negative = g.words(checkpoint, "Negative prompt (what to avoid)", "", 120, "red")
    latent = g.node("EmptyLatentImage", (NARROW, 130), width=512, height=512)
    sampled = g.node(
        *("KSampler", (NARROW, 310)),
        model=checkpoint["MODEL"],
        positive=positive["conditioning"],
        negative=negative["CONDITIONING"],
        latent_image=latent["LATENT"],
        seed=1,
        steps=30,
        cfg=7.0,
        sampler_name="euler_ancestral",
        scheduler="normal",
    )
    decoded = g.node("VAEDecode", (NARROW, 70), samples=sampled["LATENT"], vae=checkpoint["VAE"])
    saved = g.save(decoded, "face2diffusion", (WIDE, 434))
    note.pos = (-note.size[0] - GAP_X, TITLE)
    one = g.group("1. Models", 0, 0, [checkpoint, f2d, detector])
    three = g.group("3. Prompt", one.right, 0, [positive, negative])
    below = max(one.below, three.below)
    g.group("2. Reference photos", 0, below, [photo], [encoded])
    g.group("4. Picture", three.right, 0, [latent, sampled, decoded], [saved])
    return g


def plus(g: Studio) -> Studio:
    """One photo for both: words in the prompt, reference attention in the UNet."""
    note = g.note("What to change", PLUS, (WIDE, 680))
    flashface, clip, vae = g.loaders()
    f2d, detector = _loaders(g)
    photo, encoded = _face(g, f2d, detector, (FILE, FILE + 2 * PAD))
    faces = g.crop(photo, detector=detector["detector"])
    positive = _words(g, clip, encoded, GARDEN)
    negative = g.words(clip, "Negative prompt (what to avoid)", NEGATIVE, 206, "red")
    reference = g.node(
        *("FlashFaceEncodeReference", (NARROW, 150)),
        vae=vae["VAE"],
        faces=faces["faces"],
        negative=negative["CONDITIONING"],
    )
    region = g.region(500)
    applied = g.apply(flashface, reference, region, 0.9)
    model = g.node("FlashFaceGuidance", (NARROW, 180), model=applied["model"])
    latent = g.size()
    prompts = (positive["conditioning"], negative["CONDITIONING"])
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35, cfg=7.5)
    saved = g.save(decoded, "flashface_plus_face2diffusion", (WIDE, 480))
    note.pos = (-note.size[0] - GAP_X, TITLE)
    one = g.group("1. Models", 0, 0, [f2d, detector], [flashface, clip, vae])
    three = g.group("3. Prompt", one.right, 0, [positive, negative])
    four = g.group("4. Where the face goes", three.right, 0, [region])
    below = max(one.below, three.below, four.below)
    g.group("2. Reference photos", 0, below, [photo], [encoded], [faces], [reference])
    g.group("5. Picture", four.right, 0, [applied, model, latent], [sampled, decoded, saved])
    return g


def _loaders(g: Studio) -> tuple[Node, Node]:
    """Face2Diffusion's files, and a face detector."""
    return (
        g.node(
            *("Face2DiffusionModelLoader", (FILE, 130)),
            msid_name="msid.pt",
            mapping_name="mapping.pt",
        ),
        g.node("FlashFaceDetectorLoader", (FILE, 130)),
    )


def _face(g: Studio, f2d: Node, detector: Node, widths: tuple[int, int]) -> tuple[Node, Node]:
    """A photo, and the identity made of it."""
    photo = g.node("LoadImage", (widths[0], 440), image="reference.png")
    encoded = g.node(
        *("Face2DiffusionEncodeFace", (widths[1], 580)),
        face2diffusion=f2d["face2diffusion"],
        image=photo["IMAGE"],
        detector=detector["detector"],
    )
    return photo, encoded


def _words(g: Studio, clip: Node, encoded: Node, text: str) -> Node:
    """The prompt with the person in it."""
    return g.node(
        *("Face2DiffusionTextEncode", (WIDE, 300), "Prompt (f l is the person)", "green"),
        clip=clip["CLIP"],
        text=text,
        identity=encoded["identity"],
    )
