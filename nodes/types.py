"""Socket types of this pack."""

from __future__ import annotations

from comfy_api.latest import io

Face2DiffusionIdentityType = io.Custom("FACE2DIFFUSION_IDENTITY")
Face2DiffusionModelType = io.Custom("FACE2DIFFUSION_MODEL")
FaceLandmarksType = io.Custom("FACE_LANDMARKS")  # ComfyUI's MediaPipe nodes
FaceSnapFaceType = io.Custom("FACESNAP_FACE")
FaceSnapIdentityType = io.Custom("FACESNAP_IDENTITY")
FaceSnapLandmarkModelType = io.Custom("FACESNAP_LANDMARK_MODEL")
FaceSnapLandmarksType = io.Custom("FACESNAP_LANDMARKS")
FaceSnapModelType = io.Custom("FACESNAP_MODEL")
FlashFaceDetectorType = io.Custom("FLASHFACE_DETECTOR")
FlashFaceModelType = io.Custom("FLASHFACE_MODEL")
FlashFaceReferenceType = io.Custom("FLASHFACE_REFERENCE")
FlashFaceScheduleType = io.Custom("FLASHFACE_SCHEDULE")

CATEGORY = "FlashFace"
DEMO_CATEGORY = "FlashFace/Demo"
FACESNAP_CATEGORY = "FlashFace/FaceSnap"
FACE2DIFFUSION_CATEGORY = "FlashFace/Face2Diffusion"
