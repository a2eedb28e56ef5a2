"""Loads the embedded default as what ComfyUI's own loaders would give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.sd
from comfy.model_patcher import ModelPatcher
from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer
from comfy.supported_models_base import ClipTarget
from torch import Tensor

from ..errors import file_name, reason, shown
from ..files.weights import CheckpointError, Source, check_weight, open_source
from ..flashface.model import FlashFaceModel, load_flashface, load_unet
from .encoder import VOCABULARY, WIDTH, encoder_tensors
from .folder import AUTOENCODER, FLASHFACE, PLAIN, WORDS, file_of

REINSTALL = "It is damaged or of another version: update or reinstall ComfyUI-FlashFace."
NO_LAYERS: dict[str, Any] = {"clip_l_model_config": {"num_hidden_layers": 0}}
"""ComfyUI's CLIP-L without its twelve layers: the same numbers for 170 MB of zeros less."""


@dataclass(frozen=True)
class Demo:
    """All models of the embedded default; `plain` is the MODEL without FlashFace."""

    model: ModelPatcher
    flashface: FlashFaceModel
    clip: Any
    vae: Any
    plain: ModelPatcher


def load_demo(folder: Path) -> Demo:
    """Load the models that lie in a folder.

    Raises DemoError for a file that is not there, CheckpointError for one that is damaged.
    """
    files = {name: str(file_of(folder, name)) for name in (FLASHFACE, PLAIN, AUTOENCODER, WORDS)}
    model, flashface = load_flashface(files[FLASHFACE])
    clip, vae = load_clip(files[WORDS]), load_vae(files[AUTOENCODER])
    return Demo(model, flashface, clip, vae, load_unet(files[PLAIN]))


def load_clip(path: str, disable_dynamic: bool = False) -> Any:
    """CLIP of a file of learned words, made in memory: no file of a text encoder is written."""
    source = open_source(Path(path))
    tensors = encoder_tensors(*words_of(source), layers=0)
    # ComfyUI's function for state dicts wants to see a layer.
    clip = comfy.sd.CLIP(
        ClipTarget(SD1Tokenizer, SD1ClipModel),
        parameters=sum(tensor.numel() for tensor in tensors.values()),
        state_dict=[tensors],
        model_options=NO_LAYERS,
        disable_dynamic=disable_dynamic,
    )
    clip.patcher.cached_patcher_init = (clip_patcher, (path,))
    return clip


def words_of(source: Source) -> tuple[Tensor, Tensor]:
    """Token ids (W,) and their learned rows (W, 768); CheckpointError where they are none."""
    shapes, name = source.shapes, file_name(source.path)
    if {"ids", "rows"} - shapes.keys() or shapes["rows"] != (*shapes["ids"], WIDTH):
        raise CheckpointError(
            f"{name} should hold ids (W,) and rows (W, {WIDTH}) of learned words, and holds "
            f"{shown({key: tuple(shape) for key, shape in shapes.items()})}. {REINSTALL}"
        )
    words = source.load(["ids", "rows"])
    ids, rows = words["ids"], words["rows"]
    check_weight(source.path, "rows", rows)
    if ids.is_floating_point() or not ((ids >= 0) & (ids < VOCABULARY)).all():
        raise CheckpointError(
            f"{name} should hold ids from 0 to {VOCABULARY - 1}, and holds others. {REINSTALL}"
        )
    return ids, rows


def clip_patcher(path: str, disable_dynamic: bool = False) -> ModelPatcher:
    """The CLIP's patcher anew, for copies on other devices."""
    return load_clip(path, disable_dynamic).patcher


def load_vae(path: str) -> Any:
    """VAE of a file in TAESD's format."""
    source = open_source(Path(path))
    tensors = source.load(list(source.shapes))
    for name, tensor in tensors.items():
        check_weight(source.path, name, tensor)
    try:
        vae = comfy.sd.VAE(sd=dict(tensors))
        vae.throw_exception_if_invalid()
        lacking = vae.first_stage_model.state_dict().keys() - tensors.keys()
    except RuntimeError as error:  # no family of VAE, or weights of another shape
        raise CheckpointError(
            f"{file_name(source.path)} should hold a small autoencoder in TAESD's format, and "
            f"ComfyUI cannot load it ({reason(error, source.path)}). {REINSTALL}"
        ) from error
    if lacking:
        raise CheckpointError(
            f"{file_name(source.path)} lacks {len(lacking)} weights of the small autoencoder, "
            f"such as {min(lacking)}. {REINSTALL}"
        )
    vae.patcher.cached_patcher_init = (vae_patcher, (path,))
    return vae


def vae_patcher(path: str, disable_dynamic: bool = False) -> ModelPatcher:
    """The VAE's patcher anew; ComfyUI's VAE knows no other kind of patcher to ask for."""
    return load_vae(path).patcher
