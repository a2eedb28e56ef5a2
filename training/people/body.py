"""The body: the template mesh, what moves with what, and shape changes as one sparse product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import sparse

from . import source

SKIN_VERTICES = 13380  # the body's own; eyes, teeth and helpers follow
LEFT_EYE, RIGHT_EYE = slice(14598, 14670), slice(14670, 14742)
# Materials of drawn triangles; the first six come with the mesh.
SKIN, EYE_LEFT, EYE_RIGHT, TEETH, TONGUE, LASHES = range(6)
FRAME, HAT, METAL, DARK_GLASS, HAT_TRIM = range(6, 11)
MATERIALS = 11
HEAD_CENTRE = np.array([0.0, 7.35, 0.45])  # of the template; hair and hats are laid about it
EYES_CENTRE = np.array([0.0, 7.28, 1.25])
HEAD_WIDTH = 1.62


@dataclass(frozen=True)
class Body:
    """The template and its targets. n vertices, t triangles, k targets."""

    template: np.ndarray  # (n, 3)
    uv: np.ndarray  # (m, 2)
    triangles: np.ndarray  # (t, 3) vertices
    triangle_uv: np.ndarray  # (t, 3) into uv
    material: np.ndarray  # (t,)
    head_share: np.ndarray  # (n,) how much a vertex turns with the head
    left_arm: np.ndarray
    right_arm: np.ndarray
    masks: np.ndarray  # (4, 512, 512) lips, face, ears, eyelids over UV
    targets: sparse.csr_matrix  # (3 n, k)
    target_index: dict[str, int]
    joints: dict[str, np.ndarray]  # 8 vertices each

    @property
    def skin(self) -> np.ndarray:
        """The triangles of the body's own surface (s, 3)."""
        return self.triangles[self.material == SKIN]

    def moves(self, weights: Mapping[str, float]) -> np.ndarray:
        """How far targets of these weights move every vertex, (n, 3)."""
        x = np.zeros(len(self.target_index), np.float32)
        for name, weight in weights.items():
            x[self.target_index[name]] = weight
        return (self.targets @ x).reshape(-1, 3).astype(np.float64)

    def joint(self, vertices: np.ndarray, name: str) -> np.ndarray:
        """Where the joint `name` of a shaped body is, (3,)."""
        return vertices[self.joints[name]].mean(0)

    def head_size(self, vertices: np.ndarray) -> float:
        """How large the head is beside the template's."""
        sizes = [
            np.linalg.norm(self.joint(v, "head-2") - self.joint(v, "jaw"))
            for v in (vertices, self.template)
        ]
        return float(sizes[0] / sizes[1])


@cache
def body() -> Body:
    """The body's data, read once a process."""
    a = source.arrays()
    names = [str(name) for name in a["target_names"]]
    entries = a["target_data"], a["target_indices"], a["target_offsets"]
    return Body(
        template=a["vertices"].astype(np.float64),
        uv=a["uv"].astype(np.float64),
        triangles=a["triangles"],
        triangle_uv=a["triangle_uv"],
        material=a["material"],
        head_share=a["head_share"],
        left_arm=a["left_arm"],
        right_arm=a["right_arm"],
        masks=a["masks"],
        targets=sparse.csr_matrix(entries, shape=(a["vertices"].size, len(names))),
        target_index={name: i for i, name in enumerate(names)},
        joints={str(n): cube for n, cube in zip(a["joint_names"], a["joint_cubes"], strict=True)},
    )
