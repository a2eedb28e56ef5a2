from __future__ import annotations

import logging
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ...flashface_core.files.saved import content_key
from ...flashface_core.images import pil_to_image
from .. import folders
from ..showing import Previewing
from ..types import FACE2DIFFUSION_CATEGORY, Face2DiffusionIdentityType, Face2DiffusionModelType

log = logging.getLogger(__name__)


class Face2DiffusionSaveIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Face2DiffusionSaveIdentity",
            display_name="Save Identity (Face2Diffusion)",
            category=FACE2DIFFUSION_CATEGORY,
            description=(
                "Keeps an identity as one small file in models/face2diffusion_identities, with its "
                "aligned faces. Nothing is overwritten: a name that is taken gets a number."
            ),
            search_aliases=["face2diffusion", "save face", "save embedding", "store person"],
            is_output_node=True,
            inputs=[
                Face2DiffusionIdentityType.Input(
                    "identity", tooltip="From Encode Face or Blend Identities (Face2Diffusion)."
                ),
                io.String.Input(
                    "name",
                    default="person",
                    tooltip=(
                        "Name of the file, without folders. If it is taken, person_00002 and so on "
                        "is used; the picture on the node says which."
                    ),
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, identity, name: str) -> io.NodeOutput:
        from ...flashface_core.face2diffusion.identity_file import save_identity
        from ...flashface_core.face2diffusion.sheet import identity_sheet

        folder, listed = folders.for_saving(folders.IDENTITIES), folders.listed(folders.IDENTITIES)
        path, new = save_identity(identity, folder, name, listed)
        title = f"Saved as {path.name}" if new else f"Saved already as {path.name}"
        log.info("Save Identity: %s (%s).", title, path)
        preview = pil_to_image(identity_sheet(identity, title))
        return io.NodeOutput(ui=ui.PreviewImage(preview[None], cls=cls))


class Face2DiffusionLoadIdentity(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Face2DiffusionLoadIdentity",
            display_name="Load Identity (Face2Diffusion)",
            category=FACE2DIFFUSION_CATEGORY,
            description=(
                "Brings back a person that Save Identity kept, without photos or face detector. "
                "Shows the faces that it was made from."
            ),
            search_aliases=["face2diffusion", "load face", "load embedding", "saved person"],
            inputs=[
                Face2DiffusionModelType.Input(
                    "face2diffusion",
                    tooltip="From Load Face2Diffusion Model: it makes the words anew.",
                ),
                io.Combo.Input(
                    "identity_name",
                    options=folder_paths.get_filename_list(folders.IDENTITIES),
                    tooltip="A file in models/face2diffusion_identities, made by Save Identity.",
                ),
            ],
            outputs=[
                Face2DiffusionIdentityType.Output(
                    display_name="identity", tooltip="For Text Encode (Face2Diffusion)."
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, identity_name: str, **_) -> str:
        return content_key(_path(identity_name))

    @classmethod
    def execute(cls, face2diffusion, identity_name: str) -> io.NodeOutput:
        from ...flashface_core.face2diffusion.identity_file import load_identity
        from ...flashface_core.face2diffusion.sheet import identity_sheet

        path = _path(identity_name)
        identity = load_identity(path, face2diffusion)
        preview = pil_to_image(identity_sheet(identity, path.stem))
        return io.NodeOutput(identity, ui=ui.PreviewImage(preview[None], cls=cls))


def _path(identity_name: str) -> Path:
    return Path(folder_paths.get_full_path_or_raise(folders.IDENTITIES, identity_name))
