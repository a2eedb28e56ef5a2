"""Hair grows: strands that collide with the body, fall, curl and keep off the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from .body import SKIN, SKIN_VERTICES, body
from .formulas import unit

POINTS = 10
GUIDED = 3


@dataclass(frozen=True)
class Growth:
    """How strands grow; lengths beside the head's size.

    `gravity` bends them down a step, `stick` pulls them to within that distance of the skin,
    `sideways` damps motion in x and z, `gap` is the distance kept from the skin.
    """

    gravity: float = 0.1
    wave: float = 0.0
    wave_turns: float = 7.0
    curl: float = 0.0
    stick: float | None = None
    sideways: float = 1.0
    gap: float = 0.045
    off_face: bool = False


@dataclass(frozen=True)
class Roots:
    """Places on the skin from which hair grows: (n, 3) each."""

    position: np.ndarray
    normal: np.ndarray
    template: np.ndarray


class Scalp:
    """A shaped body as hair meets it."""

    def __init__(self, vertices: np.ndarray, normals: np.ndarray, size: float, centre: np.ndarray):
        self.vertices, self.normals, self.size, self.centre = vertices, normals, size, centre
        template = body().template
        skin = np.arange(len(vertices)) < SKIN_VERTICES
        near = (template[:, 1] > 3.6) & (np.abs(template[:, 0]) < 2.2) & skin
        used = np.linalg.norm(normals, axis=1) > 0.5
        self.index = np.where(near & used)[0]
        self.tree = KDTree(vertices[self.index])
        self.triangles = body().triangles[body().material == SKIN]
        a, b, c = (vertices[self.triangles[:, i]] for i in range(3))
        self.areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        self.middles = template[self.triangles].mean(1)

    def roots(self, rng: np.random.Generator, region: np.ndarray, count: int) -> Roots | None:
        """`count` roots spread by area over triangles weighted by `region`; None for none."""
        chance = self.areas * region
        if count == 0 or chance.sum() <= 0:
            return None
        corners = self.triangles[rng.choice(len(chance), count, p=chance / chance.sum())]
        weights = rng.dirichlet([1, 1, 1], count)[:, :, None]

        def at(values: np.ndarray) -> np.ndarray:
            return (values[corners] * weights).sum(1)

        return Roots(at(self.vertices), unit(at(self.normals)), at(body().template))

    def grow(
        self,
        rng: np.random.Generator,
        position: np.ndarray,
        normal: np.ndarray,
        direction: np.ndarray,
        length: np.ndarray,
        growth: Growth,
    ) -> np.ndarray:
        """Strands (n, POINTS, 3) from `position` along `direction` (n, 3), `length` (n,) long.

        One in `GUIDED` grows, the others follow the nearest that did.
        """
        count = -(-len(position) // GUIDED)
        guide = slice(0, count)
        grown = self._grown(
            rng, position[guide], normal[guide], direction[guide], length[guide], growth
        )
        rest = slice(count, None)
        nearest = np.asarray(KDTree(position[guide]).query(position[rest])[1])
        scale = (length[rest] / length[nearest])[:, None, None]
        along = np.linspace(0, 1, POINTS)[None, :, None]
        loose = rng.normal(0, 0.04, (len(nearest), 1, 3)) * length[rest, None, None] * along
        follow = (grown[nearest] - position[nearest][:, None]) * scale + loose
        return np.concatenate([grown, position[rest][:, None] + follow])

    def _grown(
        self,
        rng: np.random.Generator,
        position: np.ndarray,
        normal: np.ndarray,
        direction: np.ndarray,
        length: np.ndarray,
        growth: Growth,
    ) -> np.ndarray:
        g, size = growth, self.size
        step = (length / (POINTS - 1))[:, None]
        here, heading = position + normal * 0.01, unit(direction)
        points = [here]
        phase = 0.25 * rng.uniform(0, 6.28, len(position)) + 5 * position[:, 0] + 4 * position[:, 2]
        across = unit(np.cross(heading, normal) + 1e-6)
        bends = bool(g.wave or g.curl)
        for i in range(1, POINTS):
            here = here + heading * step
            if bends:
                angle = phase + g.wave_turns * i / POINTS * 6.28 / 3
                here = here + across * (np.cos(angle) * (g.wave + g.curl))[:, None] * size
                here = here + normal * (np.sin(angle) * g.curl)[:, None] * size
            here, out, near = self._kept_outside(rng, here, g)
            if g.off_face:
                here = self._kept_off_the_face(here)
            if not bends:
                heading = unit(here - points[-1])
            if g.stick is not None:
                leaving = np.maximum(0, (heading * out).sum(1)) * 0.7 * near
                heading = unit(heading - out * leaving[:, None])
            damp = np.array([g.sideways, 1.0, g.sideways])
            heading = unit(heading * damp + np.array([0, -g.gravity, 0]))
            points.append(here.copy())
        return np.stack(points, 1)

    def _kept_outside(
        self, rng: np.random.Generator, here: np.ndarray, g: Growth
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        _, found = self.tree.query(here)
        nearest = self.index[found]
        out = self.normals[nearest]
        away = here - self.vertices[nearest]
        height = (away * out).sum(1)
        wanted = (g.gap + rng.uniform(0, 0.05, len(here))) * self.size
        near = np.linalg.norm(away, axis=1) < 0.8 * self.size
        push = np.maximum(0, wanted - height)
        if g.stick is not None:
            highest = wanted + g.stick * self.size
            push = np.where(height > highest, highest - height, push)
        return here + out * (push * near)[:, None], out, near

    def _kept_off_the_face(self, here: np.ndarray) -> np.ndarray:
        x, y, z = ((here - self.centre) / self.size).T
        before_face = (z > 0.25) & (y < 0.62) & (y > -1.3)
        edge = 0.80 - 0.25 * np.clip(-y - 0.3, 0, 1)
        sign = np.where(x == 0, 1, np.sign(x))
        moved = sign * np.minimum(edge, np.abs(x) + 0.12)
        x = np.where(before_face & (np.abs(x) < edge), moved, x)
        here = here.copy()
        here[:, 0] = self.centre[0] + x * self.size
        return here
