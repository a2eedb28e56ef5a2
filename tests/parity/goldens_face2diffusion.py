"""Golden data made by Face2Diffusion's code, and the recipes of its inputs and weights.

A part of it lies in data/face2diffusion. More is read where FACE2DIFFUSION_GOLDENS names a folder
with the full set, or where one lies beside the project. The part is made from the full set by

    <host python> tests/parity/goldens_face2diffusion.py FULL_FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path

import goldens
import numpy as np
import torch
from goldens import normal
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
DATA = HERE / "data" / "face2diffusion"
LIMIT_BYTES = 2_000_000
# Group -> the outputs that the tests read (None for all).
OUTPUTS: dict[str, tuple[str, ...] | None] = {
    "A_msid": ("out",),
    "B_mapping": None,
    "C_text_small": ("out", "out_plain"),
    "C_text_clip_l": ("out_rows", "row_dot"),
    "D_align": ("warped_exact",),
    "E_preprocess": None,
    "P_pipeline": None,
}
CLIP_SIZES = {"small": (64, 2, 4, 256), "clip_l": (768, 12, 12, 3072)}


def _folder() -> Path:
    beside = HERE.parents[2] / "shared" / "goldens-face2diffusion" / "open"
    places = [os.environ.get("FACE2DIFFUSION_GOLDENS"), beside]
    return next((Path(p) for p in places if p and (Path(p) / "A_msid.json").is_file()), DATA)


def cases(group: str) -> list[dict]:
    """The cases of a group such as "A_msid"."""
    return json.loads((_folder() / f"{group}.json").read_text())


@cache
def tensors(group: str) -> dict[str, torch.Tensor]:
    """A group's recorded tensors, named "<case id>/<output>"."""
    return load_file(_folder() / f"{group}.safetensors")


def build(recipe: dict) -> torch.Tensor:
    """An input tensor from its recipe."""
    if recipe["gen"] == "list":
        return torch.tensor(recipe["values"], dtype=torch.float32)
    return goldens.build(recipe)


def picture(recipe: dict) -> Image.Image:
    """An RGB picture from its recipe."""
    height, width = recipe["height"], recipe["width"]
    y, x = np.mgrid[:height, :width]
    if recipe["gen"] == "synth":
        channels = [255 * x // max(width - 1, 1), 255 * y // max(height - 1, 1)]
        channels.append((7 * x + 13 * y) % 256)
    elif recipe["gen"] == "tri":
        waves = [(a * x + b * y + o, p) for a, b, o, p in recipe["waves"]]
        channels = [np.abs(v % (2 * p) - p) * 255 // p for v, p in waves]
    elif recipe["gen"] == "const":
        channels = [np.full((height, width), value) for value in recipe["rgb"]]
    else:
        noise = normal(recipe["key"], (height, width, 3), recipe["seed"]).numpy()
        level = np.rint(np.float32(128) + np.float32(48) * noise)
        return Image.fromarray(np.clip(level, 0, 255).astype(np.uint8))
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def weights(
    shapes: dict[str, tuple[int, ...]], seed: int, scale: dict[str, float] | None = None
) -> dict[str, torch.Tensor]:
    """The golden data's weights for names and shapes."""
    found = {name: _weight(name, shape, seed) for name, shape in shapes.items()}
    for part, factor in (scale or {}).items():
        for name in found:
            if part in name:
                found[name] = found[name] * float(np.float32(factor))
    return found


def _weight(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    if name.endswith(".running_mean"):
        return normal(name, shape, seed) * float(np.float32(0.1))
    if name.endswith(".running_var"):
        return 1 + normal(name, shape, seed).abs() * float(np.float32(0.1))
    if name in ("cls_token", "pos_embed", "null_exp"):
        return normal(name, shape, seed) * float(np.float32(0.02))
    return goldens.weight(name, shape, seed)


def clip_weights(config: str, seed: int) -> dict[str, torch.Tensor]:
    """The weights of the golden data's text encoder, by Hugging Face's names."""
    width, layers, _, inner = CLIP_SIZES[config]
    top = "text_model"
    shapes: dict[str, tuple[int, ...]] = {
        f"{top}.embeddings.token_embedding.weight": (49408, width),
        f"{top}.embeddings.position_embedding.weight": (77, width),
    }

    def layer(name: str, *weight: int) -> None:
        shapes[f"{name}.weight"] = weight
        shapes[f"{name}.bias"] = weight[:1]

    for i in range(layers):
        block = f"{top}.encoder.layers.{i}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            layer(f"{block}.self_attn.{part}", width, width)
        layer(f"{block}.layer_norm1", width)
        layer(f"{block}.mlp.fc1", inner, width)
        layer(f"{block}.mlp.fc2", width, inner)
        layer(f"{block}.layer_norm2", width)
    layer(f"{top}.final_layer_norm", width)
    return weights(shapes, seed)


def main() -> int:
    """Make the part in data/face2diffusion from the full set; return the exit status."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    full = Path(sys.argv[1])
    DATA.mkdir(parents=True, exist_ok=True)
    for group, outputs in OUTPUTS.items():
        found = json.loads((full / f"{group}.json").read_text())
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in found)
        (DATA / f"{group}.json").write_text(f"[\n{lines}\n]\n")
        kept = {
            name: tensor
            for name, tensor in load_file(full / f"{group}.safetensors").items()
            if outputs is None or name.rpartition("/")[2] in outputs
        }
        save_file(kept, DATA / f"{group}.safetensors")
    total = sum(file.stat().st_size for file in DATA.iterdir())
    print(f"{total / 1e6:.2f} MB in {DATA}")
    return 0 if total <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
