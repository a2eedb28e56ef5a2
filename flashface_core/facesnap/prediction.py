"""Whose shape, in whose pose, with whose expression, and where: the landmarks that are drawn.

    L_out = s_p (μ + Σ α_src S + g Σ β_e E + ρ r_src) (Q R_p)ᵀ + τ_p

s_p is p's scale as it was fitted, never fitted anew to src's shape: a wide face stays wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from .landmark_model import Face, Faces, LandmarkModel, mean_face
from .landmarks import LandmarkError

POSES = ("driver", "reference", "frontal")
EXPRESSIONS = ("driver", "reference", "none")
Region = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """What a FACESNAP_LANDMARKS socket carries. points: (B, 72, 3) float32, pixels of pictures of
    width x height, a face of each."""

    points: torch.Tensor
    width: int
    height: int


@dataclass(frozen=True)
class Wish:
    """How a face is to be seen. pose, expression: whose; without a driver the reference's.

    expression_strength: g, 0..2. yaw, pitch, roll: Q, degrees; yaw > 0 turns the face to the
    picture's right, pitch > 0 lifts it, roll > 0 tilts its top to the picture's left.
    keep_detail: ρ, 0..1. region: (left, top, right, bottom) in pixels, in whose middle the face's
    outline goes and which it fills as far as it can.
    """

    pose: str = "driver"
    expression: str = "driver"
    expression_strength: float = 1.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    keep_detail: float = 1.0
    region: Region | None = None


def predict(
    model: LandmarkModel,
    reference: Face,
    driver: Face | None,
    width: int,
    height: int,
    wish: Wish | None = None,
) -> np.ndarray:
    """Points (72, 3) in pixels of a picture of width x height."""
    wish = wish or Wish()
    posed = driver if wish.pose == "driver" and driver is not None else reference
    moved = driver if wish.expression == "driver" and driver is not None else reference
    strength = 0.0 if wish.expression == "none" else wish.expression_strength
    x = model.points(reference.shape, strength * moved.expression)
    x = x + wish.keep_detail * reference.detail
    rotation = np.eye(3) if wish.pose == "frontal" else posed.pose.rotation
    turned = x @ (turn(wish.yaw, wish.pitch, wish.roll) @ rotation).T
    points = posed.pose.scale * turned + posed.pose.shift
    points = letterboxed(points, (posed.width, posed.height), (width, height))
    return points if wish.region is None else into_region(points, wish.region)


def predict_all(
    reference: Faces,
    driver: Faces | None,
    width: int,
    height: int,
    wish: Wish,
    regions: Sequence[Region] = (),
) -> Landmarks:
    """Landmarks of one person, of each face of the driver, or without one of the reference's own.

    Several faces of a reference are averaged. regions: one for all, or one for each face.
    Raises LandmarkError for faces of different models, or regions of another number.
    """
    if driver is not None and driver.fingerprint != reference.fingerprint:
        raise LandmarkError(
            "'reference' and 'driver' were found with different landmark models. Connect one "
            "landmark model to both Find Landmarks (FaceSnap)."
        )
    person, drivers = mean_face(reference.faces), (driver or reference).faces
    if len(regions) > 1 and len(regions) != len(drivers):
        raise LandmarkError(
            f"'face_region' has {len(regions)} masks for {len(drivers)} faces. Connect one mask "
            "for all of them, or one for each."
        )
    found = []
    for i, face in enumerate(drivers):
        own = replace(wish, region=regions[i % len(regions)]) if regions else wish
        found.append(predict(reference.model, person, face, width, height, own))
    return Landmarks(torch.from_numpy(np.stack(found)).float(), width, height)


def mask_region(mask: torch.Tensor, width: int, height: int) -> Region:
    """The box about a mask (H, W), in pixels of a picture of width x height.

    Raises LandmarkError for a mask with nothing in it.
    """
    rows, columns = ((mask > 0.5).any(dim).nonzero().flatten() for dim in (1, 0))
    if not len(rows):
        raise LandmarkError(
            "'face_region' is empty: nothing in it is above 0.5. Draw where the face should be, or "
            "leave it out."
        )
    sx, sy = width / mask.shape[1], height / mask.shape[0]
    left, top, right, bottom = (int(v) for v in (columns[0], rows[0], columns[-1], rows[-1]))
    return left * sx, top * sy, (right + 1) * sx, (bottom + 1) * sy


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """The rotation (3, 3) of three angles in degrees; z points away from the viewer, y down."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def angles(rotation: np.ndarray) -> tuple[float, float, float]:
    """yaw, pitch and roll in degrees of a rotation (3, 3), as `turn` takes them."""
    yaw = np.arcsin(np.clip(rotation[2, 0], -1, 1))
    pitch = np.arctan2(-rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(-rotation[1, 0], rotation[0, 0])
    yaw, pitch, roll = np.degrees([yaw, pitch, roll])
    return float(yaw), float(pitch), float(roll)


def letterboxed(points: np.ndarray, size: tuple[int, int], target: tuple[int, int]) -> np.ndarray:
    """Points of a picture of `size` in one of `target`: as large as it fits, in the middle."""
    scale = min(target[0] / size[0], target[1] / size[1])
    shift = [(target[i] - scale * size[i]) / 2 for i in (0, 1)]
    return scale * points + np.array([*shift, 0.0])


def into_region(points: np.ndarray, region: Region) -> np.ndarray:
    """Points whose outline's box lies in the middle of a region, as large as the region allows."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    left, top, right, bottom = region
    size = np.maximum(high - low, 1e-6)
    scale = min((right - left) / size[0], (bottom - top) / size[1])
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    shift = middle - scale * (low + high) / 2
    return scale * points + np.array([*shift, 0.0])
