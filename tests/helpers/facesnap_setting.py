"""A small FaceSnap in ComfyUI, and what core's own ControlNet makes of the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.controlnet
import facesnap_files
from composition import NEGATIVE, PROMPT, random
from core_nodes import core_node
from facesnap_files import controlnet_for, dots, random_identity
from safetensors.torch import load_file
from sampling import cond
from torch import Tensor
from written_down import ksampler

HINT = dots()
MODELS, BASE = "tiny.safetensors", "facesnap_base.safetensors"


@dataclass
class Snap:
    """A MODEL of 64 channels, a FlashFace of its own, a FaceSnap model that fits, two people."""

    model: Any
    flashface: Any
    facesnap: Any
    file: Path
    pack: dict[str, type]
    run_node: Callable[..., tuple]

    def __post_init__(self) -> None:
        self.anna = random_identity(self.facesnap, 60)
        self.bert = random_identity(self.facesnap, 61)

    def apply(
        self, positive: list | None = None, negative: list | None = None, **inputs: Any
    ) -> tuple:
        """Both prompts through Apply FaceSnap."""
        given = {
            "positive": positive or cond(PROMPT),
            "negative": negative or cond(NEGATIVE),
            "facesnap": self.facesnap,
            "identity": self.anna,
            "strength": 0.8,
            "identity_strength": 1.0,
            "landmark_image": HINT,
        }
        return self.run_node(self.pack["FaceSnapApply"], **{**given, **inputs})

    def core_way(
        self, positive: list | None = None, negative: list | None = None, **options: Any
    ) -> tuple:
        """Both prompts through core's ControlNet of the same weights, tokens as core has them."""
        tokens, null = self.facesnap.tokens(self.anna), self.facesnap.null_tokens()
        given = {"strength": 0.8, "start_percent": 0.0, "end_percent": 1.0, "image": HINT}
        return core_node("ControlNetApplyAdvanced")().apply_controlnet(
            with_tokens(positive or cond(PROMPT), tokens),
            with_tokens(negative or cond(NEGATIVE), null),
            self.core_control(),
            **{**given, **options},
        )

    def core_control(self) -> Any:
        """Core's ControlNet with the file's FFRNet."""
        weights = load_file(self.file)
        prefix = "control."
        own = {n.removeprefix(prefix): t for n, t in weights.items() if n.startswith(prefix)}
        return comfy.controlnet.load_controlnet_state_dict(own)

    def sample(self, positive: list, negative: list, model: Any = None, **options: Any) -> Tensor:
        """What KSampler makes of prompts."""
        model = self.model if model is None else model
        return ksampler(model, positive=positive, negative=negative, **options)


def load_snap(pack: dict[str, type], run_node: Callable[..., tuple], base: Path) -> Snap:
    """Write the files, and load them by the pack's own loaders."""
    checkpoint = base / "models" / "flashface" / BASE
    facesnap_files.write_base(checkpoint)
    loader = pack["FlashFaceModelLoader"]
    model, flashface = run_node(loader, model_name=BASE, weight_dtype="fp32")
    file = base / "models" / "facesnap" / MODELS
    facesnap_files.write_model(file, facesnap_files.model_tensors(controlnet_for(model)))
    (facesnap,) = run_node(pack["FaceSnapModelLoader"], model_name=MODELS)
    return Snap(model, flashface, facesnap, file, pack, run_node)


def with_tokens(conditioning: list, tokens: Tensor) -> list:
    """Entries whose ControlNets all read some tokens, as InstantID packs make them."""
    return [[text, {**entry, "cross_attn_controlnet": tokens}] for text, entry in conditioning]


def controlled(control: Any, positive: list, negative: list, **options: Any) -> tuple:
    """Both prompts through core's ControlNet."""
    picture = random(1, 128, 128, 3, seed=90).sigmoid()
    given = {"strength": 0.7, "start_percent": 0.0, "end_percent": 1.0, "image": picture}
    node = core_node("ControlNetApplyAdvanced")()
    return node.apply_controlnet(positive, negative, control, **{**given, **options})
