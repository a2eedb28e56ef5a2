"""The parts that the example workflows share: `Studio`, a graph that knows them by name."""

from __future__ import annotations

from typing import Any

from .graph import Graph, Node, Output
from .layout import collapse
from .notes import CLIP, FLASHFACE, VAE

REGION: dict[str, Any] = {"x1": 0.3, "y1": 0.2, "x2": 0.6, "y2": 0.5}
NEGATIVE = "blurry, deformed, disfigured, bad anatomy, low resolution, text, watermark"
WOMAN = (
    "photo of a beautiful young woman in a blue linen dress, standing in a sunlit garden, "
    "smiling, looking at the camera, upper body, natural light, detailed skin"
)
REFERENCE = "reference.png"
STRENGTH, STEPS, CFG = 1.2, 35, 7.5  # recommended for the authors' weights
FLASHFACE_FILE = {"name": "flashface.safetensors", "url": FLASHFACE, "directory": "flashface"}
CLIP_FILE = {"name": "clip_l.safetensors", "url": CLIP, "directory": "text_encoders"}
VAE_FILE = {"name": "vae-ft-mse-840000-ema-pruned.safetensors", "url": VAE, "directory": "vae"}
LIVE_PREVIEW = 220  # what KSampler shows of its work, below its widgets (px)
COLUMN, BROAD = 226, 240  # widths (px)
WIDE = {"LoraLoader", "FlashFaceGuidance", "FlashFaceSchedule", "Face2DiffusionEncodeFace"}
# What inputs, widgets and previews need below the title, in both node designs, in pixels.
PREVIEW = 220
HEIGHTS = {
    **{"CheckpointLoaderSimple": 102, "CLIPLoader": 114, "VAELoader": 62, "LoraLoader": 138},
    **{"ControlNetLoader": 62, "ControlNetApplyAdvanced": 198, "CLIPTextEncode": 102},
    **{"FlashFaceModelLoader": 130, "FlashFaceDemoLoader": 138, "FlashFaceDemoPerson": 142},
    **{"FlashFaceDetectorLoader": 110, "FlashFaceCropFaces": 286 + PREVIEW, "LoadImage": 322},
    **{"FlashFaceEncodeReference": 126, "FlashFaceCombineReferences": 134, "FlashFaceRegion": 452},
    **{"FlashFaceSaveReference": 94 + PREVIEW, "FlashFaceLoadReference": 86 + PREVIEW},
    **{"FlashFaceApply": 190, "FlashFaceGuidance": 158, "FlashFaceSchedule": 368},
    **{"FlashFacePasteFaces": 154, "Face2DiffusionModelLoader": 138},
    **{"Face2DiffusionEncodeFace": 242 + PREVIEW, "Face2DiffusionTextEncode": 246},
    **{"FaceSnapDemoLoader": 58, "FaceSnapEncodeFace": 226 + PREVIEW, "FaceSnapApply": 230},
    **{"FaceSnapFindLandmarks": 194 + PREVIEW, "FaceSnapPredictLandmarks": 346 + PREVIEW},
    **{"CurveEditor": 278, "EmptyLatentImage": 118, "KSampler": 262 + LIVE_PREVIEW},
    **{"GetImageSize": 74, "GrowMask": 86, "MaskToImage": 34, "ImageBlur": 90, "ImageToMask": 62},
    **{"ImageScale": 146, "ImageScaleToTotalPixels": 114, "ImageCompositeMasked": 158},
    **{"SetLatentNoiseMask": 54, "VAEDecode": 54, "VAEEncode": 54},
    **{"PreviewImage": 34 + PREVIEW, "SaveImage": 70 + PREVIEW},
}

Prompts = tuple[Node, Node] | tuple[Output, Output]


class Studio(Graph):
    """The parts that all workflows share."""

    def put(
        self, type_: str, title: str | None = None, color: str | None = None, /, **inputs: Any
    ) -> Node:
        """Add a node with the size that it needs."""
        size = (BROAD if type_ in WIDE else COLUMN, HEIGHTS[type_])
        return self.node(type_, size, title, color, **inputs)

    def explain(self, text: str) -> Node:
        """The workflow's note, in Markdown."""
        return self.note("What to change", text, (COLUMN, 220))

    def loaders(self) -> tuple[Node, Node, Node]:
        """The three model files."""
        return (
            self.put(
                "FlashFaceModelLoader", models=(FLASHFACE_FILE,), model_name=FLASHFACE_FILE["name"]
            ),
            self.put(
                *("CLIPLoader",),
                models=(CLIP_FILE,),
                clip_name=CLIP_FILE["name"],
                type="stable_diffusion",
            ),
            self.put("VAELoader", models=(VAE_FILE,), vae_name=VAE_FILE["name"]),
        )

    def words(self, clip: Output, title: str, text: str, color: str = "green") -> Node:
        """A prompt."""
        return self.put("CLIPTextEncode", title, color, clip=clip, text=text)

    def prompts(self, clip: Output, text: str) -> tuple[Node, Node]:
        """What to paint and what to avoid."""
        return (
            self.words(clip, "Prompt: what to paint", text),
            self.words(clip, "Negative prompt", NEGATIVE, "red"),
        )

    def guidance(self, model: Node, **settings: Any) -> Node:
        """FlashFace Guidance."""
        return self.put("FlashFaceGuidance", model=model["model"], **settings)

    def crop(self, photo: Output, title: str | None = None, **settings: Any) -> Node:
        """Detect & Crop Faces."""
        return self.put("FlashFaceCropFaces", title, image=photo, **settings)

    def photo(self, file: str, title: str | None = None) -> Node:
        """A picture of the input folder."""
        return self.put("LoadImage", title, image=file)

    def reference(
        self, vae: Node, negative: Node, file: str = REFERENCE, title: str | None = None
    ) -> tuple[Node, Node, Node]:
        """A photo, its face, and the reference made of it (collapsed)."""
        photo = self.photo(file, title)
        faces = self.crop(photo["IMAGE"])
        return photo, faces, self.encode(vae["VAE"], negative, faces["faces"])

    def encode(self, vae: Output, negative: Node, faces: Output, **settings: Any) -> Node:
        """Encode Reference Faces (collapsed)."""
        encoded = self.put(
            *("FlashFaceEncodeReference",),
            vae=vae,
            faces=faces,
            negative=negative["CONDITIONING"],
            **settings,
        )
        collapse(encoded)
        return encoded

    def region(self, title: str | None = None, /, **settings: Any) -> Node:
        """Where the face goes; in a picture of 768 x 768 unless the settings say otherwise."""
        given = {"width": 768, "height": 768, **REGION, **settings}
        return self.put("FlashFaceRegion", title, **given)

    def apply(
        self, loader: Node, reference: Node, region: Node, strength: float, **settings: Any
    ) -> Node:
        """Apply FlashFace, to the loader's model unless the settings have another."""
        given = {"model": loader["model"], "face_region": region["region"], **settings}
        return self.put(
            *("FlashFaceApply",),
            flashface=loader["flashface"],
            reference=reference["reference"],
            strength=strength,
            **given,
        )

    def size(self, width: int = 768, height: int = 768) -> Node:
        """An empty latent."""
        return self.put("EmptyLatentImage", width=width, height=height)

    def picture(
        self, model: Output, prompts: Prompts, latent: Node, vae: Output, **settings: Any
    ) -> tuple[Node, Node]:
        """KSampler, as FlashFace is used best, and VAEDecode (collapsed)."""
        positive, negative = (
            prompt["CONDITIONING"] if isinstance(prompt, Node) else prompt for prompt in prompts
        )
        given = {"seed": 1, "sampler_name": "euler", "scheduler": "sgm_uniform"}
        sampled = self.put(
            *("KSampler",),
            model=model,
            positive=positive,
            negative=negative,
            latent_image=latent["LATENT"],
            **{**given, "steps": STEPS, "cfg": CFG, **settings},
        )
        decoded = self.put("VAEDecode", samples=sampled["LATENT"], vae=vae)
        collapse(decoded)
        return sampled, decoded

    def save(self, decoded: Node, name: str, title: str | None = None) -> Node:
        """Save the picture in the folder FlashFace."""
        prefix = f"FlashFace/{name}"
        return self.put("SaveImage", title, images=decoded["IMAGE"], filename_prefix=prefix)
