"""Similarity by a small ArcFace with known answers, through the real insightface."""

from __future__ import annotations

from pathlib import Path

import model_files
import numpy as np
import pytest
from insightface.utils import face_align
from PIL import Image

from flashface_core.drawing import BAR
from flashface_core.faces.boxes import Box
from flashface_core.faces.choose import Choice, choose_faces
from flashface_core.faces.detection import DetectorUnavailable, Face, ModelFolders, Settings
from flashface_core.faces.detection import load_detector as load
from flashface_core.faces.preview import faces_preview
from flashface_core.faces.similarity import (
    Comparison,
    FaceScore,
    KnownFace,
    Likeness,
    Recognizer,
    SimilarityError,
    compare,
    load_recognizer,
)
from flashface_core.faces.similarity_report import similarity_report, verdict

TEMPLATE = tuple((float(x), float(y)) for x, y in face_align.arcface_dst)


class At:
    """A detector that sees one face, its landmarks in ArcFace's own places, at an offset."""

    name, tried = "at", "once"

    def __init__(self, x: int = 0, y: int = 0, scale: float = 1.0, score: float = 0.9) -> None:
        self.points = tuple((x + px * scale, y + py * scale) for px, py in TEMPLATE)
        self.box = Box(x, y, x + 112 * scale, y + 112 * scale)
        self.score = score

    def detect(self, image) -> list[Face]:
        return [Face(self.box, self.score, self.points)]


class Nobody(At):
    def detect(self, image) -> list[Face]:
        return []


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> ModelFolders:
    root = tmp_path_factory.mktemp("models")
    model_files.arcface(root / "models/antelopev2/antelopev2/glintr100.onnx")
    model_files.arcface(root / "models/buffalo_l/w600k_r50.onnx")
    model_files.scrfd(root / "models/buffalo_l/det_10g.onnx")
    return ModelFolders((str(root),))


@pytest.fixture(scope="module")
def recognizer(places: ModelFolders) -> Recognizer:
    return load_recognizer(places)


def face(seed: int, size: int = 112) -> Image.Image:
    """Sixteen patches of random colours: their mean colours are all that the model sees."""
    patches = np.random.RandomState(seed).randint(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((size, size), Image.Resampling.NEAREST)


def cosine(a: Image.Image, b: Image.Image) -> float:
    cells = [
        (np.asarray(p.resize((4, 4), Image.Resampling.BOX), float) - 127.5).ravel() for p in (a, b)
    ]
    return float(cells[0] @ cells[1] / np.linalg.norm(cells[0]) / np.linalg.norm(cells[1]))


def known(picture: Image.Image, detector: At, recognizer: Recognizer) -> KnownFace:
    result = recognizer.know(picture, detector.detect(picture)[0])
    assert result is not None
    return result


def test_the_embedding_is_the_models(recognizer: Recognizer) -> None:
    a, b = (known(face(seed), At(), recognizer) for seed in (1, 2))
    assert a.embedding.shape == (512,) and np.linalg.norm(a.embedding) == pytest.approx(1)
    assert a.similarity(a) == pytest.approx(1)
    assert a.similarity(b) == pytest.approx(cosine(face(1), face(2)), abs=0.01)


def test_a_face_elsewhere_and_larger_is_brought_upright(recognizer: Recognizer) -> None:
    canvas = Image.new("RGB", (400, 300))
    canvas.paste(face(1, 224), (100, 40))
    there = known(canvas, At(100, 40, 2.0), recognizer)
    assert there.picture.size == (112, 112)
    assert there.similarity(known(face(1), At(), recognizer)) > 0.99


def test_the_strongest_model_is_taken_or_the_detectors_own(places: ModelFolders) -> None:
    assert str(load_recognizer(places).file) == "antelopev2/glintr100.onnx"
    assert str(load_recognizer(places, "buffalo_l").file) == "buffalo_l/w600k_r50.onnx"


def test_a_damaged_model_is_passed_over_for_the_next_best(tmp_path: Path, caplog) -> None:
    root = tmp_path / "models"
    for name in ("antelopev2/glintr100.onnx", "buffalo_l/w600k_r50.onnx"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(b"no model")
    model_files.arcface(root / "buffalo_s/w600k_mbf.onnx")
    places = ModelFolders((str(tmp_path),))
    assert str(load_recognizer(places, "buffalo_l").file) == "buffalo_s/w600k_mbf.onnx"
    assert caplog.text.count("Passed over for buffalo_s/w600k_mbf.onnx: ") == 2
    (root / "buffalo_s/w600k_mbf.onnx").unlink()
    with pytest.raises(DetectorUnavailable, match=r"^buffalo_l/w600k_r50\.onnx cannot be loaded"):
        load_recognizer(places, "buffalo_l")


def test_comparing_gives_sim_ref_mean_and_paste(recognizer: Recognizer) -> None:
    pictures, references, target = [face(1), face(2)], [face(1), face(3)], face(4)
    result = compare(pictures, references, At(), recognizer, [target])
    table = [[cosine(p, r) for r in references] for p in pictures]
    sim_ref = np.mean([max(row) for row in table])
    sim_target = np.mean([cosine(p, target) for p in pictures])
    assert result.sim_ref == pytest.approx(sim_ref, abs=0.02)
    assert result.mean == pytest.approx(np.mean(table), abs=0.02)
    assert result.sim_target == pytest.approx(sim_target, abs=0.02)
    assert result.paste == pytest.approx(sim_ref - sim_target, abs=0.02)
    assert result.faces[0].best == 0 and result.faces[0].sim_ref == pytest.approx(1, abs=1e-4)


def test_without_a_target_there_is_no_paste(recognizer: Recognizer) -> None:
    result = compare([face(1)], [face(1)], At(), recognizer)
    assert result.sim_target is None and result.paste is None


def score(image: int, *scores: float, target: float | None = None) -> FaceScore:
    vector = np.zeros(512)
    vector[0] = 1
    return FaceScore(image, KnownFace(face(image), vector), scores, target)


def result(*faces: FaceScore, images: int = 2, target: bool = False) -> Comparison:
    references = tuple(KnownFace(face(9), faces[0].face.embedding) for _ in faces[0].scores)
    return Comparison(images, references, faces, target)


def test_the_best_face_of_a_picture_counts_and_no_face_is_0() -> None:
    both = result(score(0, 0.2, 0.3), score(0, 0.8, 0.4))
    assert both.sim_ref == pytest.approx(0.4) and both.mean == pytest.approx(0.3)
    assert both.best_faces() == [both.faces[1], None]


def test_unsure_faces_are_not_compared(recognizer: Recognizer) -> None:
    with pytest.raises(SimilarityError, match=r"in the 1 reference face\(s\) by detector 'at'"):
        compare([face(1)], [face(1)], At(score=0.4), recognizer)


def test_no_picture_at_all_is_an_error(recognizer: Recognizer) -> None:
    with pytest.raises(SimilarityError, match="The image input is empty"):
        compare([], [face(1)], At(0), recognizer)


def test_a_target_without_face_is_an_error(recognizer: Recognizer) -> None:
    class Sees(At):
        def detect(self, image) -> list[Face]:
            return super().detect(image) if image.width == 112 else []

    with pytest.raises(SimilarityError, match="No face to compare was found in the 1 target image"):
        compare([face(1)], [face(1)], Sees(), recognizer, [face(1, 50)])
    empty = compare([face(1, 50)], [face(1)], Sees(), recognizer)
    assert empty.sim_ref == empty.mean == 0.0


def test_a_detector_without_eyes_is_refused(recognizer: Recognizer) -> None:
    class Blind(At):
        def detect(self, image) -> list[Face]:
            return [Face(self.box, 0.9)]

    with pytest.raises(SimilarityError) as error:
        compare([face(1)], [face(1)], Blind(), recognizer)
    assert str(error.value) == (
        "The face detector 'at' finds no eyes, and faces can only be compared upright. Choose "
        "insightface or yunet in Load Face Detector and connect it to 'detector'."
    )


@pytest.mark.parametrize("point", [(5.0, 5.0), (float("inf"), 0.0)])
def test_impossible_landmarks_are_no_face(recognizer: Recognizer, point: tuple) -> None:
    assert recognizer.know(face(1), Face(Box(0, 0, 9, 9), 0.9, (point,) * 5)) is None


def test_a_missing_recognition_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(DetectorUnavailable) as error:
        load_recognizer(ModelFolders((str(tmp_path),)))
    assert str(error.value) == (
        "Comparing faces needs a face recognition model of insightface (glintr100.onnx or "
        f"w600k_*.onnx), and none was found in {tmp_path}/models/<pack>. Get the pack 'antelopev2' "
        "or 'buffalo_l' from the releases of the insightface project on GitHub ('model zoo') and "
        "unpack it there. Mind the licence: insightface's models are for non-commercial research "
        "only."
    )


def test_a_corrupt_recognition_model_is_named(tmp_path: Path) -> None:
    path = model_files.arcface(tmp_path / "models/x/w600k_r50.onnx")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DetectorUnavailable, match=r"w600k_r50\.onnx cannot be loaded"):
        load_recognizer(ModelFolders((str(tmp_path),)))


def test_a_detection_model_is_no_recognition_model(tmp_path: Path) -> None:
    model_files.scrfd(tmp_path / "models/x/w600k_r50.onnx")
    with pytest.raises(DetectorUnavailable, match="is no face recognition model of insightface"):
        load_recognizer(ModelFolders((str(tmp_path),)))


def test_real_detection_and_recognition_work_together(places: ModelFolders) -> None:
    pixels = np.full((640, 640, 3), 90, np.uint8)
    pixels[320:352, 320:352] = (255, 0, 0)  # a face for the small SCRFD
    pixels[200:300, 300:400] = (10, 200, 90)
    picture = Image.fromarray(pixels)
    detector = load("insightface", Settings(places))
    assert compare([picture], [picture], detector, load_recognizer(places)).sim_ref == (
        pytest.approx(1)
    )


@pytest.mark.parametrize(
    ("value", "words"), [(0.5, "same person"), (0.3, "similar"), (-0.2, "another person")]
)
def test_the_verdict(value: float, words: str) -> None:
    assert verdict(value)[0] == words


@pytest.mark.parametrize("target", [False, True])
def test_the_report_has_a_row_for_each_face_and_each_picture_without(target: bool) -> None:
    faces = [score(0, 0.9, 0.2, target=0.5), score(2, -0.3, 0.1, target=0.1)]
    report = similarity_report(result(*faces, images=3, target=target))
    assert report.mode == "RGB" and report.height == 3 * 120 + 2 * BAR
    many = similarity_report(result(*(score(i, 0.5) for i in range(40)), images=40))
    assert many.height == 12 * 120 + 3 * BAR


class Row:
    """A detector that sees a row of faces, each 112 pixels wide, of pictures that are as high."""

    name, tried = "row", "once"

    def detect(self, image: Image.Image | np.ndarray) -> list[Face]:
        assert isinstance(image, Image.Image)
        places = [At(x) for x in range(0, image.width, 112)]
        return [face for at in places for face in at.detect(image)]


def row(*seeds: int) -> Image.Image:
    picture = Image.new("RGB", (112 * len(seeds), 112))
    for i, seed in enumerate(seeds):
        picture.paste(face(seed), (112 * i, 0))
    return picture


@pytest.mark.parametrize("order", ["largest", "right to left"])
@pytest.mark.parametrize("boxes", [False, True])
def test_the_face_that_is_like_somebody_comes_first(
    recognizer: Recognizer, order: str, boxes: bool
) -> None:
    picture, alike = row(1, 2, 3, 4), Likeness([face(9), face(3)], At(), recognizer)
    given = [f.box.grown(0.05) for f in Row().detect(picture)] if boxes else None
    alike.detector = Row()
    choice = Choice(order=order, faces_per_image=2)
    result = choose_faces(picture, choice, Row(), given, likeness=alike)
    first, second = result.chosen
    assert first.face.box.centre[0] == pytest.approx(112 * 2.5)
    assert first.likeness == pytest.approx(1, abs=1e-3) and result.order == "likeness"
    assert second.likeness is not None and second.likeness < 0.9
    assert len(result.faces) == 4
    preview = faces_preview(result, "Image 1")
    assert preview.height > faces_preview(choose_faces(picture, choice, Row()), "Image 1").height


def test_faces_that_cannot_be_compared_come_last(recognizer: Recognizer) -> None:
    picture, alike = row(1, 2), Likeness([face(1)], At(), recognizer)
    boxes = [Box(150, 0, 224, 112), Box(0, 0, 112, 112)]  # the detector sees the left one only
    result = choose_faces(picture, Choice(faces_per_image=2), None, boxes, likeness=alike)
    assert [crop.face.box for crop in result.chosen] == [boxes[1], boxes[0]]
    assert [crop.likeness for crop in result.chosen] == [pytest.approx(1), -1.0]


def test_somebody_without_a_face_is_said(recognizer: Recognizer) -> None:
    with pytest.raises(SimilarityError, match="No face to compare was found in the 1 picture"):
        Likeness([face(1)], Nobody(), recognizer)
