"""Which model files try.py uses: real ones where all three are present, else stand-ins."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from setup.environment import SetupError, cache_folder, say
from setup.host import PACK, Host

ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".sft")
# SD1.5's text encoder and VAE under the names that they are commonly downloaded with.
CLIP_HINTS = ("clip_l", "clip-l", "clip-vit-large-patch14", "sd15", "sd1.5", "sd1_5")
VAE_HINTS = ("ft-mse", "ft_mse", "ft-ema", "ft_ema", "sd15", "sd1.5", "sd1_5", "kl-f8")


@dataclass(frozen=True)
class Weights:
    """Model files as ComfyUI's loaders list them; `real` unless they are untrained stand-ins."""

    flashface: str
    clip: str
    vae: str
    real: bool


def models_folder(host: Host) -> Path:
    """Where real weights belong: FLASHFACE_MODELS, the user's ComfyUI, or the cache folder."""
    given = os.environ.get("FLASHFACE_MODELS")
    if given:
        folder = Path(given).expanduser().absolute()
        if not folder.is_dir():
            raise SetupError(f"FLASHFACE_MODELS is {folder}, and that is not a folder.")
        return folder
    return (cache_folder() if host.prepared else host.root) / "models"


def _first(models: Path, folders: tuple[str, ...], hints: tuple[str, ...]) -> str | None:
    for folder in (models / name for name in folders):
        for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
            name = file.relative_to(folder)
            wanted = not hints or any(hint in name.name.lower() for hint in hints)
            if wanted and file.suffix.lower() in ENDINGS:
                return str(name)
    return None


def find_real(models: Path) -> tuple[Weights | None, list[str]]:
    """The real weights in `models`, or None with what is missing in words."""
    flashface = _first(models, ("flashface",), ())
    clip = _first(models, ("text_encoders", "clip"), CLIP_HINTS)
    vae = _first(models, ("vae",), VAE_HINTS)
    if flashface and clip and vae:
        return Weights(flashface, clip, vae, real=True), []
    wanted = [
        (flashface, f"{models / 'flashface'}: flashface.safetensors or flashface.ckpt"),
        (clip, f"{models / 'text_encoders'}: SD1.5's text encoder, such as clip_l.safetensors"),
        (vae, f"{models / 'vae'}: an SD1.5 VAE, such as vae-ft-mse-840000-ema-pruned.safetensors"),
    ]
    return None, [text for found, text in wanted if not found]


def use_real(models: Path, base: Path) -> list[str]:
    """ComfyUI options that make it see `models` from the base directory `base`."""
    folders = {
        "flashface": "flashface",
        "text_encoders": "text_encoders\nclip",
        "vae": "vae",
    }
    config = base / "extra_model_paths.yaml"
    # JSON is YAML too, and quotes every character that a path may have.
    config.write_text(json.dumps({"real": {"base_path": str(models), **folders}}), encoding="utf-8")
    return ["--extra-model-paths-config", str(config)]


def use_standins(host: Host, base: Path) -> Weights:
    """Make the stand-ins (on the first call) and link them into `base`'s models folder."""
    say("making stand-in weights (the first time takes some seconds) ...")
    command = [str(host.python), str(PACK / "scripts" / "standins"), str(base / "models")]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode:
        raise SetupError(f"making the stand-in weights failed:\n{answer.stderr[-2000:]}")
    names = ("flashface_standin", "clip_standin", "vae_standin")
    return Weights(*(f"{name}.safetensors" for name in names), real=False)
