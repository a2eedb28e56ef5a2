"""Untrained stand-ins for Face2Diffusion's two files and for a small SD1.5 checkpoint, from a seed.

The checkpoint has one level of SD1.5's UNet, a text encoder and a small autoencoder, in the format
that ComfyUI's Load Checkpoint reads. Pictures made with them are noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setup.environment import cache_folder, key_of, lock, read_stamp, remove, write_stamp
from setup.host import PACK
from setup.leftovers import note_use, remove_unused

from .flashface import CLIP, VAE, fill, save, standin_models
from .shapes import Shape

MSID = "face2diffusion/msid_standin.pt"
MAPPING = "face2diffusion/mapping_standin.pt"
CHECKPOINT = "checkpoints/sd15_standin.safetensors"
FILES = (MSID, MAPPING, CHECKPOINT)


def _shapes() -> tuple[dict[str, Shape], dict[str, Shape], dict[str, Shape]]:
    """Names and shapes of encoder, mapping network and UNet, as the pack's loaders expect them."""
    sys.path.append(str(PACK))  # last: ComfyUI has a module `nodes` too
    from flashface_core.face2diffusion import weights
    from flashface_core.flashface.checkpoint.layout import Sizes, expected_shapes

    # 320 channels are what ComfyUI knows SD1.5 by; one level is enough for it
    unet = expected_shapes(Sizes(320, 768, multipliers=(1,)))
    return (
        weights.expected_shapes(weights.MSID),
        weights.expected_shapes(weights.MAPPING),
        {name: shape for name, shape in unet.items() if name.startswith("unet.")},
    )


def make_files(folder: Path, models: Path) -> None:
    """Write the three files into a folder (70 MB, and 340 MB for the checkpoint).

    models: the folder of the other stand-ins, whose text encoder and autoencoder it holds too.
    """
    import torch
    from safetensors.torch import load_file

    msid, mapping, unet = (fill(shapes, seed) for seed, shapes in enumerate(_shapes(), 10))
    for name, tensor in msid.items():
        if name.endswith(".running_var"):
            tensor.fill_(1.0)
        elif name.endswith(".running_mean"):
            tensor.zero_()
    mapping["null_exp"].zero_()
    for part in ("first", "last"):
        # about the length of a real token's vector, 0.4 against the 10 of random weights
        mapping[f"i2t_{part}.fc_out.weight"] *= 0.04
    for tensors, name in ((msid, MSID), (mapping, MAPPING)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save({key: tensor.half() for key, tensor in tensors.items()}, folder / name)
    checkpoint = {f"model.diffusion_model.{name[5:]}": t.half() for name, t in unet.items()}
    for name, tensor in load_file(models / CLIP).items():
        if name.startswith("text_model."):
            checkpoint[f"cond_stage_model.transformer.{name}"] = tensor
    for name, tensor in load_file(models / VAE).items():
        checkpoint[f"first_stage_model.{name}"] = tensor
    save(checkpoint, folder / CHECKPOINT)


def standin_files() -> Path:
    """The cached models folder with the three files; made on the first call (some seconds)."""
    cache = cache_folder()
    own = Path(__file__)
    sources = (own, own.with_name("flashface.py"), own.with_name("shapes.py"))
    key = key_of(*(file.read_text(encoding="utf-8") for file in sources))
    folder = cache / f"standin-face2diffusion-{key}"
    with lock(cache / "standin-face2diffusion.lock"):
        note_use(cache, PACK, "standin-face2diffusion", folder.name)
        if (read_stamp(folder) or {}).get("key") != key:
            remove(folder)
            make_files(folder, standin_models())
            write_stamp(folder, {"key": key})
            remove_unused(cache, "standin-face2diffusion", folder.name)
    return folder
