from __future__ import annotations

import logging
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ...flashface_core.files.saved import content_key
from ...flashface_core.flashface.reference_file import load_reference, save_reference
from ...flashface_core.flashface.reference_sheet import reference_sheet
from ...flashface_core.images import pil_to_image
from .. import folders
from ..showing import Previewing
from ..types import CATEGORY, FlashFaceReferenceType

log = logging.getLogger(__name__)


class FlashFaceSaveReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceSaveReference",
            display_name="Save Reference",
            category=CATEGORY,
            description=(
                "Keeps a reference as one small file in models/flashface_references, with small "
                "pictures of its faces. Load Reference brings it back without photos or VAE. "
                "Nothing is overwritten: a name that is taken gets a number."
            ),
            search_aliases=["save face", "save identity", "store person", "flashface", "保存人物"],
            is_output_node=True,
            inputs=[
                FlashFaceReferenceType.Input(
                    "reference",
                    tooltip="From Encode Reference Faces or Combine References.",
                ),
                io.String.Input(
                    "name",
                    default="person",
                    tooltip=(
                        "Name of the file, without folders. If it is taken, person_00002 and so "
                        "on is used; the picture on the node says which."
                    ),
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, reference, name: str) -> io.NodeOutput:
        folder, listed = folders.for_saving(folders.REFERENCES), folders.listed(folders.REFERENCES)
        path, new = save_reference(reference, folder, name, listed)
        title = f"Saved as {path.name}" if new else f"Saved already as {path.name}"
        log.info("Save Reference: %s (%s).", title, path)
        preview = pil_to_image(reference_sheet(reference, title))
        return io.NodeOutput(ui=ui.PreviewImage(preview[None], cls=cls))


class FlashFaceLoadReference(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceLoadReference",
            display_name="Load Reference",
            category=CATEGORY,
            description=(
                "Brings back a person that Save Reference kept, without photos or VAE. Shows the "
                "faces that the reference was made from."
            ),
            search_aliases=[
                "load face",
                "load identity",
                "saved person",
                "consistent character",
                "flashface",
                "保存的人物",
                "人脸一致",
            ],
            inputs=[
                io.Combo.Input(
                    "reference_name",
                    options=folder_paths.get_filename_list(folders.REFERENCES),
                    tooltip="A file in models/flashface_references, made by Save Reference.",
                )
            ],
            outputs=[
                FlashFaceReferenceType.Output(
                    display_name="reference", tooltip="The saved people, for Apply FlashFace."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, reference_name: str) -> str:
        return content_key(_path(reference_name))

    @classmethod
    def execute(cls, reference_name: str) -> io.NodeOutput:
        path = _path(reference_name)
        reference = load_reference(path)
        preview = pil_to_image(reference_sheet(reference, path.stem))
        return io.NodeOutput(reference, ui=ui.PreviewImage(preview[None], cls=cls))


def _path(reference_name: str) -> Path:
    return Path(folder_paths.get_full_path_or_raise(folders.REFERENCES, reference_name))
