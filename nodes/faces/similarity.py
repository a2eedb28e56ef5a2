from __future__ import annotations

from comfy_api.latest import io, ui

from ...flashface_core.faces.similarity import compare
from ...flashface_core.faces.similarity_report import similarity_report
from ...flashface_core.images import pil_to_image
from ..showing import Previewing
from ..types import CATEGORY, FlashFaceDetectorType
from . import photos


class FlashFaceSimilarity(Previewing, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlashFaceSimilarity",
            display_name="Face Similarity",
            category=CATEGORY,
            description=(
                "Compares the faces in pictures with reference faces: 1 is the same picture, "
                "above 0.5 mostly the same person, below 0.3 another one. Needs a face "
                "recognition model of insightface in models/insightface (for non-commercial "
                "research only)."
            ),
            search_aliases=["face distance", "arcface", "likeness", "identity score", "flashface"],
            inputs=[
                io.Image.Input("image", tooltip="The pictures to look at, such as generated ones."),
                io.Image.Input(
                    "faces", tooltip="Reference faces of one person, from Detect & Crop Faces."
                ),
                FlashFaceDetectorType.Input(
                    "detector",
                    optional=True,
                    tooltip=(
                        "insightface or yunet, from Load Face Detector. Without it, the best "
                        "detector that works here is used."
                    ),
                ),
                io.Image.Input(
                    "target",
                    optional=True,
                    tooltip=(
                        "Photos of the person that are not among the reference faces. The report "
                        "then says how much of the likeness is copied from the references "
                        "(Paste, lower is better)."
                    ),
                ),
            ],
            outputs=[
                io.Float.Output(
                    display_name="similarity",
                    tooltip=(
                        "Similarity of each image's best face to the nearest reference (-1 to 1), "
                        "averaged over the images. An image without a face counts as 0."
                    ),
                ),
                io.Image.Output(
                    display_name="report",
                    tooltip="Each face beside the reference that it is most like, and its score.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_) -> str:
        return photos.models_fingerprint()  # a model file that is added is noticed

    @classmethod
    def execute(cls, image, faces, detector=None, target=None) -> io.NodeOutput:
        from comfy.utils import ProgressBar

        recognizer = photos.load_recognizer_for(detector)
        finder = detector or photos.best_detector()
        bar = ProgressBar(sum(len(batch) for batch in (image, faces, target) if batch is not None))
        references, pictures = (photos.one_by_one(batch, bar) for batch in (faces, image))
        held_out = photos.one_by_one(target, bar) if target is not None else None
        result = compare(pictures, references, finder, recognizer, held_out)
        report = pil_to_image(similarity_report(result))[None]
        return io.NodeOutput(result.sim_ref, report, ui=ui.PreviewImage(report, cls=cls))
