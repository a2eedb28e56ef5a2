"""Landmark nodes of FaceSnap as ComfyUI runs them: find, predict, compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import landmark_faces as faces
import numpy as np
import pytest
import skimage.data
import torch
from host_pack import pack_module
from landmark_faces import HEIGHT, WIDTH, face_landmarks, mediapipe_face, pose, random_model

Node = Callable[..., tuple]
ASTRONAUT = torch.from_numpy(skimage.data.astronaut()).float()[None] / 255
PICTURE = torch.full((1, HEIGHT, WIDTH, 3), 0.5)
FIND = {"order": "largest", "index": 0, "threshold": 0.6, "noise": 0.02}
PREDICT: dict[str, Any] = {
    **{"width": WIDTH, "height": HEIGHT, "pose": "driver", "expression": "driver"},
    **{"expression_strength": 1.0, "yaw": 0.0, "pitch": 0.0, "roll": 0.0, "keep_detail": 1.0},
}
MODEL = random_model()


@pytest.fixture(scope="module")
def node(pack: dict[str, type], run_node: Node) -> Node:
    return lambda name, /, **inputs: run_node(pack["FaceSnap" + name], **inputs)


@pytest.fixture(scope="module")
def files(comfyui_base: Path) -> Iterator[Path]:
    folder = comfyui_base / "models/facesnap"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [
        faces.write_model(folder / "points.safetensors"),
        faces.write_model(folder / "bare.safetensors", net=False),
    ]
    yield folder
    for path in paths:
        path.unlink()


@pytest.fixture(scope="module")
def points(files: Path, node: Node) -> Any:
    return node("LandmarkModelLoader", model_name="points.safetensors")[0]


@pytest.fixture(scope="module")
def bare(files: Path, node: Node) -> Any:
    return node("LandmarkModelLoader", model_name="bare.safetensors")[0]


@pytest.fixture
def find(points: Any, node: Node) -> Node:
    def run(image: torch.Tensor = PICTURE, landmark_model: Any = points, **inputs: Any) -> tuple:
        return node("FindLandmarks", landmark_model=landmark_model, image=image, **(FIND | inputs))

    return run


@pytest.fixture
def seen(find: Node) -> Callable[..., Any]:
    """`seen(0, 1)`: the faces of random people, from MediaPipe's points."""

    def run(*seeds: int, **turned: float) -> Any:
        frames = [[mediapipe_face(MODEL, seed, pose(**turned))] for seed in seeds]
        image = PICTURE.expand(len(seeds), -1, -1, -1)
        return find(image, face_landmarks=face_landmarks(*frames))[0]

    return run


@pytest.fixture
def predict(node: Node) -> Node:
    return lambda reference, **inputs: node(
        "PredictLandmarks", reference=reference, **(PREDICT | inputs)
    )


def previews(base: Path) -> set[Path]:
    return set((base / "temp").glob("*.png"))


def test_the_network_finds_a_face_of_each_picture(find: Node, comfyui_base: Path) -> None:
    before = previews(comfyui_base)
    found, preview = find(torch.cat([ASTRONAUT, ASTRONAUT.flip(2)]))
    assert len(found.faces) == 2 and found.model.mean.shape == (72, 3)
    first, second = (face.landmarks[:, 0].mean() for face in found.faces)
    assert first < 256 < second and abs(first + second - 512) < 20
    assert preview.shape == (2, 512, 512, 3) and preview.max() == 1
    assert len(previews(comfyui_base) - before) == 2


def test_grey_and_transparent_pictures_are_read(find: Node) -> None:
    for channels in (ASTRONAUT.mean(-1, keepdim=True), torch.cat([ASTRONAUT] * 2, -1)[..., :4]):
        found, preview = find(channels)
        assert len(found.faces) == 1 and preview.shape == (1, 512, 512, 3)


def test_a_picture_without_a_face_is_an_error_that_names_it(find: Node) -> None:
    with pytest.raises(ValueError) as error:
        find(torch.cat([ASTRONAUT, torch.zeros_like(ASTRONAUT)]))
    text = str(error.value)
    assert text.startswith("Image 2 of 2 (512 x 512): no face found by detector 'lbp'")
    assert "lower 'threshold'" in text


def test_without_a_network_mediapipes_points_are_needed(find: Node, bare: Any) -> None:
    with pytest.raises(ValueError) as error:
        find(ASTRONAUT, bare)
    assert str(error.value) == (
        "The landmark model bare.safetensors has no network that finds landmarks in pictures. "
        "Connect 'face_landmarks' from Detect Face Landmarks (MediaPipe), or choose a landmark "
        "model with a network, such as Load FaceSnap Demo's."
    )
    given = face_landmarks([mediapipe_face(MODEL)])
    assert len(find(PICTURE, bare, face_landmarks=given)[0].faces) == 1


def test_mediapipes_points_give_shape_and_pose(find: Node) -> None:
    at = pose(30, -10, 5)
    given = face_landmarks([mediapipe_face(MODEL, 3, at)])
    face = find(face_landmarks=given, noise=0.001)[0].faces[0]
    assert np.abs(face.shape - faces.random_codes(MODEL, 3)[0]).max() < 0.05
    assert np.abs(face.pose.rotation - at.rotation).max() < 2e-3
    assert (face.width, face.height) == (WIDTH, HEIGHT)


def test_order_and_index_choose_among_mediapipes_faces(find: Node) -> None:
    small, large = pose(scale=40), pose(scale=80)
    small.shift[0], large.shift[0] = 120, 420
    given = face_landmarks([mediapipe_face(MODEL, 1, small), mediapipe_face(MODEL, 2, large)])

    def middle(**inputs: Any) -> float:
        return find(face_landmarks=given, **inputs)[0].faces[0].landmarks[:, 0].mean()

    assert middle() > 320 and middle(index=1) < 320 and middle(order="left to right") < 320
    with pytest.raises(ValueError, match=r"has 2 face\(s\) for it, but index 4 asks .* to 1 or"):
        middle(index=4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (face_landmarks([]), "Image 1 of 1: 'face_landmarks' has no face for it"),
        (face_landmarks([], []), "'face_landmarks' holds 2 pictures of 640 x 480, but 'image'"),
        (face_landmarks([], size=(9, 9)), "holds 1 pictures of 9 x 9, but 'image' has 1 of 640"),
        ("nothing", "'face_landmarks' should be FACE_LANDMARKS, got 'nothing'"),
        ({"frames": [None], "image_size": (1, 1)}, "should be FACE_LANDMARKS"),
        (face_landmarks([{"landmarks_xy": 3}]), "without MediaPipe's 478 points"),
    ],
)
def test_other_landmarks_than_the_images_are_refused(find: Node, given: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        find(face_landmarks=given)
    assert message in str(error.value)


def test_degenerate_and_mirrored_faces_are_refused(find: Node) -> None:
    face = mediapipe_face(MODEL)
    mirrored = face | {"landmarks_xy": np.array([WIDTH, 0]) + face["landmarks_xy"] * [-1, 1]}
    with pytest.raises(ValueError, match="Image 1 of 1: The landmarks are those of a mirrored"):
        find(face_landmarks=face_landmarks([mirrored]))
    flat = face | {"landmarks_xy": np.full((478, 2), 5.0)}
    with pytest.raises(ValueError, match="lie in one place"):
        find(face_landmarks=face_landmarks([flat]))


def test_a_prediction_has_picture_mask_box_and_points(
    seen: Callable, predict: Node, comfyui_base: Path
) -> None:
    reference, driver = seen(1), seen(2, yaw=20)
    before = previews(comfyui_base)
    image, mask, bboxes, landmarks = predict(reference, driver=driver)
    assert image.shape == (1, HEIGHT, WIDTH, 3) and image.dtype == torch.float32
    assert mask.shape == (1, HEIGHT, WIDTH) and 0.02 < mask.mean() < 0.5
    (box,) = bboxes
    inside = mask[0, box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]
    assert set(box) == {"x", "y", "width", "height"} and inside.mean() > 0.8
    assert landmarks.points.shape == (1, 72, 3)
    assert (landmarks.width, landmarks.height) == (WIDTH, HEIGHT)
    x, y = landmarks.points[0, 8, :2].int().tolist()
    assert image[0, y, x].tolist() == [1, 1, 1]  # the chin
    assert len(previews(comfyui_base) - before) == 1


def test_by_itself_a_face_stays_where_it_was(seen: Callable, predict: Node) -> None:
    reference = seen(3, yaw=-25, roll=10)
    for driver in (None, reference):
        found = predict(reference, driver=driver)[3].points[0].numpy()
        assert np.abs(found - reference.faces[0].landmarks).max() < 1e-3


def test_a_batch_of_drivers_gives_a_batch(seen: Callable, predict: Node) -> None:
    image, mask, bboxes, landmarks = predict(seen(1, 2), driver=seen(3, 4, 5))
    assert len(image) == len(mask) == len(landmarks.points) == 3
    assert [len(boxes) for boxes in bboxes] == [1, 1, 1]


def test_frontal_and_at_rest_the_driver_is_not_seen(seen: Callable, predict: Node) -> None:
    still = {"pose": "frontal", "expression": "none"}
    found = [predict(seen(1), driver=d, **still)[0] for d in (seen(2, yaw=40), seen(3), None)]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_angles_turn_the_face(seen: Callable, predict: Node) -> None:
    ahead = predict(seen(1))[3].points[0]
    turned = predict(seen(1), yaw=30.0)[3].points[0]
    eyes = (ahead[36:44, 0].mean() + ahead[44:52, 0].mean()) / 2
    assert turned[30, 0] - eyes > ahead[30, 0] - eyes + 5  # the nose, to the picture's right


def test_a_region_takes_the_face(seen: Callable, predict: Node) -> None:
    region = torch.zeros(1, 48, 64)
    region[0, 4:24, 2:22] = 1
    found = predict(seen(1), face_region=region)[3].points[0, :, :2]
    low, high = found.amin(0), found.amax(0)
    assert torch.allclose((low + high) / 2, torch.tensor([120.0, 140.0]), atol=0.1)
    assert (high - low).max() == pytest.approx(200, abs=0.1)
    with pytest.raises(ValueError, match="'face_region' is empty"):
        predict(seen(1), face_region=torch.zeros(1, 8, 8))
    with pytest.raises(ValueError, match="3 masks for 2 faces"):
        predict(seen(1, 2), face_region=torch.ones(3, 8, 8))


def test_another_size_is_letterboxed(seen: Callable, predict: Node) -> None:
    reference = seen(1)
    image, *_, landmarks = predict(reference, width=WIDTH, height=WIDTH)
    assert image.shape == (1, WIDTH, WIDTH, 3)
    shift = landmarks.points[0].numpy() - reference.faces[0].landmarks
    assert np.allclose(shift, [0, (WIDTH - HEIGHT) / 2, 0], atol=1e-3)


def test_numbers_that_are_none_are_refused(seen: Callable, predict: Node) -> None:
    for name in ("yaw", "expression_strength", "keep_detail"):
        with pytest.raises(ValueError, match=f"{name} should be a number"):
            predict(seen(1), **{name: float("nan")})


@pytest.fixture
def compare(points: Any, node: Node) -> Node:
    def run(landmarks: Any, image: torch.Tensor = PICTURE, **inputs: Any) -> tuple:
        inputs = {"landmark_model": points} | inputs
        return node("CompareLandmarks", landmarks=landmarks, image=image, **inputs)

    return run


def test_points_where_they_were_wanted_have_no_error(
    seen: Callable, predict: Node, compare: Node
) -> None:
    at = pose(15)
    landmarks = predict(seen(2, yaw=15))[3]
    given = face_landmarks([mediapipe_face(MODEL, 9), mediapipe_face(MODEL, 2, at)])
    given["frames"][0][0]["landmarks_xy"] += 200  # another face, farther away
    error, report = compare(landmarks, face_landmarks=given)
    assert error < 0.1 and report.ndim == 4 and report.shape[0] == 1


def test_the_error_is_in_shares_of_the_eyes_distance(
    seen: Callable, predict: Node, compare: Node
) -> None:
    landmarks = predict(seen(2))[3]
    face = mediapipe_face(MODEL, 2, pose())
    face["landmarks_xy"][:, 0] += 9  # the eyes are 90 apart in the model's mean face
    error, _ = compare(landmarks, face_landmarks=face_landmarks([face]))
    assert 8 < error < 12


def test_a_picture_without_a_face_counts_as_100(
    seen: Callable, predict: Node, compare: Node
) -> None:
    landmarks = predict(seen(2), driver=seen(2, 3))[3]
    frames = [mediapipe_face(MODEL, 2, pose())], []
    image = PICTURE.expand(2, -1, -1, -1)
    error, _ = compare(landmarks, image, face_landmarks=face_landmarks(*frames))
    assert error == pytest.approx(50, abs=0.1)
    detector = pack_module("flashface_core.faces.detection").load_detector("lbp")
    assert compare(predict(seen(2))[3], PICTURE, detector=detector)[0] == 100


def test_the_network_looks_where_the_face_was_asked_for(
    seen: Callable, predict: Node, compare: Node
) -> None:
    errors = [
        compare(predict(seen(2))[3], image)[0]
        for image in (PICTURE, torch.rand(1, 2 * HEIGHT, 2 * WIDTH, 3))
    ]
    assert all(0 < error < 30 for error in errors)


def test_what_cannot_be_compared_is_refused(
    seen: Callable, predict: Node, compare: Node, bare: Any
) -> None:
    landmarks = predict(seen(1, 2))[3]
    for image, message in (
        (PICTURE, "landmarks of 2 faces for 1 pictures"),
        (torch.zeros(2, 64, 64, 3), "'image' has 64 x 64, which is another shape"),
    ):
        with pytest.raises(ValueError) as error:
            compare(landmarks, image)
        assert message in str(error.value)
    with pytest.raises(ValueError, match="has no network"):
        compare(predict(seen(1))[3], landmark_model=bare)
    known = predict(seen(1))[3]
    for value, message in ((7.0, "All landmarks lie in one place"), (torch.nan, "NaN, infinite")):
        with pytest.raises(ValueError, match=message):
            compare(dataclasses.replace(known, points=torch.full((1, 72, 3), value)))


def test_every_input_has_a_tooltip(pack: dict[str, type]) -> None:
    for name in ("LandmarkModelLoader", "FindLandmarks", "PredictLandmarks", "CompareLandmarks"):
        schema: Any = pack["FaceSnap" + name]
        schema = schema.define_schema()
        assert schema.description and schema.search_aliases
        assert schema.category == "FlashFace/FaceSnap"
        assert all(entry.tooltip for entry in [*schema.inputs, *schema.outputs])
