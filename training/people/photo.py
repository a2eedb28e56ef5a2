"""A photo: the picture of a look in a shot, with everything that is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .background import draw_background
from .body import LEFT_EYE, RIGHT_EYE, body
from .landmarks import five_points, landmark_spots
from .light import developed
from .look import HAIR_LAYERS, Look
from .marks import Mark, shown
from .pose import Camera, HeadPose, Posed, camera, face_middle, head_pose, in_head_units, posed
from .raster import averaged, covered, draw_strands, draw_triangles, light_frame, normals, seen_from
from .scene import Colours, Lamp, Strands, Surface
from .shading import shade
from .shot import Shot
from .strands import POINTS
from .surface import Spot, locate

SUPERSAMPLING = 3
SHADOW_SIZE = 200
NOISE = 0.006


@dataclass(frozen=True)
class SeenMark:
    """A mark, where it is in the picture (pixels) and whether one sees it."""

    mark: Mark
    x: float
    y: float
    visible: bool


@dataclass(frozen=True)
class Photo:
    """A picture and the truth about it; pixels are of the picture, y down, pixel centres at .5."""

    image: np.ndarray  # (S, S, 3) uint8
    mask: np.ndarray  # (S, S, 3) uint8: coverage by head with hair and hat, by face, by person
    box: np.ndarray  # (4,) left, top, right, bottom of the face
    landmarks: np.ndarray  # (72, 2) as the camera sees them
    landmarks_3d: np.ndarray  # (72, 3) = pose.scale * head * pose.rotationᵀ + pose.shift
    head: np.ndarray  # (72, 3) in head units, with the expression
    pose: HeadPose
    five: np.ndarray  # (5, 2)
    five_3d: np.ndarray  # (5, 3)
    marks: list[SeenMark]


def take_photo(look: Look, shot: Shot, size: int) -> Photo:
    """Draw the photo of a look at `size` pixels."""
    place = posed(look, shot)
    fine = camera(look, place, shot, size * SUPERSAMPLING)
    screen = fine.seen(place.points)
    depth, seen = _visible(look, place, fine, screen, size * SUPERSAMPLING)
    light = _lit(look, place, shot, fine, screen, seen)
    coverage = covered(seen, look.layers, HAIR_LAYERS, SUPERSAMPLING)
    behind = draw_background(shot.scene, shot.scene_seed, size, shot.blur)
    image = averaged(light, SUPERSAMPLING)
    image += shot.light.on_background(behind) * (1 - coverage[..., 2:])
    grain = np.random.default_rng([6, shot.noise_seed]).normal(0, NOISE, image.shape)
    image = np.clip(developed(image) + grain, 0, 1)
    pose = _in_pixels(head_pose(look, place, fine))
    spots = landmark_spots(look.person)
    head = in_head_units(look, spots.on(place.still))
    points = _on_screen(spots.on(place.points), fine)
    solid = pose.scale * head @ pose.rotation.T + pose.shift
    return Photo(
        image=(image * 255 + 0.5).astype(np.uint8),
        mask=(coverage * 255 + 0.5).astype(np.uint8),
        box=_box(place, fine),
        landmarks=points,
        landmarks_3d=solid,
        head=head,
        pose=pose,
        five=five_points(points),
        five_3d=five_points(solid),
        marks=_seen_marks(look, place, fine, depth),
    )


def neutral_head(look: Look) -> np.ndarray:
    """The 72 landmarks of the look's neutral face in head units, (72, 3)."""
    return in_head_units(look, landmark_spots(look.person).on(look.vertices))


def _visible(
    look: Look, place: Posed, view: Camera, screen: tuple[np.ndarray, ...], size: int
) -> tuple[np.ndarray, np.ndarray]:
    depth, seen = np.zeros((size, size)), np.full((size, size), -1, np.int64)
    draw_triangles(*screen, look.triangles, depth, seen)
    if len(place.strands):
        widths = look.hair.half_widths * view.focal / (view.place[2] - view.middle[2])
        hair = view.seen(place.strands)
        draw_strands(*hair, POINTS, widths, depth, seen, len(look.triangles))
    return depth, seen


def _lit(
    look: Look,
    place: Posed,
    shot: Shot,
    view: Camera,
    screen: tuple[np.ndarray, np.ndarray, np.ndarray],
    seen: np.ndarray,
) -> np.ndarray:
    b = body()
    eyes = np.stack([b.template[eye, :2].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)])
    surface = Surface(
        points=place.points,
        normals=normals(place.points, look.triangles),
        template=look.template,
        openness=look.openness,
        triangles=look.triangles,
        triangle_uv=look.triangle_uv,
        material=look.material,
        uv=b.uv,
    )
    colours = Colours(
        texture=look.texture,
        gloss=look.gloss,
        material_colours=look.material_colours,
        material_gloss=look.material_gloss,
        iris=look.person.iris,
        eyes=eyes,
    )
    strands = Strands(place.strands, look.hair.colours, POINTS)
    cloth = look.wear.garment.cloth()
    lamp = _lamp(look, place, shot)
    return shade(seen, screen, surface, colours, strands, cloth, lamp, view.place)


def _lamp(look: Look, place: Posed, shot: Shot) -> Lamp:
    frame = light_frame(shot.light.direction)
    origin = face_middle(look, place) + np.array([0, -0.9, 0]) * look.size
    scale = SHADOW_SIZE / (6.0 * look.size)
    depth = np.full((SHADOW_SIZE, SHADOW_SIZE), -1e9)
    unused = np.zeros(depth.shape, np.int64)
    x, y, near = seen_from(place.points, frame, origin, scale, SHADOW_SIZE)
    draw_triangles(x, y, near, look.triangles, depth, unused)
    if len(place.strands):
        x, y, near = seen_from(place.strands, frame, origin, scale, SHADOW_SIZE)
        widths = np.full(len(look.hair.colours), 0.55)
        draw_strands(x, y, near, POINTS, widths, depth, unused, 0)
    s = shot.light
    return Lamp(s.direction, s.key, s.sky, s.ground, frame, origin, scale, depth)


def _in_pixels(pose: HeadPose) -> HeadPose:
    return HeadPose(pose.rotation, pose.scale / SUPERSAMPLING, pose.shift / SUPERSAMPLING)


def _on_screen(points: np.ndarray, view: Camera) -> np.ndarray:
    x, y, _ = view.seen(points)
    return np.stack([x, y], 1) / SUPERSAMPLING


def _box(place: Posed, view: Camera) -> np.ndarray:
    """The box about the face from chin to hairline, with the cheeks."""
    x, y, z = body().template.T
    face = (y > 6.1) & (y < 7.95) & (z > 0.55) & (np.abs(x) < 0.78)
    corners = _on_screen(place.points[: len(face)][face], view)
    return np.concatenate([corners.min(0), corners.max(0)])


def _seen_marks(look: Look, place: Posed, view: Camera, depth: np.ndarray) -> list[SeenMark]:
    marks = shown(look.person.marks, look.years)
    if not marks:
        return []
    spots = _mark_spots(tuple(marks))
    x, y, near = view.seen(spots.on(place.points))
    found = []
    for mark, px, py, n in zip(marks, x, y, near, strict=True):
        row, column = int(py), int(px)
        inside = 0 <= row < depth.shape[0] and 0 <= column < depth.shape[1]
        # Hair or glasses in front are nearer by more than the skin's own slope in a pixel.
        visible = inside and depth[row, column] < n * (1 + 0.008)
        found.append(SeenMark(mark, px / SUPERSAMPLING, py / SUPERSAMPLING, bool(visible)))
    return found


@lru_cache(16)  # the same for all photos of a person
def _mark_spots(marks: tuple[Mark, ...]) -> Spot:
    middles = np.array([((m.x + m.x2) / 2, (m.y + m.y2) / 2) for m in marks])
    return locate(middles[:, 0], middles[:, 1])
