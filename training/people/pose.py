"""A look in the pose of a shot, and the camera before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import EYES_CENTRE, HEAD_CENTRE, HEAD_WIDTH, LEFT_EYE, RIGHT_EYE, body
from .expressions import target_weights
from .formulas import rotation, smoothstep, turned
from .look import Look
from .raster import turned_between
from .shot import Shot

ARMS_DOWN = 0.62  # radians from the template's pose
# The unit of landmarks: the template's distance between the eyes (dm); and their origin, in the
# middle of the face, beside the eyes' middle.
UNIT = 0.62
FACE_ORIGIN = np.array([0.0, -0.42, 0.10])
FLIP = np.array([1.0, -1.0, -1.0])  # the renderer's axes (y up, z to the viewer) to a picture's


@dataclass(frozen=True)
class Posed:
    """A posed look. `still` are its points with the expression, before the head turns."""

    points: np.ndarray  # (n, 3)
    still: np.ndarray  # (n, 3)
    strands: np.ndarray  # (m, 3)
    head: np.ndarray  # (3, 3) the head's rotation
    pivot: np.ndarray


@dataclass(frozen=True)
class Camera:
    """A perspective camera that looks along -z: x = centre + focal (X - middle) / depth."""

    place: np.ndarray  # (3,)
    middle: np.ndarray  # (3,) what appears at `centre`
    centre: tuple[float, float]  # pixels
    focal: float  # pixels

    def seen(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, y in pixels and nearness (1 / depth) of points (n, 3)."""
        near = 1.0 / np.maximum(self.place[2] - points[:, 2], 0.1)
        x = self.centre[0] + (points[:, 0] - self.middle[0]) * near * self.focal
        return x, self.centre[1] - (points[:, 1] - self.middle[1]) * near * self.focal, near


def posed(look: Look, shot: Shot) -> Posed:
    """The look with expression, gaze, arms, trunk and head of a shot."""
    b, count = body(), look.body_count
    still = look.vertices.copy()
    growth = look.size * (1 if look.years > 14 else 0.95)
    if shot.units.any():
        still[:count] += b.moves(target_weights(shot.units)) * growth
    gaze = rotation(*shot.gaze, 0)
    for part, eye in ((LEFT_EYE, look.eyes[0]), (RIGHT_EYE, look.eyes[1])):
        still[part] = turned(still[part], gaze, eye)
    for share, name, side in (
        (b.left_arm, "l-shoulder", -1),
        (b.right_arm, "r-shoulder", 1),
    ):
        arm = rotation(0, 0, side * ARMS_DOWN)
        joint = b.joint(look.vertices, name)
        still[:count] = turned_between(still[:count], np.eye(3), arm, joint, share)
    pivot = 0.5 * (b.joint(look.vertices, "neck") + b.joint(look.vertices, "head"))
    yaw, pitch, roll = np.radians([shot.yaw, shot.pitch, shot.roll])
    head, trunk = rotation(yaw, -pitch, roll), rotation(yaw * shot.body_turn, 0, 0)
    chin = b.joint(look.vertices, "jaw")[1]
    hair = look.hair.points.reshape(-1, 3)
    hangs = smoothstep(chin - 1.3 * look.size, chin + 0.1 * look.size, hair[:, 1])
    return Posed(
        points=turned_between(still, trunk, head, pivot, look.head_share),
        still=still,
        strands=turned_between(hair, trunk, head, pivot, hangs),
        head=head,
        pivot=pivot,
    )


def face_middle(look: Look, place: Posed) -> np.ndarray:
    """The middle of the face after the head has turned, (3,)."""
    middle = look.centre + np.array([0, -0.25, 0.6]) * look.size
    return turned(middle[None], place.head, place.pivot)[0]


def camera(look: Look, place: Posed, shot: Shot, size: int) -> Camera:
    """A camera of the shot's distance and face width, aimed so that head and hair are inside."""
    middle = face_middle(look, place)
    head = place.points[look.head_share > 0.95]
    hair = place.strands[place.strands[:, 1] > head[:, 1].min()]
    high = max([head[:, 1].max(), *([hair[:, 1].max()] if len(hair) else [])]) - middle[1]
    low = middle[1] - head[:, 1].min()
    scale = shot.face_width * size / (HEAD_WIDTH * look.size)  # pixels a dm at the face
    scale = min(scale, 0.92 * size / (high + low))  # however much hair there is
    top, bottom = high * scale + 0.03 * size, size - low * scale - 0.05 * size
    y = float(np.clip(shot.place[1] * size, min(top, bottom), bottom))
    side = 0.62 * shot.face_width
    x = float(np.clip(shot.place[0], min(side, 0.5), max(1 - side, 0.5))) * size
    return Camera(
        place=middle + np.array([0, 0, shot.distance]),
        middle=middle,
        centre=(x, max(y, min(top, 0.62 * size))),
        focal=scale * shot.distance,
    )


@dataclass(frozen=True)
class HeadPose:
    """L = scale X Rᵀ + shift: from head units (x right, y down, z away) to pixels."""

    rotation: np.ndarray  # (3, 3)
    scale: float
    shift: np.ndarray  # (3,)


def head_pose(look: Look, place: Posed, view: Camera) -> HeadPose:
    """The scaled orthographic pose at the depth of the face's origin."""
    origin = turned(_origin(look)[None], place.head, place.pivot)
    x, y, near = (float(value[0]) for value in view.seen(origin))
    flipped = FLIP[:, None] * place.head * FLIP[None]
    return HeadPose(flipped, view.focal * near * UNIT, np.array([x, y, 0.0]))


def in_head_units(look: Look, points: np.ndarray) -> np.ndarray:
    """Points of the unturned head (k, 3) in units of landmarks."""
    return (points - _origin(look)) * FLIP / UNIT


def _origin(look: Look) -> np.ndarray:
    return look.centre + (EYES_CENTRE - HEAD_CENTRE + FACE_ORIGIN) * look.size
