"""What the renderer's compiled functions take: a surface, its colours, strands and a lamp."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Surface(NamedTuple):
    """What is drawn: n points, t triangles."""

    points: np.ndarray
    normals: np.ndarray
    template: np.ndarray
    openness: np.ndarray
    triangles: np.ndarray
    triangle_uv: np.ndarray
    material: np.ndarray
    uv: np.ndarray


class Colours(NamedTuple):
    """What it looks like."""

    texture: np.ndarray
    gloss: np.ndarray
    material_colours: np.ndarray
    material_gloss: np.ndarray
    iris: np.ndarray
    eyes: np.ndarray  # (2, 2) centres in the template's x, y


class Strands(NamedTuple):
    """Hair: points (n k, 3), colours (n, 3), k points a strand."""

    points: np.ndarray
    colours: np.ndarray
    count: int


class Lamp(NamedTuple):
    """A light with its shadow map (s, s), seen through `frame` about `origin`."""

    direction: np.ndarray
    colour: np.ndarray
    sky: np.ndarray
    ground: np.ndarray
    frame: np.ndarray
    origin: np.ndarray
    scale: float
    depth: np.ndarray
