"""The texts of the note in each example workflow (Markdown)."""

from __future__ import annotations

CLIP = "https://huggingface.co/comfyanonymous/flux_text_encoders/resolve/main/clip_l.safetensors"
VAE = (
    "https://huggingface.co/stabilityai/sd-vae-ft-mse-original/resolve/main/"
    "vae-ft-mse-840000-ema-pruned.safetensors"
)
FLASHFACE_PAGE = "https://huggingface.co/shilongz/FlashFace-SD1.5"
FLASHFACE = f"{FLASHFACE_PAGE}/resolve/main/flashface.safetensors"

FILES = f"""\
**Model files** (put them in the folder *models* of ComfyUI, then press R)

| folder | file |
|---|---|
| flashface | [flashface.safetensors]({FLASHFACE}), 10.6 GB; [its page]({FLASHFACE_PAGE}) |
| text_encoders | [clip_l.safetensors]({CLIP}) |
| vae | [vae-ft-mse-840000-ema-pruned.safetensors]({VAE}) |
"""

DEMO = """\
**Without these files** it runs with the small model that comes with the pack: *Load FlashFace \
Demo* in the place of the three loaders, *Demo Person* in that of *Load Image*; size 112 in \
*Detect & Crop Faces*, pictures of 128 x 128, cfg 4, *strength* 1, *reference_guidance* 2. Its \
pictures are small and rough.

"""
HELP = """\
**If the picture is not right**

- not similar enough: raise *strength* of Apply FlashFace (up to 1.4), or add photos
- the face looks pasted on: lower *strength* (down to 0.7)
- a beard, glasses or bangs that you do not want: name them in the negative prompt
- keep the face wider than 1/7 of the picture
"""
START = """\
# Start here: nothing to download

A **small FlashFace that comes with this pack** looks at photos of somebody it has never seen \
while it paints. It was trained by this project on **rendered people only**, at 128 pixels: it \
shows how FlashFace works and what each setting does. It is **not for photos of real people**; for \
those see the other templates and the authors' model.

## 1. Models: all of them at once.
## 2. Reference photos: choose one of eight people.
## 3. Prompt: what to paint, in its words (below).
## 4. Where the face goes: drag the box.
## 5. Pictures: press Run.

Both pictures have the same prompt and seed; only the right one sees the photos.

**Words that it knows**: *photo of a*, an age (*child*, *young*, *middle-aged*, *old*), *man*, \
*woman*, *boy* or *girl*, *with* hair, beard, *glasses*, *hat*; a place (*in a park*, *on a \
beach*, *in a street*, *in a room*, *plain background*). The help of Load FlashFace Demo has all; \
others mean nothing to it.

**Try**

- another person, with the words for that person in the prompt
- *a boy* or *an old woman* of a young person's photos
- *strength* of Apply FlashFace 0: the person is gone
- one photo instead of four; *reference_guidance* 0 and 4
"""

BASIC = f"""\
# One person, one picture

FlashFace looks at the face in a photo while it paints what the prompt says.

## 1. Models: choose your three files.
## 2. Reference photos: load a photo of the person.
## 3. Prompt: what to paint, with an age: *young woman*.
## 4. Where the face goes: drag the box.
## 5. Picture: press Run.

For more likeness and better prompt following use the template *2_new_picture_of_a_person*.

{HELP}
{FILES}
{DEMO}"""

GUIDED = f"""\
# Recommended settings: stable identity

The same as *2_new_picture_simplest*, and **FlashFace Guidance**: the prompt is guided by *cfg* of \
KSampler, the person by *reference_guidance*, each by its own scale.

## 1. Models: choose your three files.
## 2. Reference photos: load a photo of the person.
## 3. Prompt: what to paint, with an age: *young woman*.
## 4. Where the face goes: drag the box.
## 5. Picture: press Run.

After a quarter of the steps (*launch_percent*) the reference guidance starts, and each step takes \
half as long again.

{HELP}
- still not similar: raise *reference_guidance* (up to 4), or lower *launch_percent*
- the prompt is ignored: lower *reference_guidance* (down to 1.8), or raise *launch_percent*

{FILES}
{DEMO}"""

AGE = f"""\
# One person as a child and as an elder

The prompt decides the age, the reference decides who it is. **FlashFace Schedule** has the \
preset *change age*: lower strength and reference guidance, so that the prompt wins where it \
contradicts the photo. KSampler's *cfg* is 8.5.

## 1. Models: choose your three files.
## 2. Reference photos: load a photo of the person.
## 3. Prompt: one for each age; change *girl* and *woman* to fit.
## 4. Where the face goes: the same in both.
## 5. Pictures: press Run.

**If the pictures are not right**

- not similar enough: choose *custom* in FlashFace Schedule and raise *strength* and \
*reference_guidance* there; Apply FlashFace's own strength is not used with a schedule
- the age does not change: lower them
- only one age wanted: select the other Save Image and press Ctrl+B

{FILES}
{DEMO}"""

DRAWN = f"""\
# Draw how strongly the person counts, and when

The same as *2_new_picture_of_a_person*, with curves over the course of the sampling, from the \
first step (left) to the last (right).

## 1. Models: choose your three files.
## 2. Reference photos: load a photo of the person.
## 3. Prompt: what to paint, with an age: *young woman*.
## 4. Where the face goes: drag the box.
## 5. How strongly, and when: drag the points of the curves.
## 6. Picture: press Run.

A click adds a point, Ctrl+click removes one. The curves are factors, 0 to 1, on the numbers of \
*FlashFace Schedule*, which draws the result.

**If there is no editor**

- *Node 2.0 only* stands in the place of an editor: turn on *Nodes 2.0* in the menu behind the \
logo.
- *Curve Editor* is red: it is newer than ComfyUI 0.18. Delete both: the numbers and presets of \
*FlashFace Schedule* need no curves.

**What the curves do**

- strength low at the start: the prompt decides on the composition, the person on the details
- strength low at the end: fewer details of the photo, such as a beard or make-up
- guidance 0 for a while: these steps cost two predictions instead of three

{FILES}"""
