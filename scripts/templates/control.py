"""The example workflow with a pose by ControlNet and a LoRA, and its note."""

from __future__ import annotations

from .graph import Node
from .layout import part, place
from .notes import FILES, HELP
from .studio import STRENGTH, Studio

CONTROLNET = "control_v11p_sd15_openpose_fp16.safetensors"
CONTROLNET_URL = (
    "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/"
    + CONTROLNET
)
CONTROLNET_FILE = {"name": CONTROLNET, "url": CONTROLNET_URL, "directory": "controlnet"}
LORA = "sd15_lora.safetensors"
DANCER = (
    "photo of a beautiful young woman in a red dress, dancing on a wooden stage, smiling, "
    "warm light, detailed skin"
)

NOTE = f"""\
# A pose by ControlNet, a style by LoRA, a person by FlashFace

The model of *Load FlashFace Model* is an ordinary SD1.5 model for all other nodes: a LoRA goes \
between it and *Apply FlashFace*, a ControlNet between the prompts and *KSampler*.

## 1. Models: choose your files.
## 2. Reference photos: load a photo of the person.
## 3. Prompt: what to paint, with your LoRA's words.
## 4. Pose: load a picture of an OpenPose skeleton.
## 5. Where the face goes: set the box over its head, wider than 1/7 of the picture.
## 6. Picture: press Run.

**Pose and LoRA**

- any LoRA for SD1.5 will do; without one, select *Load LoRA* and press Ctrl+B
- the pose wins over the face: lower *strength* of Apply ControlNet, or *end_percent* to 0.5
- the LoRA changes the face: lower *strength_model*
- edges, depth or line art instead of a skeleton: the ControlNet made for it, and its picture; \
*Canny* makes one of edges. For a photo's pose use any OpenPose preprocessor.

{HELP}
{FILES}\
| controlnet | [{CONTROLNET}]({CONTROLNET_URL}) |
| loras | any LoRA for SD1.5 |
"""


def controlnet_lora(g: Studio) -> Studio:
    """A skeleton's pose, a LoRA's style, a photo's person."""
    note = g.explain(NOTE)
    flashface, clip, vae = g.loaders()
    lora = g.put(
        *("LoraLoader",),
        model=flashface["model"],
        clip=clip["CLIP"],
        lora_name=LORA,
        strength_model=0.8,
        strength_clip=0.8,
    )
    control = g.put("ControlNetLoader", models=(CONTROLNET_FILE,), control_net_name=CONTROLNET)
    prompts = g.prompts(lora["CLIP"], DANCER)
    photo, faces, reference = g.reference(vae, prompts[1])
    pose = g.photo("pose.png", "Pose")
    posed = _posed(g, prompts, control, pose)
    region = g.region(None, image=pose["IMAGE"])
    applied = g.apply(flashface, reference, region, STRENGTH, model=lora["MODEL"])
    model = g.guidance(applied)
    latent = g.size()
    outputs = posed["positive"], posed["negative"]
    sampled, decoded = g.picture(model["model"], outputs, latent, vae["VAE"])
    saved = g.save(decoded, "controlnet_lora")
    place(
        g,
        [part("1. Models", [flashface, clip, vae, lora]),
         part("3. Prompt", list(prompts))],
        [part("4. Pose", [control, pose, posed])],
        [part("2. Reference photos", [photo, faces, reference])],
        [part("5. Where the face goes", [region]), note],
        [part("6. Picture", [applied, model, latent], [sampled, decoded, saved])],
    )  # fmt: skip
    return g


def _posed(g: Studio, prompts: tuple[Node, Node], control: Node, pose: Node) -> Node:
    """Both prompts with the pose, which lets go of the last steps."""
    return g.put(
        *("ControlNetApplyAdvanced",),
        positive=prompts[0]["CONDITIONING"],
        negative=prompts[1]["CONDITIONING"],
        control_net=control["CONTROL_NET"],
        image=pose["IMAGE"],
        strength=0.8,
        end_percent=0.8,
    )
