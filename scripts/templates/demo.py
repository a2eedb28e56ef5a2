"""The example workflows with the model that comes with the pack, for pictures of what they do.

Nothing but files and numbers is exchanged: Load FlashFace Demo stands for the three loaders, Demo
Person for Load Image, and the numbers are those of the template 1_start_here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trial.graph import Prompt, nodes_of, read

from . import start

LOADERS = {
    ("FlashFaceModelLoader", 0): 0,
    ("FlashFaceModelLoader", 1): 1,
    ("CLIPLoader", 0): 2,
    ("VAELoader", 0): 3,
}
MODELS, PIXELS = "models", (start.SIZE / 1024) ** 2
SMALL: dict[str, dict[str, Any]] = {
    "FlashFaceCropFaces": {"size": start.FACE},
    "FlashFaceEncodeReference": {"repeat_to": 1},
    "FlashFaceApply": {"strength": start.STRENGTH},
    "FlashFaceGuidance": start.GUIDANCE,
    "FlashFaceRegion": {"width": start.SIZE, "height": start.SIZE, **start.REGION},
    "EmptyLatentImage": {"width": start.SIZE, "height": start.SIZE},
    "KSampler": {"steps": start.STEPS, "cfg": start.CFG, "seed": start.SEED},
    "ImageScaleToTotalPixels": {"megapixels": PIXELS},
}


@dataclass(frozen=True)
class Painting:
    """What a template paints with the small model.

    people: inputs of Demo Person for every Load Image, in the order of the nodes. texts: of the
    prompts, the negative one (the last) is left empty. numbers: inputs by class and number of node.
    own: the template has the small models already and is painted as it is.
    """

    people: tuple[dict[str, Any], ...]
    texts: tuple[str, ...]
    numbers: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    own: bool = False


def with_demo(name: str, painting: Painting) -> Prompt:
    """The API prompt of a template with the small model in it."""
    prompt = read(name)
    if painting.own:
        return prompt
    kinds = {node: entry["class_type"] for node, entry in prompt.items()}
    for entry in prompt.values():
        for key, value in entry["inputs"].items():
            if isinstance(value, list) and (kinds.get(value[0]), value[1]) in LOADERS:
                entry["inputs"][key] = [MODELS, LOADERS[kinds[value[0]], value[1]]]
    for kind, _ in LOADERS:
        for node in [node for node in prompt if kinds[node] == kind]:
            prompt.pop(node, None)
    prompt[MODELS] = {"class_type": "FlashFaceDemoLoader", "inputs": {}}
    _people(prompt, painting)
    for kind, inputs in SMALL.items():
        for entry in prompt.values():
            if entry["class_type"] == kind:
                _set(entry, inputs)
    for node, text in zip(nodes_of(prompt, "CLIPTextEncode"), (*painting.texts, ""), strict=True):
        prompt[node]["inputs"]["text"] = text
    for (kind, number), inputs in painting.numbers.items():
        _set(prompt[nodes_of(prompt, kind)[number]], inputs)
    return prompt


def _people(prompt: Prompt, painting: Painting) -> None:
    photos = [node for node, entry in prompt.items() if entry["class_type"] == "LoadImage"]
    for node, inputs in zip(photos, painting.people, strict=True):
        prompt[node] = {"class_type": "FlashFaceDemoPerson", "inputs": inputs}


def _set(entry: dict[str, Any], inputs: dict[str, Any]) -> None:
    """Set inputs, but those that are linked."""
    linked = {key for key, value in entry["inputs"].items() if isinstance(value, list)}
    entry["inputs"].update({key: value for key, value in inputs.items() if key not in linked})
