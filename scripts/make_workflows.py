"""Write the example workflows: `python3 scripts/make_workflows.py`.

Each is described once, below, and written in two formats: workflows/NAME.json for people (ComfyUI
lists it under Templates) and tests/workflows/NAME_api.json for the HTTP API. Node definitions come
from the real server, which is started for it. Pictures of them: scripts/workflow_pictures.py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import workflow_face2diffusion
from comfy_server import ComfyServer, ServerError
from environment import SetupError, say
from host import PACK, find_host
from workflow_file import workflow
from workflow_graph import GAP_X, PAD, TITLE, Graph, Group, Json, Node
from workflow_notes import AGE, BASIC, CLIP, GUIDED, VAE

# The numbers of the preset "change age": they are not read, but what a node shows should be true.
AGE_SETTINGS: dict[str, Any] = {"strength": 0.9, "reference_guidance": 2.5}
REGION: dict[str, Any] = {"x1": 0.3, "y1": 0.2, "x2": 0.6, "y2": 0.5}
NEGATIVE = "blurry, deformed, disfigured, bad anatomy, low resolution, text, watermark"
WOMAN = (
    "photo of a beautiful young woman in a blue linen dress, standing in a sunlit garden, "
    "smiling, looking at the camera, upper body, natural light, detailed skin"
)
AGES = {
    "child": "photo of a little girl, 6 years old, on a swing in a park, smiling, upper body",
    "adult": "photo of a young woman, 30 years old, in a cafe, smiling, upper body",
    "elder": "photo of a very old woman, 80 years old, grey hair, wrinkles, smiling, upper body",
}
CLIP_FILE = {"name": "clip_l.safetensors", "url": CLIP, "directory": "text_encoders"}
VAE_FILE = {"name": "vae-ft-mse-840000-ema-pruned.safetensors", "url": VAE, "directory": "vae"}
NARROW, FILE, WIDE = 290, 330, 380  # nodes with short values; with file names; with pictures


class Studio(Graph):
    """The parts that all workflows share, with room for what the nodes show."""

    def loaders(self) -> tuple[Node, Node, Node]:
        """The three model files."""
        return (
            self.node("FlashFaceModelLoader", (FILE, 140), model_name="flashface.safetensors"),
            self.node(
                *("CLIPLoader", (FILE, 140)),
                models=(CLIP_FILE,),
                clip_name=CLIP_FILE["name"],
                type="stable_diffusion",
            ),
            self.node("VAELoader", (FILE, 112), models=(VAE_FILE,), vae_name=VAE_FILE["name"]),
        )

    def words(self, clip: Node, title: str, text: str, height: int, color: str = "green") -> Node:
        """A prompt."""
        size = (WIDE, height)
        return self.node("CLIPTextEncode", size, title, color, clip=clip["CLIP"], text=text)

    def reference(self, vae: Node, negative: Node) -> tuple[Node, Node, Node]:
        """A photo, its face, and the reference made of it."""
        photo = self.node("LoadImage", (FILE + 2 * PAD, 440), image="reference.png")
        faces = self.node("FlashFaceCropFaces", (WIDE + 2 * PAD, 580), image=photo["IMAGE"])
        encoded = self.node(
            *("FlashFaceEncodeReference", (NARROW, 150)),
            vae=vae["VAE"],
            faces=faces["faces"],
            negative=negative["CONDITIONING"],
        )
        return photo, faces, encoded

    def region(self, height: int) -> Node:
        """Where the face goes in a picture of 768 x 768."""
        return self.node("FlashFaceRegion", (NARROW, height), width=768, height=768, **REGION)

    def apply(self, loader: Node, reference: Node, region: Node, strength: float) -> Node:
        """Apply FlashFace."""
        return self.node(
            *("FlashFaceApply", (NARROW, 220)),
            model=loader["model"],
            flashface=loader["flashface"],
            reference=reference["reference"],
            face_region=region["region"],
            strength=strength,
        )

    def size(self) -> Node:
        """An empty latent of 768 x 768."""
        return self.node("EmptyLatentImage", (NARROW, 130), width=768, height=768)

    def picture(
        self, model: Node, prompts: tuple[Node, Node], latent: Node, vae: Node, **settings: Any
    ) -> tuple[Node, Node]:
        """KSampler, with the sampler and scheduler that FlashFace was made with, and VAEDecode."""
        sampled = self.node(
            *("KSampler", (NARROW, 310)),
            model=model["model"],
            positive=prompts[0]["CONDITIONING"],
            negative=prompts[1]["CONDITIONING"],
            latent_image=latent["LATENT"],
            seed=1,
            sampler_name="euler",
            scheduler="sgm_uniform",
            **settings,
        )
        size = (NARROW, 70)
        return sampled, self.node("VAEDecode", size, samples=sampled["LATENT"], vae=vae["VAE"])

    def save(self, decoded: Node, name: str, size: tuple[int, int]) -> Node:
        """Save the picture in the folder FlashFace."""
        prefix = f"FlashFace/{name}"
        return self.node("SaveImage", size, images=decoded["IMAGE"], filename_prefix=prefix)

    def upper_row(
        self, note: Node, models: list[Node], prompts: list[Node], region: Node
    ) -> list[Group]:
        """The note, and the groups of models, prompts and region."""
        note.pos = (-note.size[0] - GAP_X, TITLE)
        one = self.group("1. Models", 0, 0, models)
        three = self.group("3. Prompt", one.right, 0, prompts)
        return [one, three, self.group("4. Where the face goes", three.right, 0, [region])]


def single(name: str, info: Json, guided: bool) -> Graph:
    """One person, one picture, with or without FlashFace Guidance."""
    g = Studio(name, info)
    note = g.note("What to change", GUIDED if guided else BASIC, (WIDE, 800 if guided else 700))
    flashface, clip, vae = g.loaders()
    positive = g.words(clip, "Prompt (what to paint)", WOMAN, 240)
    negative = g.words(clip, "Negative prompt (what to avoid)", NEGATIVE, 206, "red")
    photo, faces, reference = g.reference(vae, negative)
    region = g.region(500)
    model = g.apply(flashface, reference, region, 1.2)
    steering = [model]
    if guided:
        model = g.node("FlashFaceGuidance", (NARROW, 180), model=model["model"])
        steering.append(model)
    latent = g.size()
    prompts = positive, negative
    sampled, decoded = g.picture(model, prompts, latent, vae, steps=35 if guided else 30, cfg=7.5)
    saved = g.save(decoded, name.removeprefix("flashface_"), (WIDE, 480))
    row = g.upper_row(note, [flashface, clip, vae], [positive, negative], region)
    g.group("2. Reference photos", 0, row[0].below, [photo], [faces], [reference])
    g.group("5. Picture", row[-1].right, 0, [*steering, latent], [sampled, decoded, saved])
    return g


def basic(info: Json) -> Graph:
    """Apply FlashFace alone."""
    return single("flashface_basic", info, guided=False)


def guided(info: Json) -> Graph:
    """The recommended settings, "stable identity"."""
    return single("flashface_guided", info, guided=True)


def age(info: Json) -> Graph:
    """One person as child, adult and elder."""
    g = Studio("flashface_age", info)
    note = g.note("What to change", AGE, (WIDE, 840))
    flashface, clip, vae = g.loaders()
    prompts = [g.words(clip, f"Prompt: {who}", text, 110) for who, text in AGES.items()]
    negative = g.words(clip, "Negative prompt (for all)", NEGATIVE, 110, "red")
    photo, faces, reference = g.reference(vae, negative)
    region = g.region(602)
    applied = g.apply(flashface, reference, region, AGE_SETTINGS["strength"])
    schedule = g.node("FlashFaceSchedule", (WIDE, 460), preset="change age", **AGE_SETTINGS)
    model = g.node(
        *("FlashFaceGuidance", (NARROW, 200)),
        model=applied["model"],
        schedule=schedule["schedule"],
        reference_guidance=AGE_SETTINGS["reference_guidance"],
    )
    latent = g.size()
    samplers, saved = [], []
    for who, prompt in zip(AGES, prompts, strict=True):
        pair = g.picture(model, (prompt, negative), latent, vae, steps=25, cfg=8.5)
        samplers += pair
        saved.append(g.save(pair[1], f"age_{who}", (NARROW + PAD, 434)))
    row = g.upper_row(note, [flashface, clip, vae], [*prompts, negative], region)
    below = max(group.below for group in row)
    g.group("2. Reference photos", 0, below, [photo], [faces], [reference])
    steering = [[applied, schedule], [model, latent]]
    g.group("5. Pictures", row[-1].right, 0, *steering, samplers, saved)
    return g


WORKFLOWS: dict[str, Callable[[Json], Graph]] = {
    "flashface_basic": basic,
    "flashface_guided": guided,
    "flashface_age": age,
    "face2diffusion_basic": lambda info: workflow_face2diffusion.basic(
        Studio("face2diffusion_basic", info)
    ),
    "flashface_plus_face2diffusion": lambda info: workflow_face2diffusion.plus(
        Studio("flashface_plus_face2diffusion", info)
    ),
}


def files(info: Json) -> dict[Path, str]:
    """Every file that this script writes, by its path relative to the pack, with its text."""
    found = {}
    for name, build in WORKFLOWS.items():
        graph = build(info)
        for path, data in (
            (Path("workflows", f"{name}.json"), workflow(graph)),
            (Path("tests", "workflows", f"{name}_api.json"), graph.prompt()),
        ):
            found[path] = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return found


def main() -> int:
    """Start the server, write the files; 0 on success."""
    try:
        host = find_host()
        with tempfile.TemporaryDirectory(prefix="flashface-workflows-") as base:
            say(f"asking ComfyUI {host.version} for its nodes ...")
            with ComfyServer(host, Path(base)) as server:
                info = server.object_info()
    except (SetupError, ServerError) as error:
        say(f"error: {error}")
        return 1
    for path, text in files(info).items():
        (PACK / path).parent.mkdir(parents=True, exist_ok=True)
        (PACK / path).write_text(text, encoding="utf-8", newline="\n")
        say(str(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
