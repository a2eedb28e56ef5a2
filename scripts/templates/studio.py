"""The parts that the example workflows share: `Studio`, a graph that knows them by name."""

from __future__ import annotations

from typing import Any

from .graph import GAP_X, PAD, TITLE, Graph, Group, Node, Output
from .notes import CLIP, FLASHFACE, VAE

REGION: dict[str, Any] = {"x1": 0.3, "y1": 0.2, "x2": 0.6, "y2": 0.5}
NEGATIVE = "blurry, deformed, disfigured, bad anatomy, low resolution, text, watermark"
WOMAN = (
    "photo of a beautiful young woman in a blue linen dress, standing in a sunlit garden, "
    "smiling, looking at the camera, upper body, natural light, detailed skin"
)
REFERENCE = "reference.png"
FLASHFACE_FILE = {"name": "flashface.safetensors", "url": FLASHFACE, "directory": "flashface"}
CLIP_FILE = {"name": "clip_l.safetensors", "url": CLIP, "directory": "text_encoders"}
VAE_FILE = {"name": "vae-ft-mse-840000-ema-pruned.safetensors", "url": VAE, "directory": "vae"}
NARROW, FILE, WIDE = 290, 330, 380  # nodes with short values; with file names; with pictures


Prompts = tuple[Node, Node] | tuple[Output, Output]


class Studio(Graph):
    """The parts that all workflows share, with room for what the nodes show."""

    def loaders(self) -> tuple[Node, Node, Node]:
        """The three model files."""
        return (
            self.node(
                *("FlashFaceModelLoader", (FILE, 140)),
                models=(FLASHFACE_FILE,),
                model_name=FLASHFACE_FILE["name"],
            ),
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

    def prompts(self, clip: Node, text: str) -> tuple[Node, Node]:
        """What to paint and what to avoid, side by side."""
        return (
            self.words(clip, "Prompt (what to paint)", text, 450),
            self.words(clip, "Negative prompt (what to avoid)", NEGATIVE, 450, "red"),
        )

    def guidance(self, model: Node, **settings: Any) -> Node:
        """FlashFace Guidance."""
        return self.node("FlashFaceGuidance", (NARROW, 200), model=model["model"], **settings)

    def crop(self, photo: Node, title: str | None = None, **settings: Any) -> Node:
        """Detect & Crop Faces."""
        size = (WIDE + 2 * PAD, 580)
        return self.node("FlashFaceCropFaces", size, title, image=photo["IMAGE"], **settings)

    def photo(self, file: str, title: str | None = None, height: int = 440) -> Node:
        """A picture of the input folder."""
        return self.node("LoadImage", (FILE + 2 * PAD, height), title, image=file)

    def reference(
        self, vae: Node, negative: Node, file: str = REFERENCE, title: str | None = None
    ) -> tuple[Node, Node, Node]:
        """A photo, its face, and the reference made of it."""
        photo = self.photo(file, title)
        faces = self.crop(photo)
        return photo, faces, self.encode(vae, negative, faces["faces"])

    def encode(self, vae: Node, negative: Node, faces: Output, title: str | None = None) -> Node:
        """Encode Reference Faces."""
        return self.node(
            *("FlashFaceEncodeReference", (NARROW, 150), title),
            vae=vae["VAE"],
            faces=faces,
            negative=negative["CONDITIONING"],
        )

    def region(self, height: int, title: str | None = None, /, **settings: Any) -> Node:
        """Where the face goes; in a picture of 768 x 768 unless the settings say otherwise."""
        given = {"width": 768, "height": 768, **REGION, **settings}
        return self.node("FlashFaceRegion", (NARROW, height), title, **given)

    def apply(
        self, loader: Node, reference: Node, region: Node, strength: float, **settings: Any
    ) -> Node:
        """Apply FlashFace, to the loader's model unless the settings have another."""
        given = {"model": loader["model"], "face_region": region["region"], **settings}
        return self.node(
            *("FlashFaceApply", (NARROW, 220)),
            flashface=loader["flashface"],
            reference=reference["reference"],
            strength=strength,
            **given,
        )

    def size(self, width: int = 768, height: int = 768) -> Node:
        """An empty latent."""
        return self.node("EmptyLatentImage", (NARROW, 130), width=width, height=height)

    def picture(
        self, model: Node, prompts: Prompts, latent: Node, vae: Node, **settings: Any
    ) -> tuple[Node, Node]:
        """KSampler, with the sampler and scheduler that FlashFace was made with, and VAEDecode."""
        positive, negative = (
            prompt["CONDITIONING"] if isinstance(prompt, Node) else prompt for prompt in prompts
        )
        sampled = self.node(
            *("KSampler", (NARROW, 310)),
            model=model["model"],
            positive=positive,
            negative=negative,
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
        self, note: Node, models: list[Node], prompts: list[Node], *regions: list[Node]
    ) -> list[Group]:
        """The note, and the groups of models, prompts and regions."""
        note.pos = (-note.size[0] - GAP_X, TITLE)
        one = self.group("1. Models", 0, 0, models)
        three = self.group("3. Prompt", one.right, 0, prompts)
        return [one, three, self.group("4. Where the face goes", three.right, 0, *regions)]

    def left_side(
        self,
        note: Node,
        models: list[list[Node]],
        prompts: tuple[Node, Node],
        *photos: list[Node],
    ) -> int:
        """The note, and models and prompts over columns of photos; what lies right begins there."""
        note.pos = (-note.size[0] - GAP_X, TITLE)
        one = self.group("1. Models", 0, 0, *models)
        beside = [[prompt] for prompt in prompts]
        if len(models) > 1:  # then there is only room for one column
            for prompt in prompts:
                prompt.size = (prompt.size[0], 210)
            beside = [list(prompts)]
        three = self.group("3. Prompt", one.right, 0, *beside)
        two = self.group("2. Reference photos", 0, max(one.below, three.below), *photos)
        return max(two.right, three.right)


def in_rows(*rows: tuple[Node, ...]) -> list[list[Node]]:
    """Rows of nodes as columns, the nodes of a row as high as its highest."""
    for row in rows:
        height = max(node.size[1] for node in row)
        for node in row:
            node.size = (node.size[0], height)
    return [list(column) for column in zip(*rows, strict=True)]


def face_box(x: int, y: int, side: int) -> dict[str, Any]:
    """A box as Create Bounding Boxes keeps it, in pixels."""
    metadata = {"type": "obj", "text": "", "desc": "", "palette": []}
    return {"x": x, "y": y, "width": side, "height": side, "metadata": metadata}
