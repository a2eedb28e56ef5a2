"""A person's face beside a saved identity: shape and detail, in the terms of a landmark model.

Pose and expression belong to a picture and are not kept: a loaded face looks straight ahead.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import for_users, one_line
from ..files.weights import CheckpointError, open_source
from .identity_file import SavedShape
from .landmark_file import KIND, LandmarkFile, load_landmark_model
from .landmark_model import Face, Faces, LandmarkModel, Pose

log = logging.getLogger(__name__)

CANVAS = 512  # pixels a side of the picture that a loaded face is in
EYES = 0.16  # distance of the eyes there, a share of that


@for_users
class LandmarkModelMissing(ValueError):
    """No landmark model to tell a face in; the text says which, and where it goes."""


def shape_of(faces: Faces) -> SavedShape:
    """The person's own shape: the mean of the pictures that the faces are from."""
    shape = np.mean([face.shape for face in faces.faces], 0)
    detail = np.mean([face.detail for face in faces.faces], 0)
    return SavedShape(shape, detail, fingerprint_of(faces.model))


def face_of(file: LandmarkFile, saved: SavedShape | None) -> Faces:
    """A face that looks straight ahead without an expression; without `saved` the average one."""
    model = file.model
    shape = np.zeros(len(model.shape)) if saved is None else saved.shape
    detail = np.zeros_like(model.mean) if saved is None else saved.detail
    pose = Pose(np.eye(3), EYES * CANVAS, np.array([CANVAS / 2, CANVAS / 2, 0.0]))
    expression = np.zeros(len(model.expression))
    points = pose.place(model.points(shape, expression) + detail)
    face = Face(shape, expression, pose, detail, points, CANVAS, CANVAS)
    return Faces((face,), model, file.fingerprint)


def fingerprint_of(model: LandmarkModel) -> str:
    """What tells a landmark model from another whose shapes mean something else."""
    digest = hashlib.sha256()
    for part in (model.mean, model.shape):
        digest.update(np.ascontiguousarray(part, np.float32).tobytes())
    return digest.hexdigest()[:16]


def find_model(paths: Iterable[str | Path], saved: SavedShape | None) -> LandmarkFile:
    """The landmark model that a face was saved with, the first one for the average face.

    paths: files that may be landmark models or anything else. Raises LandmarkModelMissing.
    """
    for path in paths:
        try:
            if KIND not in getattr(open_source(Path(path)), "metadata", {}):
                continue
            found = load_landmark_model(path)
        except CheckpointError as error:
            log.warning("Passed over: %s", error)
            continue
        if saved is None or _fits(found.model, saved):
            return found
    which = "a landmark model" if saved is None else f"the landmark model {saved.fingerprint}"
    raise LandmarkModelMissing(
        f"The face needs {one_line(which)}, which is not there. Put the file that the face was "
        "found with into models/facesnap, or leave the output 'face' unconnected."
    )


def _fits(model: LandmarkModel, saved: SavedShape) -> bool:
    same = fingerprint_of(model) == saved.fingerprint
    return same and len(saved.shape) == len(model.shape)
