"""How much the faces in pictures are the reference's: cosines of ArcFace embeddings.

The paper's numbers (section 4.1): SimRef is a face's largest similarity to a reference, SimTarget
its similarity to a photo that was held out, Paste = SimRef - SimTarget: how much of the likeness is
copied from the references. The embeddings see a face turned upright by its five landmarks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

from ..errors import for_users
from .detection import (
    Detector,
    DetectorUnavailable,
    Face,
    ModelFolders,
    first_that_loads,
    order_faces,
)
from .detection.files import ModelFile, recognition_models
from .detection.onnx_model import LICENCE, OnnxModel, library

SURE = 0.5  # detection score from which on a face is compared


@for_users
class SimilarityError(ValueError):
    """Pictures or detectors that faces cannot be compared with; the text says why."""


@dataclass(frozen=True, eq=False)
class KnownFace:
    """A face as the recognition model saw it: RGB, upright, and its embedding of length 1."""

    picture: Image.Image
    embedding: np.ndarray

    def similarity(self, other: KnownFace) -> float:
        """Cosine, -1..1."""
        return float(np.clip(self.embedding @ other.embedding, -1, 1))


@dataclass(frozen=True, eq=False)
class FaceScore:
    """A face of picture `image` (from 0): its similarity to each reference, and to the target."""

    image: int
    face: KnownFace
    scores: tuple[float, ...]
    target: float | None = None

    @property
    def best(self) -> int:
        """The reference that it is most like, from 0."""
        return int(np.argmax(self.scores))

    @property
    def sim_ref(self) -> float:
        return self.scores[self.best]


@dataclass(frozen=True, eq=False)
class Comparison:
    """All faces of all pictures against the references. A picture without a face counts as 0."""

    images: int
    references: tuple[KnownFace, ...]
    faces: tuple[FaceScore, ...]
    has_target: bool = False

    def best_faces(self) -> list[FaceScore | None]:
        """For each picture the face that is most like a reference, None where there is none."""
        return [
            max((f for f in self.faces if f.image == i), key=lambda f: f.sim_ref, default=None)
            for i in range(self.images)
        ]

    @property
    def sim_ref(self) -> float:
        """Mean over the pictures of their best face's similarity to the nearest reference."""
        return fmean(face.sim_ref if face else 0.0 for face in self.best_faces())

    @property
    def mean(self) -> float:
        """The same, with the mean over all references."""
        return fmean(fmean(face.scores) if face else 0.0 for face in self.best_faces())

    @property
    def sim_target(self) -> float | None:
        """The same, with the target; None without one."""
        if not self.has_target:
            return None
        return fmean((face.target or 0.0) if face else 0.0 for face in self.best_faces())

    @property
    def paste(self) -> float | None:
        """SimRef - SimTarget, None without a target."""
        return None if self.sim_target is None else self.sim_ref - self.sim_target


class Recognizer:
    """An ArcFace model of an insightface pack."""

    def __init__(self, file: ModelFile, provider: str = "auto"):
        """Load it; raises DetectorUnavailable."""
        self.file = file
        self.model = OnnxModel(file, "recognition", provider)

    def know(self, picture: Image.Image, face: Face) -> KnownFace | None:
        """The face of an RGB picture; None where landmarks or embedding make no sense."""
        assert face.landmarks is not None
        pixels = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])  # insightface wants BGR
        points = np.asarray(face.landmarks, np.float32)
        if not np.isfinite(points).all() or np.ptp(points, axis=0).min() == 0:
            return None
        aligned, embedding = self.model.run(lambda model: _embed(model, pixels, points))
        length = float(np.linalg.norm(embedding))
        if not np.isfinite(length) or length == 0:
            return None
        return KnownFace(Image.fromarray(aligned[:, :, ::-1].copy()), embedding / length)


class Likeness:
    """How much faces of a picture look like one person, for choosing the one who does."""

    def __init__(self, pictures: Iterable[Image.Image], detector: Detector, recognizer: Recognizer):
        """Know the largest face of each of the person's pictures; raises SimilarityError."""
        self.detector, self.recognizer = detector, recognizer
        self.known = _largest(pictures, "picture of the person", detector, recognizer)

    def __call__(self, picture: Image.Image, faces: Sequence[Face]) -> list[float]:
        """For each face the largest cosine to the person's; -1 where it cannot be compared.

        A box without eyes, such as another node's, takes those of the detected face that covers
        it most.
        """
        return [self._of(picture, face) for face in self._with_landmarks(picture, faces)]

    def _of(self, picture: Image.Image, face: Face) -> float:
        known = self.recognizer.know(picture, face) if face.landmarks is not None else None
        return max(map(known.similarity, self.known)) if known is not None else -1.0

    def _with_landmarks(self, picture: Image.Image, faces: Sequence[Face]) -> list[Face]:
        if all(face.landmarks is not None for face in faces):
            return list(faces)
        detected = self.detector.detect(picture)
        return [face if face.landmarks else _same_face(face, detected) for face in faces]


def _same_face(face: Face, detected: Sequence[Face]) -> Face:
    """The detected face that shares at least a third of both areas with `face`, else `face`."""

    def shared(other: Face) -> float:
        both = face.box.overlap(other.box)
        return both / (face.box.area + other.box.area - both)

    best = max(detected, key=shared, default=face)
    return best if best is not face and shared(best) > 1 / 3 else face


def load_recognizer(folders: ModelFolders, pack: str = "", provider: str = "auto") -> Recognizer:
    """The recognition model of `pack`, else the best there is that loads.

    Which one it was is logged, as is every file that was passed over. Raises DetectorUnavailable.
    """
    files = recognition_models(folders, pack)
    if not files:
        places = " or ".join(f"{folder}/models/<pack>" for folder in folders.insightface)
        raise DetectorUnavailable(
            "Comparing faces needs a face recognition model of insightface (glintr100.onnx or "
            f"w600k_*.onnx), and none was found in {places or 'any model folder'}. Get the pack "
            "'antelopev2' or 'buffalo_l' from the releases of the insightface project on GitHub "
            f"('model zoo') and unpack it there. Mind the licence: {LICENCE}."
        )
    library()
    return first_that_loads(files, lambda file: Recognizer(file, provider))


def compare(
    pictures: Iterable[Image.Image],
    references: Iterable[Image.Image],
    detector: Detector,
    recognizer: Recognizer,
    targets: Iterable[Image.Image] | None = None,
) -> Comparison:
    """Every face of `pictures` against the largest face of each reference crop and target photo.

    All pictures are RGB, of any size and not all of one; each is taken when its turn has come:
    references, targets, pictures. The cosines found lie in -1..1: of each face one with every
    reference that has a face, in their order, and, where `targets` are given, the largest of those
    with them. A picture without a face adds no score, but counts in `Comparison.images`.

    Raises SimilarityError when there is no picture, no reference or, where targets are given, no
    target with a face that can be compared, and when the detector finds no landmarks.
    """
    known = _largest(references, "reference face", detector, recognizer)
    held_out = (
        _largest(targets, "target image", detector, recognizer) if targets is not None else []
    )
    scores, i = [], -1
    for i, picture in enumerate(pictures):
        for face in _known_faces(picture, detector, recognizer):
            target = max((face.similarity(t) for t in held_out), default=None)
            scores.append(FaceScore(i, face, tuple(map(face.similarity, known)), target))
    if i < 0:
        raise SimilarityError("The image input is empty. Connect at least one picture.")
    return Comparison(i + 1, tuple(known), tuple(scores), bool(held_out))


def _largest(
    pictures: Iterable[Image.Image], what: str, detector: Detector, recognizer: Recognizer
) -> list[KnownFace]:
    per_picture = [_known_faces(picture, detector, recognizer)[:1] for picture in pictures]
    known = [face for faces in per_picture for face in faces]
    if not known:
        raise SimilarityError(
            f"No face to compare was found in the {len(per_picture)} {what}(s) by detector "
            f"'{detector.name}' ({detector.tried}). Use sharper or larger pictures."
        )
    return known


def _known_faces(
    picture: Image.Image, detector: Detector, recognizer: Recognizer
) -> list[KnownFace]:
    """Faces of an RGB picture, the largest first."""
    faces = [face for face in detector.detect(picture) if face.score >= SURE]
    if any(face.landmarks is None for face in faces):
        raise SimilarityError(
            f"The face detector '{detector.name}' finds no eyes, and faces can only be compared "
            "upright. Choose insightface or yunet in Load Face Detector and connect it to "
            "'detector'."
        )
    known = (recognizer.know(picture, f) for f in order_faces(faces, "largest", picture.size))
    return [face for face in known if face is not None]


def _embed(model: Any, pixels: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from insightface.utils import face_align

    with warnings.catch_warnings():
        # its way of calling scikit-image is deprecated there
        warnings.simplefilter("ignore", FutureWarning)
        aligned = face_align.norm_crop(pixels, landmark=points, image_size=model.input_size[0])
    return aligned, np.asarray(model.get_feat(aligned), np.float64).ravel()
