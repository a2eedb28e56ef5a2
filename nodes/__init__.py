"""The nodes, one file per step of the graph: a schema, and a few lines that call the core."""

from comfy_api.latest import ComfyExtension, io

from . import folders
from .apply import FlashFaceApply
from .combine_references import FlashFaceCombineReferences
from .crop_faces import FlashFaceCropFaces
from .detector_loader import FlashFaceDetectorLoader
from .encode_reference import FlashFaceEncodeReference
from .face2diffusion_blend import Face2DiffusionBlend
from .face2diffusion_encode_face import Face2DiffusionEncodeFace
from .face2diffusion_model_loader import Face2DiffusionModelLoader
from .face2diffusion_saved_identities import Face2DiffusionLoadIdentity, Face2DiffusionSaveIdentity
from .face2diffusion_text_encode import Face2DiffusionTextEncode
from .guidance import FlashFaceGuidance
from .model_loader import FlashFaceModelLoader
from .paste_faces import FlashFacePasteFaces
from .region import FlashFaceRegion
from .saved_references import FlashFaceLoadReference, FlashFaceSaveReference
from .schedule import FlashFaceSchedule
from .sigmas import FlashFaceSigmas
from .similarity import FlashFaceSimilarity

NODES: list[type[io.ComfyNode]] = [
    FlashFaceModelLoader,
    FlashFaceDetectorLoader,
    FlashFaceCropFaces,
    FlashFaceEncodeReference,
    FlashFaceCombineReferences,
    FlashFaceSaveReference,
    FlashFaceLoadReference,
    FlashFaceRegion,
    FlashFaceApply,
    FlashFaceGuidance,
    FlashFaceSchedule,
    FlashFaceSigmas,
    FlashFaceSimilarity,
    FlashFacePasteFaces,
    Face2DiffusionModelLoader,
    Face2DiffusionEncodeFace,
    Face2DiffusionBlend,
    Face2DiffusionSaveIdentity,
    Face2DiffusionLoadIdentity,
    Face2DiffusionTextEncode,
]


class FlashFaceExtension(ComfyExtension):
    """What ComfyUI asks for the nodes of this pack."""

    async def on_load(self) -> None:
        folders.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> FlashFaceExtension:
    """Return the extension; ComfyUI calls this once when it loads the pack."""
    return FlashFaceExtension()
