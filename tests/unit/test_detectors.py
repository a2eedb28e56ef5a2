"""insightface and YuNet through their real libraries, on small models with known answers."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import model_files
import numpy as np
import pytest
import skimage.data
from model_files import POINTS, REACH, SCORE
from PIL import Image
from standins import detector as standin_detector

from flashface_core.faces.boxes import Box
from flashface_core.faces.choose import Choice, choose_faces
from flashface_core.faces.detection import (
    DetectorUnavailable,
    Face,
    ModelFolders,
    Settings,
    fingerprint,
    load_detector,
    onnx_model,
    order_faces,
    working_detectors,
)
from flashface_core.faces.detection.files import detection_models, recognition_models, yunet_models
from flashface_core.faces.detection.frame import detect_in_frames
from flashface_core.faces.geometry import crop_cut, face_cut, pad_to_square

PALETTE = {8: (0, 255, 0), 16: (0, 0, 255), 32: (255, 0, 0)}
CELLS = {8: (3, 20), 16: (30, 22), 32: (10, 9)}  # stride -> column and row of its one full cell


def scene(width: int = 640, height: int = 640) -> Image.Image:
    """Grey with one full cell of each stride, at the cells of a frame of 640 (see model_files)."""
    pixels = np.full((640, 640, 3), 90, np.uint8)
    for stride, (column, row) in CELLS.items():
        x, y = column * stride, row * stride
        pixels[y : y + stride, x : x + stride] = PALETTE[stride]
    left, top = (640 - width) // 2, (640 - height) // 2
    return Image.fromarray(pixels[top : top + height, left : left + width])


def expected(stride: int, dx: float = 0, dy: float = 0) -> Face:
    column, row = CELLS[stride]
    x, y = column * stride + dx, row * stride + dy
    left, up, right, down = (reach * stride for reach in REACH)
    points = tuple((x + px * stride, y + py * stride) for px, py in POINTS)
    return Face(Box(x - left, y - up, x + right, y + down), SCORE, points)


def assert_close(face: Face, other: Face) -> None:
    numbers = [
        (f.box.x1, f.box.y1, f.box.x2, f.box.y2, f.score, *np.ravel(f.landmarks or []))
        for f in (face, other)
    ]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-3)


def folders(root: Path) -> ModelFolders:
    return ModelFolders((str(root / "insightface"),), (str(root / "face_detection"),))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelFolders:
    root = tmp_path_factory.mktemp("models")
    model_files.scrfd(root / "insightface/models/buffalo_l/det_10g.onnx")
    model_files.arcface(root / "insightface/models/buffalo_l/w600k_r50.onnx")
    model_files.yunet(root / "face_detection/face_detection_yunet_2023mar.onnx")
    return folders(root)


@pytest.mark.parametrize("name", ["insightface", "yunet"])
def test_boxes_scores_and_landmarks_are_the_models(name: str, models: ModelFolders) -> None:
    found = load_detector(name, Settings(models)).detect(scene())
    assert len(found) == 3
    ordered = order_faces(found, "largest", (640, 640))
    for stride, face in zip((32, 16, 8), ordered, strict=True):
        assert_close(face, expected(stride))


@pytest.mark.parametrize("name", ["insightface", "yunet"])
def test_pictures_are_fitted_into_the_frame_like_the_authors_do(
    name: str, models: ModelFolders
) -> None:
    picture = scene(640, 400)  # the frame adds 120 rows above, which the answer must lose again
    found = load_detector(name, Settings(models)).detect(picture)
    assert len(found) == 3
    assert_close(order_faces(found, "largest", picture.size)[0], expected(32, dy=-120))


@pytest.mark.parametrize("name", ["insightface", "yunet"])
def test_small_pictures_are_enlarged(name: str, models: ModelFolders) -> None:
    picture = scene().resize((160, 160), Image.Resampling.NEAREST)
    found = load_detector(name, Settings(models)).detect(picture)
    largest = order_faces(found, "largest", picture.size)[0]
    assert largest.box.x1 == pytest.approx(expected(32).box.x1 / 4, abs=0.01)
    assert largest.box.height == pytest.approx(expected(32).box.height / 4, abs=0.01)


def test_crops_are_the_authors_rule_on_the_models_answer(models: ModelFolders) -> None:
    detector = load_detector("insightface", Settings(models))
    result = choose_faces(scene(), Choice(faces_per_image=3), detector)
    assert len(result.chosen) == 3
    for crop in result.chosen:
        assert crop.face.landmarks is not None
        cut = face_cut(crop.face.box, crop.face.landmarks)
        expected_crop = pad_to_square(crop_cut(scene(), cut), 224)
        assert crop.picture.tobytes() == expected_crop.tobytes()


def test_retinaface_heads_with_five_levels_work(tmp_path: Path) -> None:
    model_files.retinaface(tmp_path / "insightface/models/r50/retinaface_r50.onnx")
    found = load_detector("insightface", Settings(folders(tmp_path))).detect(scene())
    assert_close(order_faces(found, "largest", (640, 640))[0], expected(32))


def test_models_without_landmarks_or_with_a_fixed_size_work(tmp_path: Path) -> None:
    model_files.scrfd(tmp_path / "insightface/models/a/scrfd.onnx", landmarks=False, side=640)
    found = load_detector("insightface", Settings(folders(tmp_path), size=320)).detect(scene())
    assert found and all(face.landmarks is None for face in found)


@pytest.mark.parametrize("name", ["insightface", "yunet"])
def test_the_detection_size_is_the_frames(name: str, models: ModelFolders) -> None:
    detector = load_detector(name, Settings(models, size=1280))
    picture = scene().resize((1280, 1280), Image.Resampling.NEAREST)
    # at 640 its widest face would be 256 pixels wide
    assert max(face.box.width for face in detector.detect(picture)) == 128
    assert ".onnx at 1280 x 1280, and again smaller" in detector.tried


NESTED = ["models/buffalo_l", "models/antelopev2/antelopev2", "models", "", "models/x/y", "buffalo"]


@pytest.mark.parametrize("place", NESTED)
def test_flat_and_nested_pack_folders_are_found(tmp_path: Path, place: str) -> None:
    model_files.scrfd(tmp_path / "insightface" / place / "scrfd_10g_bnkps.onnx")
    assert load_detector("insightface", Settings(folders(tmp_path))).detect(scene())


def test_the_usual_pack_is_taken_first_and_other_models_never(tmp_path: Path) -> None:
    root = tmp_path / "insightface/models"
    names = ["2d106det.onnx", "1k3d68.onnx", "genderage.onnx", "w600k_r50.onnx", "._det_10g.onnx"]
    for pack in ("a", "antelopev2", "buffalo_l"):
        for name in [*names, "glintr100.onnx" if pack == "antelopev2" else "det_10g.onnx"]:
            (root / pack).mkdir(parents=True, exist_ok=True)
            (root / pack / name).touch()
    places = folders(tmp_path)
    assert list(map(str, detection_models(places))) == ["buffalo_l/det_10g.onnx", "a/det_10g.onnx"]
    assert str(recognition_models(places)[0]) == "antelopev2/glintr100.onnx"
    assert str(recognition_models(places, "a")[0]) == "a/w600k_r50.onnx"


def test_links_that_go_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "insightface/models").mkdir(parents=True)
    (tmp_path / "insightface/models/loop").symlink_to(tmp_path / "insightface")
    assert detection_models(folders(tmp_path)) == []


def test_links_to_nothing_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "insightface/models/buffalo_l").mkdir(parents=True)
    (tmp_path / "insightface/models/buffalo_l/det_10g.onnx").symlink_to(tmp_path / "gone.onnx")
    assert detection_models(folders(tmp_path)) == []
    assert fingerprint(folders(tmp_path)) == fingerprint(folders(tmp_path / "nowhere"))


def test_the_newest_exact_yunet_is_taken(tmp_path: Path) -> None:
    (tmp_path / "face_detection").mkdir()
    for date in ("2022mar", "2023mar", "2023mar_int8", "2023mar_int8bq"):
        (tmp_path / f"face_detection/face_detection_yunet_{date}.onnx").touch()
    assert yunet_models(folders(tmp_path))[0].name == "face_detection_yunet_2023mar.onnx"


@pytest.mark.parametrize("name", ["insightface", "yunet"])
def test_a_damaged_file_is_passed_over_for_another(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    model_files.scrfd(tmp_path / "insightface/models/other/det_10g.onnx")
    model_files.yunet(tmp_path / "face_detection/face_detection_yunet_2023mar.onnx")
    (tmp_path / "insightface/models/buffalo_l").mkdir()
    (tmp_path / "insightface/models/buffalo_l/det_10g.onnx").write_bytes(b"damaged")
    (tmp_path / "face_detection/face_detection_yunet_2026may.onnx").write_bytes(b"damaged")
    assert len(load_detector(name, Settings(folders(tmp_path))).detect(scene())) == 3
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "Passed over for " in caplog.text


def test_a_yunet_that_cannot_grow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "face_detection/face_detection_yunet_2023mar.onnx"
    standin_detector.make_detector(path)  # its outputs are those of 640 x 640 at any size
    assert load_detector("yunet", Settings(folders(tmp_path), size=640)).name == "yunet"
    with pytest.raises(
        DetectorUnavailable, match=r"does not fit 1280 x 1280.*detection_size to 640"
    ):
        load_detector("yunet", Settings(folders(tmp_path), size=1280))


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    before = fingerprint(folders(tmp_path))
    file = model_files.yunet(tmp_path / "face_detection/yunet.onnx")
    added = fingerprint(folders(tmp_path))
    assert before != added == fingerprint(folders(tmp_path))
    file.write_bytes(b"")
    assert fingerprint(folders(tmp_path)) not in (before, added)


def test_auto_takes_the_best_that_is_there(models: ModelFolders, tmp_path: Path) -> None:
    assert load_detector("auto", Settings(models)).name == "insightface"
    assert load_detector("auto", Settings(ModelFolders((), models.yunet))).name == "yunet"
    assert load_detector("auto", Settings(folders(tmp_path))).name == "lbp"
    assert load_detector().name == "lbp"


def test_auto_passes_over_a_damaged_file_with_a_warning(
    models: ModelFolders, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = tmp_path / "insightface/models/buffalo_l/det_10g.onnx"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no onnx at all")
    places = ModelFolders((str(tmp_path / "insightface"),), models.yunet)
    assert load_detector("auto", Settings(places)).name == "yunet"
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "buffalo_l/det_10g.onnx cannot be loaded" in caplog.text
    assert str(tmp_path) not in caplog.text


@pytest.mark.parametrize("content", [b"", b"no onnx", "half", "other"])
def test_a_corrupt_insightface_file_is_named(tmp_path: Path, content: Any) -> None:
    path = model_files.scrfd(tmp_path / "insightface/models/buffalo_l/det_10g.onnx")
    if content == "half":
        content = path.read_bytes()[: path.stat().st_size // 2]
    if content == "other":
        model_files.arcface(path)
    else:
        path.write_bytes(content)
    with pytest.raises(DetectorUnavailable) as error:
        load_detector("insightface", Settings(folders(tmp_path)))
    text = str(error.value)
    assert text.startswith("The face detector insightface cannot run. buffalo_l/det_10g.onnx ")
    assert str(tmp_path) not in text
    assert text.endswith(" Works right now: lbp.")


@pytest.mark.parametrize("content", [b"", b"no onnx", "half", "other"])
def test_a_corrupt_yunet_file_is_named(tmp_path: Path, content: Any) -> None:
    path = model_files.yunet(tmp_path / "face_detection/face_detection_yunet_2023mar.onnx")
    if content == "half":
        content = path.read_bytes()[: path.stat().st_size // 2]
    if content == "other":
        model_files.arcface(path)
    else:
        path.write_bytes(content)
    with pytest.raises(DetectorUnavailable, match=r"yunet_2023mar\.onnx cannot be used: "):
        load_detector("yunet", Settings(folders(tmp_path)))


def test_missing_files_are_told_with_place_source_licence_and_alternative(tmp_path: Path) -> None:
    places = folders(tmp_path)
    with pytest.raises(DetectorUnavailable) as error:
        load_detector("insightface", Settings(places))
    folder = tmp_path / "insightface" / "models" / "<pack>"
    assert str(error.value) == (
        "The face detector insightface cannot run. No detection model (det_*.onnx, scrfd_*.onnx or "
        f"retinaface_*.onnx) was found in {folder}. Get the pack 'buffalo_l' or 'antelopev2' from "
        "the releases of the insightface project on GitHub ('model zoo') and unpack it there. Mind "
        "the licence: insightface's models are for non-commercial research only. Works right now: "
        "lbp."
    )
    with pytest.raises(DetectorUnavailable) as error:
        load_detector("yunet", Settings(places))
    assert str(error.value) == (
        "The face detector yunet cannot run. No face_detection_yunet*.onnx was found in "
        f"{tmp_path / 'face_detection'}. Get face_detection_yunet_2023mar.onnx from OpenCV's model "
        "zoo (opencv_zoo on GitHub; 230 kB, MIT licence) and put it there. Works right now: lbp."
    )


def test_missing_packages_are_told(models: ModelFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "insightface", None)
    with pytest.raises(DetectorUnavailable, match="packages insightface, onnxruntime and opencv-"):
        load_detector("insightface", Settings(models))
    assert load_detector("auto", Settings(models)).name == "yunet"
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DetectorUnavailable, match=r"opencv-python \(4\.8 or newer\) is needed"):
        load_detector("yunet", Settings(models))
    assert load_detector("auto", Settings(models)).name == "lbp"
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert working_detectors(models) == []
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(DetectorUnavailable, match="No face detector works here"):
        from flashface_core.faces.detection import lbp

        lbp._cascade.cache_clear()
        load_detector("auto", Settings(models))


def test_working_detectors_are_those_with_files(models: ModelFolders) -> None:
    assert working_detectors(models) == ["insightface", "yunet", "lbp"]
    assert working_detectors(ModelFolders()) == ["lbp"]


@pytest.mark.parametrize("provider", ["auto", "cpu"])
def test_one_line_says_what_runs(
    models: ModelFolders, caplog: pytest.LogCaptureFixture, provider: str
) -> None:
    caplog.set_level(logging.INFO)
    load_detector("insightface", Settings(models, provider))
    mine = [r.getMessage() for r in caplog.records if r.name.startswith("flashface_core")]
    assert len(mine) == 1 and "buffalo_l/det_10g.onnx runs on " in mine[0]
    assert "non-commercial" in mine[0]


@pytest.mark.parametrize("provider", ["cuda", "rocm", "coreml", "directml"])
def test_a_provider_that_is_not_there_falls_back_to_the_cpu(
    models: ModelFolders, caplog: pytest.LogCaptureFixture, monkeypatch, provider: str
) -> None:
    monkeypatch.setitem(onnx_model._NAMES, provider, ("NoSuchExecutionProvider",))
    caplog.set_level(logging.INFO)
    detector = load_detector("insightface", Settings(models, provider))
    assert f"runs on cpu, not on {provider} (onnxruntime offers " in caplog.text
    assert len(detector.detect(scene())) == 3


def test_a_provider_that_fails_at_work_falls_back_to_the_cpu(
    models: ModelFolders, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # onnxruntime's CPU wheel has a second provider, which stands for a graphics card here
    monkeypatch.setitem(onnx_model._NAMES, "cuda", ("AzureExecutionProvider",))
    detector: Any = load_detector("insightface", Settings(models, "cuda"))
    assert detector.model.provider == "cuda"

    def out_of_memory(*_, **__):
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(detector.model._model, "detect", out_of_memory)
    assert len(detector.detect(scene())) == 3
    assert detector.model.provider == "cpu"
    assert "failed on cuda (CUDA failure 2: out of memory); the CPU takes over." in caplog.text


def test_a_model_that_fails_on_the_cpu_is_named(models: ModelFolders, monkeypatch) -> None:
    detector: Any = load_detector("insightface", Settings(models, "cpu"))
    monkeypatch.delattr(type(detector.model._model), "detect")
    with pytest.raises(DetectorUnavailable, match=r"det_10g.onnx was loaded, but fails when it"):
        detector.detect(scene())


class Seen:
    """Stands for a net: sees a face of 100 x 100 in a frame's middle, with scores by frame."""

    def __init__(self, *scores: float) -> None:
        self.scores, self.frames = list(scores), []

    def __call__(self, frame: Image.Image) -> list[Face]:
        self.frames.append(frame)
        return [Face(Box(270, 270, 370, 370), s) for s in self.scores[len(self.frames) - 1 :][:1]]


def test_the_first_frame_with_a_sure_face_counts() -> None:
    net = Seen(0.3, 0.8, 0.9)
    (face,) = detect_in_frames(Image.new("RGB", (640, 320), "white"), 640, net)
    assert len(net.frames) == 2 and face.score == 0.8
    assert face.box.centre == pytest.approx((320, 160), abs=0.01)
    assert face.box.width == pytest.approx(100 / 0.6, rel=1e-3)
    smaller = np.asarray(net.frames[1])
    assert smaller.shape == (640, 640, 3) and not smaller[:, :127].any()
    assert smaller[230:410, 130:510].min() == 255


def test_of_unsure_frames_the_best_counts() -> None:
    net = Seen(0.3, 0.5, 0.4)
    assert [f.score for f in detect_in_frames(Image.new("RGB", (9, 9)), 640, net)] == [0.5]
    assert len(net.frames) == 3
    assert detect_in_frames(Image.new("RGB", (9, 9)), 640, Seen()) == []


def test_answers_that_are_no_faces_are_dropped() -> None:
    nan, good = float("nan"), Face(Box(0, 0, 64, 64), 0.7)
    odd = [Face(Box(nan, 0, 9, 9), 0.9), Face(Box(5, 5, 5, 9), 0.9), Face(Box(0, 0, 99, 99), nan)]
    odd.append(Face(Box(0, 0, 99, 99), 0.9, ((nan, 0.0),) * 5))
    assert len(detect_in_frames(Image.new("RGB", (640, 640)), 640, lambda _: [*odd, good])) == 1


PICTURES = {
    "astronaut": Image.fromarray(skimage.data.astronaut()),
    "upside down": Image.fromarray(skimage.data.astronaut()).rotate(180),
    "huge": Image.new("RGB", (8000, 5000), "red"),
    "1 x 1": Image.new("RGB", (1, 1), "red"),
    "thin": Image.new("RGB", (3000, 2), "blue"),
    "black": Image.new("RGB", (64, 64)),
    "white": Image.new("RGB", (300, 900), "white"),
    "grey": Image.fromarray(skimage.data.camera()),
    "RGBA": Image.fromarray(skimage.data.astronaut()).convert("RGBA"),
}


@pytest.mark.parametrize("name", ["insightface", "yunet"])
@pytest.mark.parametrize("picture", PICTURES)
def test_awkward_pictures_give_possible_faces(
    name: str, picture: str, models: ModelFolders
) -> None:
    for face in load_detector(name, Settings(models)).detect(PICTURES[picture]):
        assert 0 < face.score <= 1 and face.box.width >= 1 and face.box.height >= 1
