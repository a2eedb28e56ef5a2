from __future__ import annotations

import logging
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ...flashface_core.files.saved import content_key
from ...flashface_core.images import pil_to_image
from ...flashface_core.loaded import file_stamp
from .. import folders
from ..showing import Previewing
from ..types import (
    FACESNAP_CATEGORY,
    FaceSnapFaceType,
    FaceSnapIdentityType,
    FaceSnapModelType,
)

log = logging.getLogger(__name__)


class FaceSnapSaveIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapSaveIdentity",
            display_name="Save Identity (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Keeps an identity as one small file in models/facesnap_identities, with its "
                "aligned faces. Nothing is overwritten: a name that is taken gets a number."
            ),
            search_aliases=["facesnap", "save face", "save embedding", "store person"],
            is_output_node=True,
            inputs=[
                FaceSnapIdentityType.Input(
                    "identity", tooltip="From Encode Face or Blend Identities (FaceSnap)."
                ),
                io.String.Input(
                    "name",
                    default="person",
                    tooltip=(
                        "Name of the file, without folders. If it is taken, person_00002 and so on "
                        "is used; the picture on the node says which."
                    ),
                ),
                FaceSnapFaceType.Input(
                    "face",
                    optional=True,
                    tooltip=(
                        "The person's face from Find Landmarks: its shape is kept too, without "
                        "pose and expression."
                    ),
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, identity, name: str, face=None) -> io.NodeOutput:
        from ...flashface_core.facesnap.identity_file import save_identity
        from ...flashface_core.facesnap.saved_face import shape_of

        shape = None if face is None else shape_of(face)
        kind = folders.FACESNAP_IDENTITIES
        folder, listed = folders.for_saving(kind), folders.listed(kind)
        path, new = save_identity(identity, shape, folder, name, listed)
        title = f"Saved as {path.name}" if new else f"Saved already as {path.name}"
        log.info("Save Identity: %s (%s).", title, path)
        return io.NodeOutput(ui=ui.PreviewImage(_sheet(identity, title), cls=cls))


class FaceSnapLoadIdentity(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FaceSnapLoadIdentity",
            display_name="Load Identity (FaceSnap)",
            category=FACESNAP_CATEGORY,
            description=(
                "Brings back a person that Save Identity kept, without photos or face detector. "
                "Shows the faces that it was made from."
            ),
            search_aliases=["facesnap", "load face", "load embedding", "saved person"],
            inputs=[
                FaceSnapModelType.Input(
                    "facesnap",
                    tooltip="From Load FaceSnap Model: the identity has to be of its encoders.",
                ),
                io.Combo.Input(
                    "identity_name",
                    options=folder_paths.get_filename_list(folders.FACESNAP_IDENTITIES),
                    tooltip="A file in models/facesnap_identities, made by Save Identity.",
                ),
            ],
            outputs=[
                FaceSnapIdentityType.Output(display_name="identity", tooltip="For Apply FaceSnap."),
                FaceSnapFaceType.Output(
                    display_name="face",
                    tooltip=(
                        "For Predict Landmarks: the face that was saved with it, looking straight "
                        "ahead; the average face where none was."
                    ),
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, identity_name: str, **_) -> str:
        # The face is told in a landmark model, and one may have been added.
        models = [file_stamp(path) for path in folders.landmark_models()]
        return f"{content_key(_path(identity_name))} {models}"

    @classmethod
    def execute(cls, facesnap, identity_name: str) -> io.NodeOutput:
        from ...flashface_core.facesnap.identity_file import load_identity

        path = _path(identity_name)
        identity, shape = load_identity(path)
        identity.encoders.check(facesnap.encoders, facesnap.name)
        preview = ui.PreviewImage(_sheet(identity, path.stem), cls=cls)
        return io.NodeOutput(identity, _face(shape), ui=preview)


def _face(shape):
    """The face of a file; where no landmark model tells it, an error for those who connect it."""
    from comfy_execution.graph_utils import ExecutionBlocker

    from ...flashface_core.facesnap.saved_face import LandmarkModelMissing, face_of, find_model

    try:
        return face_of(find_model(folders.landmark_models(), shape), shape)
    except LandmarkModelMissing as error:
        return ExecutionBlocker(str(error))


def _sheet(identity, title: str):
    from ...flashface_core.faces.sheet import faces_sheet

    sheet = faces_sheet(identity.crops, identity.likeness, title, str(identity))
    return pil_to_image(sheet)[None]


def _path(identity_name: str) -> Path:
    return Path(folder_paths.get_full_path_or_raise(folders.FACESNAP_IDENTITIES, identity_name))
