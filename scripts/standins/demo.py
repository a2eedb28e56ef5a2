"""A stand-in for the embedded default, for tests in a checkout that has no demo/ yet.

Random weights in the same files, and for everybody's photos crops of one photo of an astronaut.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from pathlib import Path

from setup.environment import cache_folder, key_of, lock, read_stamp, remove, write_stamp
from setup.host import PACK
from setup.leftovers import note_use, remove_unused

from . import flashface

SIZE, STEP = 256, 8  # of the photos, and pixels from one to the next


def make_demo(folder: Path) -> None:
    """Write all files of a demo; ComfyUI's modules are not needed."""
    sys.path.append(str(PACK))  # last: ComfyUI has a module `nodes` too
    import torch

    from flashface_core.demo import folder as demo
    from flashface_core.files.packed import write_packed
    from flashface_core.files.weights import open_source
    from flashface_core.flashface.checkpoint import open_checkpoint
    from flashface_core.flashface.checkpoint.reader import FORMAT_KEY, FORMAT_VERSION

    folder.mkdir(parents=True, exist_ok=True)
    weights = dict(open_checkpoint(flashface.standin_models() / flashface.FLASHFACE).tensors())
    write_packed(folder / demo.FLASHFACE, weights, {FORMAT_KEY: FORMAT_VERSION})
    unet = {name: tensor for name, tensor in weights.items() if name.startswith("unet.")}
    write_packed(folder / demo.PLAIN, unet, {})
    with tempfile.TemporaryDirectory() as made:
        flashface.make_vae(file := Path(made) / "vae.safetensors")
        vae = open_source(file)
        write_packed(folder / demo.AUTOENCODER, vae.load(list(vae.shapes)), {})
    rows = torch.randn(3, 768, generator=torch.Generator().manual_seed(4))
    words = {"ids": torch.tensor([320, 1125, 2533]), "rows": rows}
    write_packed(folder / demo.WORDS, words, {})
    _save_photos(folder / demo.PEOPLE)
    manifest = {"format": 1, "about": "Stand-ins: random numbers.", "photo_size": SIZE, "files": {}}
    (folder / demo.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _save_photos(folder: Path) -> None:
    from PIL import Image
    from skimage import data

    from flashface_core.demo.people import AGES, NAMES, PHOTOS, photo_file

    folder.mkdir(exist_ok=True)
    photo = Image.fromarray(data.astronaut())
    for number in range(PHOTOS):
        left = 80 + STEP * number
        file = io.BytesIO()
        photo.crop((left, 0, left + SIZE, SIZE)).save(file, "WEBP", quality=90)
        for age in AGES:
            for name in NAMES:
                (folder / photo_file(name, age, number + 1)).write_bytes(file.getvalue())


def standin_demo() -> Path:
    """The cached folder; made on the first call (some seconds)."""
    cache = cache_folder()
    files = (Path(__file__), Path(flashface.__file__), PACK / "flashface_core/demo/people.py")
    key = key_of(*(file.read_text(encoding="utf-8") for file in files))
    folder = cache / f"standin-demo-{key}"
    with lock(cache / "standin-demo.lock"):
        note_use(cache, PACK, "standin-demo", folder.name)
        if (read_stamp(folder) or {}).get("key") != key:
            remove(folder)
            make_demo(folder)
            write_stamp(folder, {"key": key})
            remove_unused(cache, "standin-demo", folder.name)
    return folder
