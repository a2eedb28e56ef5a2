"""The example workflow with a pose by ControlNet and a LoRA, and its note."""

from __future__ import annotations

from .graph import Node
from .notes import FILES, HELP
from .studio import FILE, WIDE, Studio, in_rows

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

1. **Models**: choose your files. *Load LoRA*: any LoRA for SD1.5; without one, select the node \
and press Ctrl+B to bypass it.
2. **Reference photos**: load a photo of the person.
3. **Prompt**: say what to paint, with the words that your LoRA asks for.
4. **Pose, and where the face goes**: load a picture of an OpenPose skeleton, and set the box \
over its head. Keep the head wider than 1/7 of the picture.
5. **Picture**: press Run.

**Pose and LoRA**

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
    note = g.note("What to change", NOTE, (WIDE, 1040))
    flashface, clip, vae = g.loaders()
    lora = g.node(
        *("LoraLoader", (FILE, 160)),
        model=flashface["model"],
        clip=clip["CLIP"],
        lora_name=LORA,
        strength_model=0.8,
        strength_clip=0.8,
    )
    control = g.node(
        *("ControlNetLoader", (FILE, 90)), models=(CONTROLNET_FILE,), control_net_name=CONTROLNET
    )
    prompts = g.prompts(lora, DANCER)
    person = g.reference(vae, prompts[1])
    pose = g.photo("pose.png", "Pose")
    posed = _posed(g, prompts, control, pose)
    region = g.region(500, None, image=pose["IMAGE"])
    applied = g.apply(flashface, person[-1], region, 1.2, model=lora["MODEL"])
    model = g.guidance(applied)
    latent = g.size()
    sampled, decoded = g.picture(
        *(model, (posed["positive"], posed["negative"]), latent, vae), steps=35, cfg=7.5
    )
    saved = g.save(decoded, "controlnet_lora", (WIDE, 480))
    right = g.left_side(note, [[flashface, clip, vae], [lora, control]], prompts, *in_rows(person))
    four = g.group("4. Pose, and where the face goes", right, 0, [pose, posed], [region])
    g.group("5. Picture", four.right, 0, [applied, model, latent], [sampled, decoded, saved])
    return g


def _posed(g: Studio, prompts: tuple[Node, Node], control: Node, pose: Node) -> Node:
    """Both prompts with the pose, which lets go of the last steps."""
    return g.node(
        *("ControlNetApplyAdvanced", (FILE, 250)),
        positive=prompts[0]["CONDITIONING"],
        negative=prompts[1]["CONDITIONING"],
        control_net=control["CONTROL_NET"],
        image=pose["IMAGE"],
        strength=0.8,
        end_percent=0.8,
    )
