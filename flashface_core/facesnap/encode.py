"""Makes an identity of photos: crops by five points, then what both encoders say of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..errors import for_users
from ..faces.align import align_face
from ..faces.detection import DetectorUnavailable, Face, ModelFolders, first_that_loads
from ..faces.detection.files import recognition_models
from ..faces.detection.onnx_model import LICENCE, library
from ..faces.similarity import Recognizer
from .crops import Points, five_of, wide_crop
from .encoder import MAP_NAME
from .identity import Encoders, Identity, make_identity
from .model import FaceSnapModel
from .model_config import ARCFACE, Encoder

CLIP_BATCH = 8


@for_users
class EncodeError(ValueError):
    """Photos or encoders that no identity can be made of; the text says why, and what to do."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What is kept of a photo. crop: (112, 112, 3), wide: (224, 224, 3) or None, both uint8.

    embedding: (d_id) of a recogniser, or None.
    """

    crop: Tensor
    wide: Tensor | None = None
    embedding: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Lookers:
    """What looks at faces: a model's own encoder, or what people connect and install."""

    model: FaceSnapModel
    clip_vision: Any = None
    recognizer: Recognizer | None = None

    def check(self) -> None:
        """Raise EncodeError where the model reads CLIP's features and none is connected."""
        image = self.model.config.image
        if image.name != MAP_NAME and self.clip_vision is None:
            raise EncodeError(
                f"{self.model.name} reads pictures by {image.name} ({_size(image)}). Connect Load "
                "CLIP Vision with that model to 'clip_vision'."
            )

    def see(self, picture: Image.Image, face: Face, detector: str, number: int) -> Seen:
        """The crops of a photo's face; raises EncodeError where it has no five points."""
        config = self.model.config
        if face.landmarks is None and config.face.name == ARCFACE:
            raise EncodeError(
                f"The face detector '{detector}' finds no eyes, nose and mouth (photo {number}), "
                f"which {config.face.name} needs. Connect Load Face Detector with insightface or "
                "yunet."
            )
        five = five_of(face)
        wide = None
        try:
            crop = align_face(picture, five)
            if config.image.name != MAP_NAME:
                wide = torch.from_numpy(wide_crop(picture, five))
        except ValueError as error:
            raise EncodeError(f"Photo {number}: {error}") from error
        return Seen(crop, wide, self._know(picture, face, five, number))

    def _know(self, picture: Image.Image, face: Face, five: Points, number: int) -> Tensor | None:
        if self.model.config.face.name != ARCFACE:
            return None
        assert self.recognizer is not None
        known = self.recognizer.know(picture, Face(face.box, face.score, tuple(five)))
        if known is None:
            raise EncodeError(
                f"The face of photo {number} cannot be read: its eyes, nose and mouth were found "
                "in one place. Use another photo, or another face detector."
            )
        return torch.from_numpy(known.embedding).float()

    @property
    def encoders(self) -> Encoders:
        """What they are, for the identity."""
        made = self.model.encoders
        if self.recognizer is None:
            return made
        return replace(made, fingerprint=self.recognizer.file.path.stem)

    def identity(self, seen: Sequence[Seen], weights: Sequence[float] = ()) -> Identity:
        """The person on photos, at least one.

        Raises EncodeError for encoders of another width, ValueError for weights that do not fit.
        """
        config, crops = self.model.config, torch.stack([one.crop for one in seen])
        embeddings, maps = None, None
        if config.embedded:
            embeddings, maps = self.model.look(crops)
        if config.face.name == ARCFACE:
            embeddings = torch.stack([one.embedding for one in seen if one.embedding is not None])
        if config.image.name != MAP_NAME:
            maps = self._clip(torch.stack([one.wide for one in seen if one.wide is not None]))
        assert embeddings is not None and maps is not None
        if embeddings.shape[1] != config.face.width:
            raise EncodeError(
                f"The recognition model gives {embeddings.shape[1]} numbers, {self.model.name} "
                f"reads {config.face.width}. Put insightface's pack 'antelopev2' or 'buffalo_l' "
                "into models/insightface/models."
            )
        return make_identity(self.encoders, embeddings, maps, crops, weights)

    def _clip(self, pictures: Tensor) -> Tensor:
        """(N, T, d) float32 of crops (N, 224, 224, 3) uint8, CLIP's last layer but one."""
        wanted, found = self.model.config.image, []
        for part in pictures.split(CLIP_BATCH):
            answer = self.clip_vision.encode_image(part.float() / 255)
            hidden = answer["penultimate_hidden_states"]
            if hidden is None or tuple(hidden.shape[1:]) != (wanted.tokens, wanted.width):
                has = "no such layer" if hidden is None else " x ".join(map(str, hidden.shape[1:]))
                raise EncodeError(
                    f"This CLIP_VISION gives {has}; {self.model.name} was trained with "
                    f"{wanted.name}, {_size(wanted)}. Choose that model in Load CLIP Vision."
                )
            found.append(hidden.float().cpu())
        return torch.cat(found)


def recognizer_of(
    model: FaceSnapModel, folders: ModelFolders, best: Callable[[], Recognizer]
) -> Recognizer | None:
    """The recognition model of insightface that a model was trained with, None where it needs none.

    best: gives the best one there is, for a model that does not say which.
    Raises DetectorUnavailable, with what is missing and where it goes.
    """
    face = model.config.face
    if face.name != ARCFACE:
        return None
    if not face.fingerprint:
        try:
            return best()
        except DetectorUnavailable as error:
            raise DetectorUnavailable(
                f"{model.name} was trained with {face.name}. {error}"
            ) from error
    files = [
        file
        for file in recognition_models(folders)
        if file.path.stem.lower() == face.fingerprint.lower()
    ]
    if not files:
        places = " or ".join(f"{folder}/models/<pack>" for folder in folders.insightface)
        raise DetectorUnavailable(
            f"{model.name} was trained with insightface's {face.fingerprint}.onnx, which is not in "
            f"{places or 'any model folder'}. Get the pack that has it (antelopev2 has glintr100, "
            "buffalo_l w600k_r50) from the releases of the insightface project on GitHub ('model "
            f"zoo') and unpack it there. Mind the licence: {LICENCE}."
        )
    library()
    return first_that_loads(files, Recognizer)


def _size(encoder: Encoder) -> str:
    return f"{encoder.tokens} x {encoder.width}"
