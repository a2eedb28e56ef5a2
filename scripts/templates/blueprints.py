"""The blueprints: what most people want of FlashFace as one node each, made of ordinary nodes."""

from __future__ import annotations

from collections.abc import Callable

from .edits import over, pasted, scaled
from .graph import OUTSIDE, Node
from .layout import collapse, part, place
from .studio import STRENGTH, Studio
from .subgraph import Ends

ALIASES = ["face", "portrait", "likeness", "identity", "换脸", "肖像", "人脸一致", "保持人物"]
PROMPT = "photo of a young woman in a garden, smiling, upper body, natural light, detailed skin"
SWAP = "photo of a young woman, smiling, natural light, detailed skin"


def picture(g: Studio) -> Ends:
    """Photos of a person and a prompt to a picture."""
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], PROMPT)
    faces = g.put("FlashFaceCropFaces", image=OUTSIDE)
    reference = g.encode(vae["VAE"], prompts[1], faces["faces"])
    region = g.region()
    applied = g.apply(flashface, reference, region, STRENGTH)
    model = g.guidance(applied)
    latent = g.size()
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"])
    place(
        g,
        [part("Models", list(loaders)), part("Prompt", list(prompts))],
        [part("Photos", [faces, reference])],
        [part("Where the face goes", [region])],
        [part("Picture", [applied, model, latent], [sampled, decoded])],
    )
    box = {f"face {end}": [(region, end)] for end in ("x1", "y1", "x2", "y2")}
    inputs = {
        "photos": [(faces, "image")],
        **_words(prompts),
        "strength": [(applied, "strength")],
        **box,
        "width": [(region, "width"), (latent, "width")],
        "height": [(region, "height"), (latent, "height")],
        "seed": [(sampled, "seed")],
        **_files(*loaders),
    }
    about = "A new picture of the person in the photos, as the prompt says. FlashFace, SD1.5."
    return Ends(inputs, {"image": decoded["IMAGE"]}, about, ALIASES)


def person(g: Studio) -> Ends:
    """A person for any workflow's MODEL."""
    faces = g.put("FlashFaceCropFaces", image=OUTSIDE)
    reference = g.put(
        "FlashFaceEncodeReference", vae=OUTSIDE, faces=faces["faces"], negative=OUTSIDE
    )
    applied = g.put(
        *("FlashFaceApply",),
        model=OUTSIDE,
        flashface=OUTSIDE,
        reference=reference["reference"],
        face_region=OUTSIDE,
        strength=STRENGTH,
    )
    model = g.guidance(applied)
    place(g, [part("Photos", [faces, reference])], [part("Model", [applied, model])])
    inputs = {
        "model": [(applied, "model")],
        "flashface": [(applied, "flashface")],
        "photos": [(faces, "image")],
        "vae": [(reference, "vae")],
        "negative": [(reference, "negative")],
        "face_region": [(applied, "face_region")],
        "strength": [(applied, "strength")],
        "reference_guidance": [(model, "reference_guidance")],
    }
    about = "Lets a MODEL look at the person in the photos while it paints. FlashFace, SD1.5."
    return Ends(inputs, {"model": model["model"]}, about, ALIASES)


def swap(g: Studio) -> Ends:
    """The face in a photo painted anew as another person's."""
    flashface, clip, vae = loaders = g.loaders()
    prompts = g.prompts(clip["CLIP"], SWAP)
    faces = g.put("FlashFaceCropFaces", "The person's face", image=OUTSIDE)
    reference = g.encode(vae["VAE"], prompts[1], faces["faces"])
    found = g.put("FlashFaceCropFaces", "The face in the photo", image=OUTSIDE)
    scale, size = scaled(g, OUTSIDE)
    region = over(g, "Where the face is", OUTSIDE, size, found)
    mask = g.put("GrowMask", "What is painted", mask=region["region"], expand=24)
    applied = g.apply(flashface, reference, region, STRENGTH)
    model = g.guidance(applied)
    encoded = g.put("VAEEncode", pixels=scale["IMAGE"], vae=vae["VAE"])
    latent = g.put("SetLatentNoiseMask", samples=encoded["LATENT"], mask=mask["MASK"])
    sampled, decoded = g.picture(model["model"], prompts, latent, vae["VAE"], denoise=0.9)
    edge, joined = pasted(g, scale, decoded, mask)
    collapse(encoded, latent)
    place(
        g,
        [part("Models", list(loaders)), part("Prompt", list(prompts))],
        [part("Person", [faces, reference])],
        [part("Photo", [scale, size, found])],
        [part("Where the face is", [region, mask, *edge])],
        [part("Picture", [applied, model, encoded, latent], [sampled, decoded, joined])],
    )
    inputs = {
        "photo": [(scale, "image"), (found, "image"), (region, "image")],
        "person": [(faces, "image")],
        **_words(prompts),
        "strength": [(applied, "strength")],
        "denoise": [(sampled, "denoise")],
        "seed": [(sampled, "seed")],
        **_files(*loaders),
    }
    about = "The face in a photo becomes the person's; all other pixels stay. FlashFace, SD1.5."
    return Ends(inputs, {"image": joined["IMAGE"]}, about, ["face swap", "faceswap", *ALIASES])


# Their names are what the node search shows.
BLUEPRINTS: dict[str, Callable[[Studio], Ends]] = {
    "FlashFace - photos and prompt to a picture": picture,
    "FlashFace - add a person to a MODEL": person,
    "FlashFace - swap a face": swap,
}


def _words(prompts: tuple[Node, Node]) -> dict[str, list[tuple[Node, str]]]:
    return {"prompt": [(prompts[0], "text")], "negative prompt": [(prompts[1], "text")]}


def _files(flashface: Node, clip: Node, vae: Node) -> dict[str, list[tuple[Node, str]]]:
    return {
        "model_name": [(flashface, "model_name")],
        "clip_name": [(clip, "clip_name")],
        "vae_name": [(vae, "vae_name")],
    }
