"""Every reader on damaged files and odd values: no crash, no raw error, nothing that is not finite.

A case is (reader, seed, number); a failure says which. FLASHFACE_FUZZ=20 runs twenty times as many
cases, FLASHFACE_FUZZ_SEED=7 others.
"""

from __future__ import annotations

import math
import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import facesnap_files
import fuzz
import landmark_faces
import model_files
import numpy as np
import pytest
import torch
from checkpoint_files import official_tensors
from host_pack import ROOT
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from standins.detector import make_detector

from flashface_core.demo.models import words_of
from flashface_core.face2diffusion.identity import Identity
from flashface_core.face2diffusion.identity_file import load_identity, save_identity
from flashface_core.face2diffusion.weights import MAPPING, expected_shapes, open_weights
from flashface_core.faces.boxes import Box, box_payload, boxes_per_batch
from flashface_core.faces.choose import Choice, choose_faces
from flashface_core.faces.detection import DetectorUnavailable
from flashface_core.faces.detection.files import ModelFile
from flashface_core.faces.detection.insight import InsightFaceDetector
from flashface_core.faces.detection.yunet import YuNetDetector
from flashface_core.facesnap.finding import faces_of_mediapipe, find_face
from flashface_core.facesnap.identity import Encoders, make_identity
from flashface_core.facesnap.identity_file import SavedShape
from flashface_core.facesnap.identity_file import load_identity as load_facesnap_identity
from flashface_core.facesnap.identity_file import save_identity as save_facesnap_identity
from flashface_core.facesnap.landmark_file import LandmarkFile, load_landmark_model
from flashface_core.facesnap.landmark_model import Face
from flashface_core.facesnap.model import load_facesnap
from flashface_core.facesnap.model_config import Encoder
from flashface_core.facesnap.weights import metadata as facesnap_metadata
from flashface_core.files.packed import write_packed
from flashface_core.files.weights import open_source
from flashface_core.flashface.checkpoint import open_checkpoint
from flashface_core.flashface.curves import checked_curve
from flashface_core.flashface.reference import make_reference
from flashface_core.flashface.reference_file import load_reference, save_reference
from flashface_core.flashface.reference_sheet import reference_sheet

TIMES = float(os.environ.get("FLASHFACE_FUZZ", "1"))
SEED = int(os.environ.get("FLASHFACE_FUZZ_SEED", "0"))
CASES = {
    "safetensors": 30, "ckpt": 60, "reference": 120, "identity": 90, "boxes": 250, "curves": 250,
    "yunet": 6, "insightface": 4, "packed": 60, "facesnap": 20, "facesnap identity": 60,
    "landmark model": 60, "face landmarks": 250,
}  # fmt: skip
NATIVE = ("yunet", "insightface")  # whose parsers take hardly any damage
OURS = tuple(str(ROOT / folder) for folder in ("flashface_core", "nodes"))
Numbers = Any
"""What a reader gave: numbers and tensors, which have to be finite."""


def said(error: Exception) -> str:
    """Why an error is no sentence of this pack, "" where it is one."""
    frames = traceback.extract_tb(error.__traceback__)
    words = str(error)
    if not isinstance(error, ValueError | DetectorUnavailable):
        return f"raw {type(error).__name__}"
    if not frames[-1].filename.startswith(OURS):
        return f"{type(error).__name__} of {frames[-1].filename}"
    words.encode("utf-8")
    good = "\n" not in words and 20 < len(words) < 700 and words[-1] in ".)"
    return "" if good else f"no sentence: {words[:200]!r}"


def finite(value: Numbers) -> bool:
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value.float()).all())
    if isinstance(value, list | tuple):
        return all(map(finite, value))
    return math.isfinite(value)


class Model:
    """Face2Diffusion's answer as a simple sum, in the place of the mapping network."""

    fingerprint = name = "a"

    def words(self, vector: torch.Tensor, expression: Any, strength: float) -> torch.Tensor:
        more = 0 if expression is None else expression.sum() * strength
        return (vector.sum() * 1e8 + more).expand(2, 768)


def safetensors(random: Random, folder: Path) -> Numbers:
    path, tensors = folder / "a.safetensors", official()
    if random.random() < 0.5:
        save_file(fuzz.damage_tensors(random, tensors), path)
    else:
        path.write_bytes(fuzz.damage_safetensors(random, official_bytes()))
    return [tensor for _, tensor in open_checkpoint(path).tensors()]


def ckpt(random: Random, folder: Path) -> Numbers:
    path = folder / "a.ckpt"
    blank = {
        name: torch.zeros(()).expand(shape) for name, shape in expected_shapes(MAPPING).items()
    }
    more = {1: 2, "epoch": random.choice((3, None, [torch.ones(1)]))}
    tensors = fuzz.damage_tensors(random, blank) if random.random() < 0.5 else blank
    torch.save({**tensors, **more} if random.random() < 0.5 else {"state_dict": tensors}, path)
    if random.random() < 0.7:
        path.write_bytes(fuzz.damage_zip(random, path.read_bytes()))
    dtype = random.choice((None, torch.float16, torch.bfloat16))
    return list(open_weights(path, MAPPING).tensors(dtype).values())


def reference(random: Random, folder: Path) -> Numbers:
    tokens = torch.zeros(1, 7, 16)
    person = make_reference(torch.zeros(2, 4, 8, 8), tokens, 4, torch.zeros(2, 9, 9, 3).byte())
    path = damaged(random, save_reference(person, folder, "a")[0], "flashface_reference")
    people = load_reference(path)
    assert str(people) and reference_sheet(people, path.stem)
    return [[i.latents, i.context, i.log_weights, i.weight] for i in people.identities]


def identity(random: Random, folder: Path) -> Numbers:
    crops, vector = torch.zeros(2, 112, 112, 3).byte(), torch.zeros(1536)
    person: Any = Identity(Model(), vector, vector, crops, (1.0, 0.5), torch.zeros(64), 0.5)  # type: ignore
    path = damaged(random, save_identity(person, folder, "a")[0], "face2diffusion_identity")
    one = load_identity(path, Model())  # type: ignore[arg-type]
    return [one.vector, one.words, one.likeness, one.expression_strength]


def damaged(random: Random, path: Path, key: str) -> Path:
    if random.random() < 0.5:
        save_file(fuzz.damage_tensors(random, load_file(path)), path, {key: "1"})
    else:
        path.write_bytes(fuzz.damage_safetensors(random, path.read_bytes()))
    return path


def boxes(random: Random, folder: Path) -> Numbers:
    def entry() -> Any:
        names = ("x", "y", "width", "height", "score")
        box: dict[str, Any] = {name: random.uniform(0, 40) for name in names}
        box["crop"] = {**{name: random.randrange(40) for name in names[:4]}, "tilt": 1.0}
        for _ in range(random.randrange(3)):
            random.choice((box, box["crop"] if isinstance(box["crop"], dict) else box))[
                random.choice((*names, "crop", "tilt"))
            ] = fuzz.odd_value(random)
        return box

    payload = random.choice(
        (entry(), [entry()], [[entry(), entry()]], fuzz.odd_value(random), [entry(), 5])
    )
    ((found,),) = boxes_per_batch([payload], [1])
    numbers: list[Any] = [[b.x1, b.y1, b.x2, b.y2, b.score] for b in found]
    if found:
        picture = Image.new("RGB", (64, 48))
        result = choose_faces(picture, Choice(size=64, faces_per_image=9), None, found)
        for crop in result.chosen:
            numbers.append(list(box_payload(crop.face.box, crop.cut)["crop"].values()))
    return numbers


def curves(random: Random, folder: Path) -> Numbers:
    def number() -> Any:
        return (
            random.random() if random.random() < 0.8 else random.choice((0, 1, 5e-324, 1 - 1e-16))
        )

    points: list[Any] = [[number(), number()] for _ in range(random.randrange(6))]
    if points and random.random() < 0.4:
        points[0] = fuzz.odd_value(random)
    kind = random.choice(("linear", "monotone_cubic", fuzz.odd_value(random)))
    value = random.choice(
        (points, {"points": points, "interpolation": kind}, fuzz.odd_value(random))
    )
    curve = checked_curve("strength_curve", value)
    found = [curve(x) for x in (0.0, 1e-300, 0.3, 0.5, 1.0)] if curve else []
    assert all(0 <= x <= 1 for x in found)
    return found


def yunet(random: Random, folder: Path) -> Numbers:
    path = make_detector(folder / "face_detection_yunet.onnx")
    path.write_bytes(fuzz.damage_onnx(random, path.read_bytes()))
    detector = YuNetDetector(path, random.choice((640, 640, 320)))
    faces = detector.detect(Image.fromarray(np.full((300, 400, 3), 90, np.uint8)))
    return [[f.box.x1, f.box.y1, f.box.x2, f.box.y2, f.score] for f in faces]


def insightface(random: Random, folder: Path) -> Numbers:
    path = model_files.scrfd(folder / "det_10g.onnx")
    path.write_bytes(fuzz.damage_onnx(random, path.read_bytes()))
    detector = InsightFaceDetector(ModelFile(path, "buffalo_l"), "cpu", 320)
    faces = detector.detect(Image.fromarray(np.full((300, 400, 3), 90, np.uint8)))
    return [[f.box.x1, f.box.y1, f.box.x2, f.box.y2, f.score] for f in faces]


def packed(random: Random, folder: Path) -> Numbers:
    path = folder / "words.npz"
    write_packed(path, {"ids": torch.arange(9), "rows": torch.ones(9, 768)}, {"format": "pt"})
    path.write_bytes(fuzz.damage_zip(random, path.read_bytes()))
    return list(words_of(open_source(path)))


def facesnap(random: Random, folder: Path) -> Numbers:
    path, tensors = folder / "a.safetensors", small_facesnap()
    if random.random() < 0.5:
        damaged_ones = fuzz.damage_tensors(random, tensors)
        save_file(damaged_ones, path, facesnap_metadata(facesnap_files.CONFIG))
    else:
        path.write_bytes(fuzz.damage_safetensors(random, _OFFICIAL["facesnap bytes"]))
    model = load_facesnap(str(path), random.choice((None, torch.float16, torch.bfloat16)))
    states = [patcher.model.state_dict() for patcher in model.get_models()]
    return [[tensor for tensor in state.values()] for state in states]


def small_facesnap() -> dict[str, torch.Tensor]:
    if "facesnap" not in _OFFICIAL:
        tensors = facesnap_files.model_tensors(facesnap_files.least_controlnet())
        _OFFICIAL["facesnap"] = tensors
        _OFFICIAL["facesnap bytes"] = save(tensors, facesnap_metadata(facesnap_files.CONFIG))
    return _OFFICIAL["facesnap"]


def facesnap_identity(random: Random, folder: Path) -> Numbers:
    encoders = Encoders(Encoder("facesnap-small", 12), Encoder("facesnap-small-map", 20, 7))
    crops, maps = torch.zeros(2, 112, 112, 3).byte(), torch.ones(2, 7, 20)
    person = make_identity(encoders, torch.ones(2, 12), maps, crops)
    shape = SavedShape(np.ones(5), np.ones((72, 3)), "a")
    path, _ = save_facesnap_identity(person, shape, folder, "a")
    with safe_open(path, "pt") as file:
        about = file.metadata()
    if random.random() < 0.5:
        save_file(fuzz.damage_tensors(random, load_file(path)), path, about)
    else:
        path.write_bytes(fuzz.damage_safetensors(random, path.read_bytes()))
    one, face = load_facesnap_identity(path)
    more = [] if face is None else [float(face.shape.sum()), float(face.detail.sum())]
    return [one.face, one.image, one.likeness, *more]


def landmark_model(random: Random, folder: Path) -> Numbers:
    path = landmark_faces.write_model(folder / "a.safetensors")
    with safe_open(path, "pt") as file:
        about = file.metadata()
    if random.random() < 0.5:
        save_file(fuzz.damage_tensors(random, load_file(path)), path, about)
    else:
        path.write_bytes(fuzz.damage_safetensors(random, path.read_bytes()))
    file = load_landmark_model(path)
    picture = Image.new("RGB", (640, 480), (90, 60, 50))
    return numbers_of(find_face(file, picture, Box(100, 100, 300, 300)))


def numbers_of(face: Face) -> Numbers:
    parts = face.landmarks, face.shape, face.expression, face.detail, face.pose.rotation
    return [torch.from_numpy(part) for part in parts]


def face_landmarks(random: Random, folder: Path) -> Numbers:
    model = landmark_faces.random_model()
    face = landmark_faces.mediapipe_face(model, random.randrange(9))
    given: Any = landmark_faces.face_landmarks([face])
    place = random.choice((given, given["frames"], given["frames"][0], face, face, face))
    if place is face and random.random() < 0.7:
        points = face[random.choice(("landmarks_xy", "landmarks_3d"))]
        odd = random.choice((np.nan, np.inf, 1e30, -1e6, 0.0))
        points[random.choice((slice(None), random.randrange(478))), random.choice((0, 1))] = odd
    elif isinstance(place, dict):
        place[random.choice(list(place))] = fuzz.odd_value(random)
    else:
        place[0] = fuzz.odd_value(random)
    size = 1, landmark_faces.HEIGHT, landmark_faces.WIDTH
    file = LandmarkFile("a", "", model, None, {})
    (one,) = faces_of_mediapipe(file, given, size, "largest", 0).faces
    return numbers_of(one)


READERS: dict[str, Callable[[Random, Path], Numbers]] = {
    "safetensors": safetensors, "ckpt": ckpt, "reference": reference, "identity": identity,
    "boxes": boxes, "curves": curves, "yunet": yunet, "insightface": insightface,
    "packed": packed, "facesnap": facesnap, "facesnap identity": facesnap_identity,
    "landmark model": landmark_model, "face landmarks": face_landmarks,
}  # fmt: skip
_OFFICIAL: dict[str, Any] = {}


def official() -> dict[str, torch.Tensor]:
    if not _OFFICIAL:
        _OFFICIAL["tensors"] = official_tensors()
        _OFFICIAL["bytes"] = save(_OFFICIAL["tensors"])
    return _OFFICIAL["tensors"]


def official_bytes() -> bytes:
    official()
    return _OFFICIAL["bytes"]


@pytest.mark.parametrize("name", READERS)
def test_nothing_ends_in_a_crash_a_raw_error_or_nan(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flashface_core.faces.detection import trial

    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "_known", {})
    refused, faults = 0, []
    count = max(1, round(CASES[name] * TIMES))
    for number in range(count):
        folder = tmp_path / "case"
        folder.mkdir(exist_ok=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = READERS[name](Random(f"{name} {SEED} {number}"), folder)
            fault = "" if finite(found) else "numbers that are not finite"
        except Exception as error:
            refused += 1
            fault = said(error)
            fault = fault and f"{fault}: {error!r:.300}"
        if fault:
            faults.append(f"case {number}: {fault}")
        for file in folder.iterdir():
            file.unlink()
    print(f"{name}: {count} cases, {refused} refused, {len(faults)} faults")
    assert not faults, "\n".join(faults[:20])
    assert refused and (refused < count or name in NATIVE)
