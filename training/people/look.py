"""A look: a person at an age with hair, clothes and accessories; what stays from photo to photo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import hats
from .accessories import Head, Part, earrings, glasses
from .body import (
    DARK_GLASS,
    EYE_LEFT,
    EYES_CENTRE,
    FRAME,
    HAT,
    HAT_TRIM,
    HEAD_CENTRE,
    LASHES,
    MATERIALS,
    METAL,
    SKIN,
    TEETH,
    TONGUE,
    Body,
    body,
)
from .formulas import colour
from .garments import Garment, draw_garment, dressed
from .hair import Hair, draw_hair
from .identity import BEARDS, STYLES_OF, Person, one_of
from .morph import aged, macro_weights
from .palette import CLOTHES, cloth_unlike
from .raster import add_openness, draw_triangles, light_frame, normals, seen_from, smoothed
from .skin import paint_head
from .strands import Scalp

OCCLUSION_LIGHTS, OCCLUSION_SIZE = 14, 96
HAIR_LAYERS = np.array([1.0, 0.0, 1.0])  # head, face, person: what hair counts as


@dataclass(frozen=True)
class Wear:
    """What may change from look to look; the rest is the person's."""

    style: str
    beard: str
    glasses: str
    earrings: bool
    garment: Garment
    hat: str = "none"
    hat_colours: tuple[str, str] = ("red", "white")


@dataclass(frozen=True)
class Look:
    """A shaped, painted, dressed person in the neutral pose. n points, t triangles."""

    person: Person
    years: float
    wear: Wear
    size: float  # of the head, beside the template's
    centre: np.ndarray  # of the head (3,)
    eyes: np.ndarray  # (2, 3)
    vertices: np.ndarray  # (n, 3) body, then accessories
    body_count: int
    template: np.ndarray  # (n, 3)
    triangles: np.ndarray
    triangle_uv: np.ndarray
    material: np.ndarray
    head_share: np.ndarray
    layers: np.ndarray  # (t, 3) whether a triangle is of the head, the face, the person
    openness: np.ndarray  # (n,) ambient light that reaches a point
    texture: np.ndarray
    gloss: np.ndarray
    hair: Hair
    material_colours: np.ndarray
    material_gloss: np.ndarray


def usual_wear(rng: np.random.Generator, p: Person, years: float) -> Wear:
    """The person's own style, with clothes of the day."""
    wear = Wear(p.style, p.beard, p.glasses, p.earrings, draw_garment(rng, p.skin))
    return fitting(replace(wear, hat=_random_hat(rng), hat_colours=_hat_colours(rng, p)), years)


def changed_wear(rng: np.random.Generator, p: Person, years: float) -> Wear:
    """Another look: other clothes, and mostly glasses, beard, hair or a hat unlike the usual."""
    wear = usual_wear(rng, p, years)
    swap = rng.random()
    if swap < 0.40:
        other = str(rng.choice(["round", "square", "sunglasses"], p=[0.42, 0.42, 0.16]))
        wear = replace(wear, glasses=other if p.glasses == "none" else "none")
    elif swap < 0.60:
        wear = replace(wear, style=one_of(rng, STYLES_OF[p.sex]))
    elif swap < 0.75 and p.male:
        wear = replace(wear, beard=one_of(rng, BEARDS))
    elif swap < 0.85:
        wear = replace(wear, hat=str(rng.choice(hats.HATS[1:])))
    return fitting(wear, years)


def fitting(wear: Wear, years: float) -> Wear:
    """`wear` without what does not go together or with the age."""
    if years < 17:
        wear = replace(wear, beard="none")
    if years < 16 and wear.style in ("bald", "slick"):
        wear = replace(wear, style="short")
    if years < 8:
        wear = replace(wear, earrings=False)
    if wear.hat != "none" and wear.style in ("curly", "bun", "ponytail"):
        wear = replace(wear, style="short" if wear.style == "curly" else "bob")
    return wear


def make_look(p: Person, years: float, wear: Wear, seed: int) -> Look:
    """Shape, paint, dress and comb a person; `seed` moves single hairs only."""
    b = body()
    rng = np.random.default_rng([3, p.paint_seed, seed, int(years)])
    fat = p.fat * (0.6 if years < 15 else 1)
    weights = macro_weights(years, p.gender, p.race, fat) | aged(p.local_weights(), years)
    vertices = b.template + b.moves(weights)
    cloth = wear.garment.cloth()
    vertices = dressed(vertices, normals(vertices, b.skin), cloth.neckline)
    size = b.head_size(vertices)
    eyes = np.stack([b.joint(vertices, "l-eye"), b.joint(vertices, "r-eye")])
    centre = eyes.mean(0) + (HEAD_CENTRE - EYES_CENTRE) * size
    scalp = Scalp(vertices, normals(vertices, b.skin), size, centre)
    hair = draw_hair(rng, scalp, p, years, wear.style, wear.beard)
    head = Head(vertices, size, centre, eyes)
    parts = glasses(wear.glasses, head) + (earrings(head) if wear.earrings else [])
    if wear.hat != "none":
        worn, hat_centre, radii = hats.hat(wear.hat, head)
        parts += worn
        hair = replace(hair, points=hats.tucked(hair.points, hat_centre, radii))
    texture, gloss = paint_head(p, years, wear.style, wear.beard)
    return _assembled(b, p, years, wear, head, parts, hair, texture, gloss)


def _assembled(
    b: Body,
    p: Person,
    years: float,
    wear: Wear,
    head: Head,
    parts: list[Part],
    hair: Hair,
    texture: np.ndarray,
    gloss: np.ndarray,
) -> Look:
    points, triangles, material = [head.vertices], [b.triangles], [b.material]
    count = len(head.vertices)
    for (solid, faces), number in parts:
        triangles.append(faces + count)
        material.append(np.full(len(faces), number))
        points.append(solid)
        count += len(solid)
    vertices = np.concatenate(points)
    added = len(vertices) - len(b.template)
    faces = np.concatenate(triangles).astype(np.int32)
    more_uv = np.zeros((len(faces) - len(b.triangles), 3), np.int32)
    colours, shine = _materials(p, wear)
    template = np.concatenate([b.template, np.zeros((added, 3))])
    head_share = np.concatenate([b.head_share, np.ones(added)])
    material = np.concatenate(material).astype(np.int32)
    return Look(
        person=p,
        years=years,
        wear=wear,
        size=head.size,
        centre=head.centre,
        eyes=head.eyes,
        vertices=vertices,
        body_count=len(b.template),
        template=template,
        triangles=faces,
        triangle_uv=np.concatenate([b.triangle_uv, more_uv]),
        material=material,
        head_share=head_share,
        layers=_layers(template[faces].mean(1), head_share[faces].mean(1), material),
        openness=_openness(vertices, faces, head),
        texture=texture,
        gloss=gloss,
        hair=hair,
        material_colours=colours,
        material_gloss=shine,
    )


def _layers(middle: np.ndarray, head_share: np.ndarray, material: np.ndarray) -> np.ndarray:
    x, y, z = middle.T
    head = head_share > 0.6
    face = head & (y > 6.05) & (y < 8.1) & (z > 0.3) & (np.abs(x) < 0.76) & (material == SKIN)
    face |= (material >= EYE_LEFT) & (material <= LASHES)
    return np.stack([head, face, np.ones_like(head)], 1).astype(np.float64)


def _materials(p: Person, wear: Wear) -> tuple[np.ndarray, np.ndarray]:
    colours = np.full((MATERIALS, 3), 0.5)
    gloss = np.tile([0.0, 20.0], (MATERIALS, 1))  # strength, sharpness
    for number, code in ((TEETH, "e6decc"), (TONGUE, "b35252"), (METAL, "e0b84a")):
        colours[number] = colour(code)
    colours[LASHES], colours[DARK_GLASS], colours[FRAME] = 0.012, 0.015, p.frame
    colours[HAT], colours[HAT_TRIM] = (colour(CLOTHES[name]) for name in wear.hat_colours)
    gloss[[1, 2]] = 0.9, 90
    gloss[TEETH, 0] = 0.25
    gloss[FRAME], gloss[METAL], gloss[DARK_GLASS] = (0.5, 40), (0.9, 30), (0.8, 60)
    return colours, gloss


def _openness(vertices: np.ndarray, triangles: np.ndarray, head: Head) -> np.ndarray:
    """Ambient occlusion of points: the part of the upper directions that is open."""
    facing = normals(vertices, triangles)
    open_sum, weight = np.zeros(len(vertices)), np.zeros(len(vertices))
    middle = head.centre + np.array([0, -1.0, 0]) * head.size
    scale = OCCLUSION_SIZE / (5.2 * head.size)
    for i in range(OCCLUSION_LIGHTS):
        up = 1 - (i + 0.5) / OCCLUSION_LIGHTS * 1.55
        turn, flat = i * 2.399963, np.sqrt(max(0, 1 - up * up))
        frame = light_frame(np.array([flat * np.cos(turn), up, flat * np.sin(turn)]))
        place = seen_from(vertices, frame, middle, scale, OCCLUSION_SIZE)
        depth = np.full((OCCLUSION_SIZE, OCCLUSION_SIZE), -1e9)
        unused = np.zeros(depth.shape, np.int64)
        draw_triangles(place[0], place[1], place[2], triangles, depth, unused)
        add_openness(facing, frame, place, depth, 0.10 * head.size, open_sum, weight)
    openness = np.where(weight > 0, 0.25 + 0.75 * open_sum / np.maximum(weight, 1e-6), 0.3)
    return smoothed(openness, triangles, 3)


def _random_hat(rng: np.random.Generator) -> str:
    return str(rng.choice(hats.HATS, p=[0.92, 0.035, 0.03, 0.015]))


def _hat_colours(rng: np.random.Generator, p: Person) -> tuple[str, str]:
    first = cloth_unlike(rng, p.skin)
    return first, first if rng.random() < 0.5 else cloth_unlike(rng, p.skin)
