"""Encode Face and saved identities of FaceSnap: encoders of the file, and those of others."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comfy.clip_vision
import facesnap_files
import model_files
import numpy as np
import pytest
import torch
from core_nodes import fill
from facesnap_files import ARCFACE, CLIP, least_controlnet, model_tensors
from facesnap_setting import Snap
from host_pack import pack_module
from PIL import Image
from torch import Tensor

YUNET = "face_detection/face_detection_yunet_2023mar.onnx"
DEFAULTS = {"order": "largest", "index": 0, "if_no_face": "error", "threshold": 0.6, "weights": ""}


@pytest.fixture
def models(comfyui_base: Path) -> Iterator[Path]:
    """The models folder; what a test puts into it by `put` is taken away again."""
    before = set((comfyui_base / "models").rglob("*"))
    yield comfyui_base / "models"
    for path in set((comfyui_base / "models").rglob("*")) - before:
        if path.is_file():
            path.unlink()


def photo(seed: int, x: int = 9, y: int = 9, side: int = 640) -> Tensor:
    """(1, S, S, 3): smooth colours, and one red cell of 32 that the small detectors know."""
    grid = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed)) * 0.8
    image = torch.nn.functional.interpolate(grid, (side, side), mode="bicubic").clamp(0, 1)
    image[:, :, y * 32 : y * 32 + 32, x * 32 : x * 32 + 32] = torch.eye(3)[0][None, :, None, None]
    return image.movedim(1, -1)


def encode(snap: Snap, *images: Tensor, facesnap: Any = None, **inputs: Any) -> tuple:
    lists = {name: [value] for name, value in (DEFAULTS | inputs).items() if value is not None}
    model = [snap.facesnap if facesnap is None else facesnap]
    node = snap.pack["FaceSnapEncodeFace"]
    return snap.run_node(node, facesnap=model, image=list(images), **lists)


def five_of(x: int = 9, y: int = 9) -> list[tuple[float, float]]:
    """Where the small detectors see eyes, nose and mouth of that cell."""
    return [(32 * (x + u), 32 * (y + v)) for u, v in model_files.POINTS]


def aligned(picture: Tensor, five: list[tuple[float, float]]) -> Tensor:
    image = Image.fromarray(picture[0].mul(255).round().byte().numpy())
    return pack_module("flashface_core.faces.align").align_face(image, five)


def test_a_model_looks_with_its_own_encoder(snap: Snap, models: Path):
    model_files.yunet(models / YUNET)
    identity, faces = encode(snap, photo(1))
    crop = aligned(photo(1), five_of())
    assert (faces[0] - crop.float() / 255).abs().max() < 2 / 255
    embedding, grid = snap.facesnap.look(identity.crops)
    assert torch.equal(identity.face, embedding[0])
    assert torch.equal(identity.image, grid[0].half())
    assert identity.likeness == (1.0,) and len(identity.crops) == 1


def test_several_photos_are_averaged_before_they_are_normalised(snap: Snap, models: Path):
    model_files.yunet(models / YUNET)
    photos = [photo(1), torch.cat([photo(2), photo(3)])]
    identity, faces = encode(snap, *photos)
    embedding, grid = snap.facesnap.look(identity.crops)
    assert (identity.face - embedding.mean(0)).abs().max() < 1e-5
    assert torch.equal(identity.image, grid.flatten(0, 1).half()) and len(faces) == 3
    turned, _ = encode(snap, photos[1].flip(0), photos[0])
    tokens, other = snap.facesnap.tokens(identity), snap.facesnap.tokens(turned)
    assert (tokens - other).abs().max() < 1e-5 * tokens.abs().max()
    weighted, _ = encode(snap, *photos, weights="1, 0, 0")
    assert torch.equal(weighted.face, embedding[0])


def test_the_built_in_detector_is_enough_for_small_models(snap: Snap, models: Path):
    """It finds no eyes: their usual places in its box stand for them."""
    people = pack_module("flashface_core.demo.people")
    folder = pack_module("flashface_core.demo.folder").demo_folder()
    pictures = people.load_photos(folder, people.NAMES[0], "young", 2)
    loader = snap.pack["FlashFaceDetectorLoader"]
    (detector,) = snap.run_node(loader, detector="lbp")
    identity, faces = encode(snap, pictures, detector=detector, if_no_face="skip")
    assert faces.shape[1:] == (112, 112, 3) and len(identity.crops) == len(faces) > 0
    box = detector.detect(pictures[0].mul(255).byte().numpy())[0].box
    crops = pack_module("flashface_core.facesnap.crops")
    face = pack_module("flashface_core.faces.detection").Face(box)
    assert np.allclose(np.array(crops.five_of(face))[:, 0].mean(), box.centre[0])


def test_no_face_is_said_with_the_detector(snap: Snap, models: Path):
    model_files.yunet(models / YUNET)
    with pytest.raises(ValueError, match=r"no face found by detector 'yunet'.*Use a sharper"):
        encode(snap, torch.zeros(1, 640, 640, 3))
    with pytest.raises(ValueError, match="every photo was skipped"):
        encode(snap, torch.zeros(1, 640, 640, 3), if_no_face="skip")
    with pytest.raises(ValueError, match="weights should be numbers"):
        encode(snap, photo(1), weights="much")


@pytest.fixture(scope="module")
def full(comfyui_base: Path, snap: Snap) -> Iterator[Any]:
    """A model that was trained with a recogniser and a CLIP image encoder of others."""
    path = comfyui_base / "models" / "facesnap" / "full.safetensors"
    tensors = model_tensors(least_controlnet(), 512, CLIP["width"])
    facesnap_files.write_model(path, tensors, face_encoder=ARCFACE, image_encoder=CLIP)
    yield snap.run_node(snap.pack["FaceSnapModelLoader"], model_name=path.name)[0]
    path.unlink()


def clip_vision(folder: Path, width: int = CLIP["width"]) -> Any:
    """A CLIP_VISION of ViT-H's patches and any width, with random weights."""
    config = {
        **{"hidden_size": width, "num_hidden_layers": 3, "num_attention_heads": 2},
        **{"intermediate_size": 64, "image_size": 224, "patch_size": 14, "num_channels": 3},
        **{"hidden_act": "gelu", "layer_norm_eps": 1e-5, "projection_dim": 32},
        "model_type": "clip_vision_model",
    }
    file = folder / f"clip_{width}.json"  # ComfyUI 0.18 takes no tables
    file.write_text(json.dumps(config), encoding="utf-8")
    model = comfy.clip_vision.ClipVisionModel(str(file))
    fill(model.model, 3)
    return model


def recognisers(models: Path, name: str = "w600k_r50") -> None:
    model_files.scrfd(models / "insightface/models/buffalo_l/det_10g.onnx")
    model_files.arcface(models / f"insightface/models/buffalo_l/{name}.onnx")


def test_a_recogniser_and_clip_look_for_full_models(snap: Snap, full, models: Path, tmp_path: Path):
    recognisers(models)
    vision = clip_vision(tmp_path)
    identity, _ = encode(snap, photo(1), facesnap=full, clip_vision=vision)
    assert identity.face.shape == (512,) and identity.image.shape == (257, CLIP["width"])
    assert identity.face.norm() == pytest.approx(1.0, abs=1e-5)
    assert identity.encoders.fingerprint == "w600k_r50"
    crops = pack_module("flashface_core.facesnap.crops")
    picture = Image.fromarray(photo(1)[0].mul(255).round().byte().numpy())
    wide = torch.from_numpy(crops.wide_crop(picture, five_of())).float()[None] / 255
    expected = vision.encode_image(wide)["penultimate_hidden_states"][0]
    assert (identity.image.float() - expected).abs().max() < 5e-2 * expected.abs().max()
    assert full.tokens(identity).shape == (1, facesnap_files.TOKENS, facesnap_files.TEXT)


def test_what_a_full_model_lacks_is_named(snap: Snap, full, models: Path, tmp_path: Path):
    with pytest.raises(
        RuntimeError, match=r"full\.safetensors was trained with arcface-512\..*lic"
    ):
        encode(snap, photo(1), facesnap=full, clip_vision=clip_vision(tmp_path))
    recognisers(models)
    with pytest.raises(ValueError, match=r"reads pictures by clip-vit-h-14 \(257 x 96\)\. Connect"):
        encode(snap, photo(1), facesnap=full)
    words = r"gives 257 x 64; full\.safetensors was trained with clip-vit-h-14, 257 x 96"
    with pytest.raises(ValueError, match=words):
        encode(snap, photo(1), facesnap=full, clip_vision=clip_vision(tmp_path, 64))
    loader = snap.pack["FlashFaceDetectorLoader"]
    (detector,) = snap.run_node(loader, detector="lbp")
    people = pack_module("flashface_core.demo.people")
    folder = pack_module("flashface_core.demo.folder").demo_folder()
    pictures = people.load_photos(folder, people.NAMES[0], "young", 1)
    words = r"detector 'lbp' finds no eyes, nose and mouth \(photo 1\), which arcface-512 needs"
    with pytest.raises(ValueError, match=words):
        given = {"facesnap": full, "clip_vision": clip_vision(tmp_path), "detector": detector}
        encode(snap, pictures, **given, threshold=0.0)


def test_the_recogniser_is_the_one_of_training(snap: Snap, full, models: Path, tmp_path: Path):
    face = dataclasses.replace(full.config.face, fingerprint="glintr100")
    config = dataclasses.replace(full.config, face=face)
    encoders = dataclasses.replace(full.encoders, face=face, fingerprint="glintr100")
    trained = dataclasses.replace(full, config=config, encoders=encoders)
    recognisers(models)
    with pytest.raises(RuntimeError, match=r"insightface's glintr100\.onnx, which is not in"):
        encode(snap, photo(1), facesnap=trained, clip_vision=clip_vision(tmp_path))
    recognisers(models, "glintr100")
    identity, _ = encode(snap, photo(1), facesnap=trained, clip_vision=clip_vision(tmp_path))
    assert identity.encoders.fingerprint == "glintr100"


def test_wide_crops_of_large_pictures_do_not_alias():
    crops = pack_module("flashface_core.facesnap.crops")
    fine = np.indices((2048, 2048)).sum(0) % 2 * 255  # a chessboard of pixels: grey on the whole
    picture = Image.fromarray(np.repeat(fine[..., None], 3, -1).astype(np.uint8))
    five = [(700.0, 800.0), (1300.0, 800.0), (1000.0, 1100.0), (750.0, 1450.0), (1250.0, 1450.0)]
    crop = crops.wide_crop(picture, five)
    assert crop.shape == (224, 224, 3) and abs(crop[60:160, 60:160].astype(float) - 127.5).max() < 3


def test_wide_crops_keep_their_place():
    """Reduced or not, the five points land on the template at 80 %."""
    crops = pack_module("flashface_core.facesnap.crops")
    places = np.array(pack_module("flashface_core.faces.align").PLACES)
    wanted = places * 1.6 + 22.4
    for scale in (2.0, 7.0, 13.0):
        five = places * scale + 40
        side = int(112 * scale + 80)
        pixels = np.zeros((side, side, 3), np.uint8)
        y, x = np.indices((side, side))
        for u, v in five:
            pixels[np.hypot(x - u, y - v) < 4 * scale] = 255
        crop = crops.wide_crop(Image.fromarray(pixels), [tuple(p) for p in five])[..., 0] > 127
        rows, columns = np.indices(crop.shape)
        for u, v in wanted:
            near = crop & (np.hypot(columns - u, rows - v) < 12)
            assert np.hypot(columns[near].mean() - u, rows[near].mean() - v) < 0.5, scale


def test_saving_and_loading(snap: Snap, comfyui_base: Path):
    save, load = snap.pack["FaceSnapSaveIdentity"], snap.pack["FaceSnapLoadIdentity"]
    snap.run_node(save, identity=snap.anna, name="anna")
    identity, face = snap.run_node(load, facesnap=snap.facesnap, identity_name="anna.safetensors")
    assert torch.equal(identity.face, snap.anna.face)
    assert torch.equal(identity.image, snap.anna.image)
    assert torch.equal(snap.facesnap.tokens(identity), snap.facesnap.tokens(snap.anna))
    (one,) = face.faces
    assert not one.shape.any() and not one.expression.any()
    assert np.array_equal(one.pose.rotation, np.eye(3))
    assert (one.landmarks[:, :2] > 0).all() and (one.landmarks[:, :2] < one.width).all()


def test_the_shape_of_a_face_is_kept(snap: Snap, comfyui_base: Path):
    room = pack_module("flashface_core.facesnap.saved_face")
    landmarks = pack_module("flashface_core.facesnap.landmark_model")
    file = room.find_model(pack_module("nodes.folders").landmark_models(), None)
    average = room.face_of(file, None).faces[0]
    shapes = [np.full(len(average.shape), value) for value in (0.5, 1.5)]
    faces = tuple(dataclasses.replace(average, shape=s, detail=average.detail + 1) for s in shapes)
    given = landmarks.Faces(faces, file.model, file.fingerprint)
    save, load = snap.pack["FaceSnapSaveIdentity"], snap.pack["FaceSnapLoadIdentity"]
    snap.run_node(save, identity=snap.anna, name="shaped", face=given)
    _, face = snap.run_node(load, facesnap=snap.facesnap, identity_name="shaped.safetensors")
    assert np.allclose(face.faces[0].shape, 1) and np.allclose(face.faces[0].detail, 1)
    assert face.fingerprint == file.fingerprint and face.model.mean.shape == (72, 3)


def test_a_face_of_a_landmark_model_that_is_gone(snap: Snap, monkeypatch):
    """Whoever connects it is told; the identity is there all the same."""
    folders = pack_module("nodes.folders")
    monkeypatch.setattr(folders, "landmark_models", lambda: [str(snap.file), "/gone.safetensors"])
    load = snap.pack["FaceSnapLoadIdentity"]
    identity, face = snap.run_node(load, facesnap=snap.facesnap, identity_name="anna.safetensors")
    assert torch.equal(identity.face, snap.anna.face)
    assert "needs a landmark model, which is not there" in face.message


def test_identities_of_other_encoders_are_refused_when_loaded(snap: Snap, full):
    load = snap.pack["FaceSnapLoadIdentity"]
    words = r"made by facesnap-small \(128\), but full\.safetensors reads arcface-512 \(512\)"
    with pytest.raises(ValueError, match=words):
        snap.run_node(load, facesnap=full, identity_name="anna.safetensors")


def test_blending(snap: Snap):
    (half,) = snap.run_node(
        snap.pack["FaceSnapBlend"], identity_1=snap.anna, identity_2=snap.bert, factor=0.5
    )
    assert torch.allclose(half.face, (snap.anna.face + snap.bert.face) / 2)
    assert snap.facesnap.tokens(half).isfinite().all()


def test_the_embedded_model_finds_and_draws(snap: Snap):
    """Load FaceSnap Demo with the built-in detector and the plain MODEL of Load FlashFace Demo."""
    facesnap, _ = snap.run_node(snap.pack["FaceSnapDemoLoader"])
    plain = snap.run_node(snap.pack["FlashFaceDemoLoader"])[4]
    people = pack_module("flashface_core.demo.people")
    folder = pack_module("flashface_core.demo.folder").demo_folder()
    pictures = people.load_photos(folder, people.NAMES[0], "young", 1)
    (detector,) = snap.run_node(snap.pack["FlashFaceDetectorLoader"], detector="lbp")
    identity, _ = encode(snap, pictures, facesnap=facesnap, detector=detector)
    text = [[torch.zeros(1, 77, 768), {}]]
    prompts = snap.apply(text, text, facesnap=facesnap, identity=identity, landmark_image=None)
    found = snap.sample(*prompts, model=plain)
    assert found.isfinite().all()
