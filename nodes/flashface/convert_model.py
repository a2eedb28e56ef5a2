from __future__ import annotations

import contextlib
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ...flashface_core.drawing import CHOSEN, OTHER, captioned
from ...flashface_core.files.saved import checked_name
from ...flashface_core.flashface.checkpoint.convert import DTYPES, convert
from ...flashface_core.images import pil_to_image
from .. import folders
from ..types import CATEGORY


class FlashFaceConvertModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceConvertModel",
            display_name="Convert FlashFace Model",
            category=CATEGORY,
            description=(
                "Writes a compact copy of a FlashFace checkpoint into models/flashface: of the "
                "official file's 10.6 GB, 3.3 GB are needed in half precision. Once is enough; the "
                "original can go then. Nothing is ever overwritten."
            ),
            search_aliases=["flashface", "compact", "shrink checkpoint", "fp16", "10.6 GB"],
            is_output_node=True,
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=folder_paths.get_filename_list(folders.MODELS),
                    tooltip="The checkpoint to convert, a file in models/flashface.",
                ),
                io.String.Input(
                    "name",
                    default="flashface_fp16",
                    tooltip=(
                        "Name of the new file, without folders. It must not be taken. Press R when "
                        "it is done, and choose it in Load FlashFace Model."
                    ),
                ),
                io.Combo.Input(
                    "dtype",
                    options=list(DTYPES),
                    default="fp16",
                    advanced=True,
                    tooltip=(
                        "fp16: what most devices compute in. bf16: as small, for weights too large "
                        "for fp16. fp32: as the original, twice the size."
                    ),
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, model_name: str, name: str, dtype: str = "fp16") -> io.NodeOutput:
        from comfy.utils import ProgressBar

        source = Path(folder_paths.get_full_path_or_raise(folders.MODELS, model_name))
        folder = Path(folders.for_saving(folders.MODELS))
        target = folder / f"{checked_name(name)}.safetensors"
        # in any folder: Load FlashFace Model takes the first file of a name
        taken = [p for p in folders.listed(folders.MODELS) if (Path(p) / target.name).exists()]
        if taken:
            raise ValueError(
                f"{target.name} exists already in {taken[0]}, and nothing is overwritten. Give "
                "another name, or use that file in Load FlashFace Model."
            )
        with contextlib.suppress(OSError):  # convert says that there is no folder
            folder.mkdir(parents=True, exist_ok=True)
        bar = ProgressBar(1)
        convert(source, target, DTYPES[dtype], progress=_told(bar))
        return io.NodeOutput(ui=ui.PreviewImage([pil_to_image(_report(source, target))], cls=cls))


def _told(bar):
    """What moves a bar, and ends the conversion when the user cancels the run."""
    from comfy.model_management import throw_exception_if_processing_interrupted

    def progress(done: int, total: int) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return progress


def _report(source: Path, target: Path):
    from PIL import Image

    sizes = [file.stat().st_size / 1e9 for file in (target, source)]
    lines = [
        (f"{target.name} is written", CHOSEN),
        ("{:.1f} GB, from {:.1f} GB".format(*sizes), OTHER),
        ("Press R, and choose it in Load FlashFace Model", OTHER),
    ]
    return captioned(Image.new("RGB", (560, 1)), lines)
