"""The nodes, one file per step of the graph: a schema, and a few lines that call the core."""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import folders
from .demo.demo_person import FlashFaceDemoPerson
from .demo.load_demo import FlashFaceDemoLoader
from .demo.load_facesnap_demo import FaceSnapDemoLoader
from .face2diffusion.blend import Face2DiffusionBlend
from .face2diffusion.encode_face import Face2DiffusionEncodeFace
from .face2diffusion.model_loader import Face2DiffusionModelLoader
from .face2diffusion.saved_identities import Face2DiffusionLoadIdentity, Face2DiffusionSaveIdentity
from .face2diffusion.text_encode import Face2DiffusionTextEncode
from .faces.crop_faces import FlashFaceCropFaces
from .faces.detector_loader import FlashFaceDetectorLoader
from .faces.paste_faces import FlashFacePasteFaces
from .faces.similarity import FlashFaceSimilarity
from .facesnap.apply import FaceSnapApply
from .facesnap.blend import FaceSnapBlend
from .facesnap.compare_landmarks import FaceSnapCompareLandmarks
from .facesnap.encode_face import FaceSnapEncodeFace
from .facesnap.find_landmarks import FaceSnapFindLandmarks
from .facesnap.landmark_model_loader import FaceSnapLandmarkModelLoader
from .facesnap.model_loader import FaceSnapModelLoader
from .facesnap.predict_landmarks import FaceSnapPredictLandmarks
from .facesnap.saved_identities import FaceSnapLoadIdentity, FaceSnapSaveIdentity
from .flashface.apply import FlashFaceApply
from .flashface.combine_references import FlashFaceCombineReferences
from .flashface.convert_model import FlashFaceConvertModel
from .flashface.encode_reference import FlashFaceEncodeReference
from .flashface.frame_strengths import FlashFaceFrameStrengths
from .flashface.guidance import FlashFaceGuidance
from .flashface.model_loader import FlashFaceModelLoader
from .flashface.region import FlashFaceRegion
from .flashface.saved_references import FlashFaceLoadReference, FlashFaceSaveReference
from .flashface.schedule import FlashFaceSchedule
from .flashface.sigmas import FlashFaceSigmas
from .given import checked

NODES: list[type[io.ComfyNode]] = [
    FlashFaceModelLoader,
    FlashFaceConvertModel,
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
    FlashFaceFrameStrengths,
    FlashFaceSimilarity,
    FlashFacePasteFaces,
    FlashFaceDemoLoader,
    FlashFaceDemoPerson,
    Face2DiffusionModelLoader,
    Face2DiffusionEncodeFace,
    Face2DiffusionBlend,
    Face2DiffusionSaveIdentity,
    Face2DiffusionLoadIdentity,
    Face2DiffusionTextEncode,
    FaceSnapDemoLoader,
    FaceSnapModelLoader,
    FaceSnapEncodeFace,
    FaceSnapBlend,
    FaceSnapSaveIdentity,
    FaceSnapLoadIdentity,
    FaceSnapLandmarkModelLoader,
    FaceSnapFindLandmarks,
    FaceSnapPredictLandmarks,
    FaceSnapApply,
    FaceSnapCompareLandmarks,
]
NODES = [checked(node) for node in NODES]


class FlashFaceExtension(ComfyExtension):
    """What ComfyUI asks for the nodes of this pack."""

    async def on_load(self) -> None:
        folders.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> FlashFaceExtension:
    """The extension; ComfyUI calls this once when it loads the pack."""
    return FlashFaceExtension()
