"""The face nodes as ComfyUI runs them: loader, crops, regions, similarity, saved references."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import folder_paths
import model_files
import numpy as np
import pytest
import skimage.data
import torch
from host_pack import pack_module
from PIL import Image

NAMES = ("insightface", "face_detection")
Node = Callable[..., tuple]


@pytest.fixture
def node(pack: dict[str, type], run_node: Callable[..., tuple]) -> Node:
    return lambda node_name, /, **inputs: run_node(pack["FlashFace" + node_name], **inputs)


@pytest.fixture
def crop(node: Node) -> Node:
    defaults = {
        "order": "largest", "index": 0, "faces_per_image": 1, "if_no_face": "error",
        "threshold": 0.6, "padding": 0.0, "level_eyes": True, "size": 224,
    }  # fmt: skip

    def run(*images: torch.Tensor, **inputs: Any) -> tuple:
        lists = {name: [value] for name, value in (defaults | inputs).items()}
        return node("CropFaces", image=list(images), **lists)

    return run


@pytest.fixture
def face_models(comfyui_base: Path) -> Iterator[Path]:
    """Small detection and recognition models where ComfyUI's users put the real ones."""
    models = Path(folder_paths.models_dir)
    assert models.is_relative_to(comfyui_base)
    files = [
        model_files.scrfd(models / "insightface/models/antelopev2/antelopev2/scrfd_10g_bnkps.onnx"),
        model_files.arcface(models / "insightface/models/antelopev2/antelopev2/glintr100.onnx"),
        model_files.yunet(models / "face_detection/face_detection_yunet_2023mar.onnx"),
    ]
    yield models
    for file in files:
        file.unlink(missing_ok=True)


@pytest.fixture
def references(comfyui_base: Path) -> Iterator[Path]:
    folder = comfyui_base / "models" / "flashface_references"
    yield folder
    for file in folder.glob("*"):
        file.unlink()


def marked(x: int = 10, y: int = 9) -> torch.Tensor:
    """(1, 640, 640, 3): grey with one cell of 32 that the small models take for a face."""
    image = torch.full((1, 640, 640, 3), 0.35)
    image[:, y * 32 : y * 32 + 32, x * 32 : x * 32 + 32] = torch.tensor([1.0, 0.0, 0.0])
    return image


BOX = {"x": 256, "y": 208, "width": 128, "height": 176}  # of marked()


def boxes_of(payload: Any) -> Any:
    """The boxes that Detect & Crop Faces gave, without what was cropped for each."""
    if isinstance(payload, list):
        return [boxes_of(part) for part in payload]
    return {name: payload[name] for name in BOX}


@pytest.mark.parametrize("name", ["auto", "insightface", "yunet"])
def test_a_loaded_detector_serves_the_crop_node(
    node: Node, crop: Node, face_models: Path, name: str
) -> None:
    (detector,) = node("DetectorLoader", detector=name, provider="auto", detection_size=640)
    assert detector.name == ("insightface" if name == "auto" else name)
    faces, bboxes, masks = crop(marked(), detector=detector)
    assert boxes_of(bboxes) == [[BOX]] and faces.shape == (1, 224, 224, 3)
    assert masks[0].sum() == BOX["width"] * BOX["height"]


def test_without_a_detector_input_the_best_one_is_used(crop: Node, face_models: Path) -> None:
    assert boxes_of(crop(marked())[1]) == [[BOX]]
    for file in face_models.glob("**/*.onnx"):
        file.unlink()
    with pytest.raises(ValueError, match="no face found by detector 'lbp'"):
        crop(marked())


@pytest.mark.parametrize("folder", ["flashface", "insightface", "onnx/opencv"])
def test_yunet_is_taken_wherever_its_file_lies(node: Node, comfyui_base: Path, folder: str) -> None:
    models = comfyui_base / "models"
    file = model_files.yunet(models / folder / "face_detection_yunet_2023mar.onnx")
    try:
        assert node("DetectorLoader", detector="auto")[0].name == "yunet"
    finally:
        file.unlink()


def test_a_detector_without_files_says_what_to_get(node: Node, comfyui_base: Path) -> None:
    with pytest.raises(RuntimeError) as error:
        node("DetectorLoader", detector="insightface")
    assert str(comfyui_base / "models" / "insightface" / "models") in str(error.value)
    assert str(error.value).endswith("Works right now: lbp.")
    assert node("DetectorLoader", detector="auto")[0].name == "lbp"


def test_a_model_file_that_is_added_is_noticed(pack: dict[str, Any], comfyui_base: Path) -> None:
    nodes = [pack["FlashFace" + name] for name in ("DetectorLoader", "CropFaces", "Similarity")]
    before = [node.fingerprint_inputs() for node in nodes]
    file = model_files.yunet(comfyui_base / "models/face_detection/yunet.onnx")
    after = [node.fingerprint_inputs() for node in nodes]
    file.unlink()
    assert all(a != b for a, b in zip(after, before, strict=True))
    assert before == [node.fingerprint_inputs() for node in nodes]


def core_payload(kind: str) -> Any:
    """What core's nodes send for two pictures: label and score beside the box, one list each."""
    box = {key: float(value) for key, value in BOX.items()}
    extra = {
        "MediaPipe": {"label": "face", "score": 0.75},
        "RT-DETR": {"label": "person", "score": 0.5},
        "SAM 3": {"score": 0.25},
        "SDPose": {},
    }[kind]
    return [[{**box, **extra}, {**box, **extra, "x": 10.0}], [{**box, **extra}]]


@pytest.mark.parametrize("kind", ["MediaPipe", "RT-DETR", "SAM 3", "SDPose"])
def test_boxes_of_cores_nodes_are_taken(crop: Node, kind: str) -> None:
    _, bboxes, _ = crop(torch.rand(2, 640, 640, 3), bboxes=core_payload(kind), faces_per_image=2)
    assert boxes_of(bboxes) == [[[BOX, {**BOX, "x": 10}], [BOX]]]


def test_scores_of_boxes_count_in_their_order(crop: Node) -> None:
    low, high = {**BOX, "score": 0.2}, {**BOX, "x": 0, "score": 0.9}
    _, bboxes, _ = crop(marked(), bboxes=[low, high], order="highest score")
    assert boxes_of(bboxes) == [[{**BOX, "x": 0}]]


@pytest.mark.parametrize("box", [(-4e8, -4e8, 1e9, 1e9), (0, 0, 1e9, 3), (5e5, 0, 1e7, 1e7)])
def test_absurd_boxes_cost_no_memory(crop: Node, box: tuple) -> None:
    payload = dict(zip(("x", "y", "width", "height"), box, strict=True))
    faces, _, _ = crop(marked(), bboxes=payload, if_no_face="use whole image", padding=2.0)
    assert faces.shape == (1, 224, 224, 3) and torch.isfinite(faces).all()


def test_a_huge_face_with_padding_is_cropped_like_a_smaller_copy(crop: Node) -> None:
    photo = Image.fromarray(skimage.data.astronaut())
    large = torch.from_numpy(np.array(photo.resize((6000, 6000)))).float()[None] / 255
    small = torch.from_numpy(np.array(photo)).float()[None] / 255
    box = {"x": 100, "y": 0, "width": 300, "height": 400}
    times = {key: value * 6000 / 512 for key, value in box.items()}
    a = crop(large, bboxes=times, padding=0.5)[0]
    b = crop(small, bboxes=box, padding=0.5)[0]
    assert (a - b).abs().mean() < 0.02


KINDS = ["rgb", "rgba", "grey", "half", "double", "16 bit", "too bright"]


def random_image(random: np.random.RandomState, kind: str) -> torch.Tensor:
    height, width = (int(2 ** random.uniform(0, 8)) for _ in range(2))
    channels = {"rgba": 4, "grey": 1}.get(kind, 3)
    image = torch.from_numpy(random.rand(1 + (random.rand() < 0.1), height, width, channels))
    if kind == "16 bit":
        image = (image * 65535).round() / 65535
    if kind == "too bright":
        image[image > 0.9] = 1.9
    return image.to({"half": torch.float16, "double": torch.float64}.get(kind, torch.float32))


@pytest.mark.parametrize("block", range(10))
def test_random_images_never_crash_and_every_crop_keeps_its_contract(
    node: Node, crop: Node, face_models: Path, block: int
) -> None:
    random = np.random.RandomState(block)
    for name, count in (("insightface", 24), ("yunet", 24), ("lbp", 2)):
        (detector,) = node("DetectorLoader", detector=name, detection_size=320)
        images = [random_image(random, KINDS[i % len(KINDS)]) for i in range(count)]
        size = int(random.choice([64, 224, 256]))
        faces, bboxes, masks = crop(
            *images, detector=detector, if_no_face="use whole image", size=size,
            padding=float(random.uniform(0, 2)), faces_per_image=2, threshold=0.3,
            order=str(random.choice(["largest", "most central", "top to bottom"])),
        )  # fmt: skip
        assert faces.shape[1:] == (size, size, 3) and faces.dtype == torch.float32
        assert torch.isfinite(faces).all() and faces.min() >= 0 and faces.max() <= 1
        assert len(faces) >= sum(map(len, images)) and len(bboxes) == len(masks) == len(images)
        for image, mask in zip(images, masks, strict=True):
            assert mask.shape == image.shape[:3]


def test_a_face_of_the_target_picture_becomes_the_region(
    node: Node, crop: Node, face_models: Path
) -> None:
    _, bboxes, _ = crop(marked())
    corners = {"x1": 0.3, "y1": 0.2, "x2": 0.6, "y2": 0.5, "width": 1280, "height": 640}
    (mask,) = node("Region", bboxes=bboxes[0], image=marked(), square=False, **corners)
    assert mask.sum() == 256 * 176 and mask[0, 208:384, 512:768].all()
    (grown,) = node("Region", bboxes=bboxes[0], image=marked(), square=False, grow=1.5, **corners)
    assert grown.sum() == 384 * 264 and grown[0, 164:428, 448:832].all()
    (shrunk,) = node("Region", bboxes=bboxes[0], image=marked(), square=True, grow=0.5, **corners)
    assert shrunk.sum() == 128 * 128


def test_similarity_of_a_face_with_itself_is_1(
    node: Node, face_models: Path, comfyui_base: Path
) -> None:
    before = set((comfyui_base / "temp").glob("*.png"))
    image = torch.cat([marked(), marked()])
    similarity, report = node("Similarity", image=image, faces=marked(), target=marked(3, 3))
    assert similarity == pytest.approx(1)
    assert report.shape[0] == 1 and report.shape[3] == 3 and report.dtype == torch.float32
    assert len(set((comfyui_base / "temp").glob("*.png")) - before) == 1


def test_faces_come_in_the_order_of_their_likeness(crop: Node, face_models: Path) -> None:
    one = crop(marked())[0]
    assert torch.equal(crop(marked(), like=marked())[0], one)
    boxes = [{"x": 0, "y": 0, "width": 64, "height": 64}, crop(marked())[1][0][0]]
    alike = crop(marked(), bboxes=[boxes], like=marked())[1]
    assert alike[0][0]["x"] == boxes[1]["x"], "the box that holds a face"


def test_likeness_without_a_recognition_model_says_what_to_get(crop: Node) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be ordered by 'like'\. .* recognition model"):
        crop(marked(), like=marked())


def test_similarity_takes_a_connected_detector(node: Node, face_models: Path) -> None:
    for name in ("insightface", "yunet"):
        (detector,) = node("DetectorLoader", detector=name)
        inputs = {"image": marked(), "faces": marked(), "detector": detector}
        assert node("Similarity", **inputs)[0] == pytest.approx(1)
    (detector,) = node("DetectorLoader", detector="lbp")
    astronaut = torch.from_numpy(skimage.data.astronaut()).float()[None] / 255
    with pytest.raises(ValueError, match="detector 'lbp' finds no eyes"):
        node("Similarity", image=astronaut, faces=astronaut, detector=detector)


@pytest.mark.parametrize("batch", ["image", "faces", "target", "like"])
def test_cancel_counts_between_the_pictures_of_a_batch(
    node: Node, crop: Node, face_models: Path, batch: str
) -> None:
    import comfy.model_management as management

    (detector,) = node("DetectorLoader", detector="yunet")
    looked_at: list[Any] = []
    find = detector.detect

    def detect(picture: Any) -> Any:
        looked_at.append(picture)
        if picture.size[0] == 320:
            management.interrupt_current_processing()
        return find(picture)

    detector.detect = detect
    small = marked()[:, ::2, ::2].repeat(3, 1, 1, 1)
    try:
        with pytest.raises(management.InterruptProcessingException):
            if batch == "like":
                crop(marked(), like=small, detector=detector)
            else:
                given = {"image": marked(), "faces": marked(), batch: small}
                node("Similarity", **given, detector=detector)
    finally:
        management.interrupt_current_processing(False)
    assert sum(picture.size[0] == 320 for picture in looked_at) == 1


def test_similarity_without_a_recognition_model_says_what_to_get(node: Node) -> None:
    with pytest.raises(RuntimeError, match="needs a face recognition model of insightface"):
        node("Similarity", image=marked(), faces=marked())


@pytest.fixture
def reference() -> Any:
    module: Any = pack_module("flashface_core.flashface.reference")
    thumbnails = module.make_thumbnails(torch.rand(2, 224, 224, 3))
    return module.make_reference(torch.randn(2, 4, 28, 28), torch.randn(1, 77, 768), 4, thumbnails)


def test_a_saved_reference_is_loaded_again(
    node: Node, reference: Any, references: Path, comfyui_base: Path
) -> None:
    before = set((comfyui_base / "temp").glob("*.png"))
    assert node("SaveReference", reference=reference, name="anna") == ()
    assert "anna.safetensors" in folder_paths.get_filename_list("flashface_references")
    (back,) = node("LoadReference", reference_name="anna.safetensors")
    assert torch.equal(back.identities[0].latents, reference.identities[0].latents)
    assert torch.equal(back.identities[0].context, reference.identities[0].context)
    assert len(set((comfyui_base / "temp").glob("*.png")) - before) == 2


def test_a_changed_file_is_read_again(
    node: Node, pack: dict[str, Any], reference: Any, references: Path
) -> None:
    node("SaveReference", reference=reference, name="anna")
    load = pack["FlashFaceLoadReference"]
    first = load.fingerprint_inputs(reference_name="anna.safetensors")
    assert first == load.fingerprint_inputs(reference_name="anna.safetensors")
    (mixed,) = node(
        "CombineReferences", reference_1=reference, weight_1=0.7, reference_2=reference,
        weight_2=0.3,
    )  # fmt: skip
    node("SaveReference", reference=mixed, name="anna")
    (references / "anna_00002.safetensors").replace(references / "anna.safetensors")
    assert load.fingerprint_inputs(reference_name="anna.safetensors") != first
    (back,) = node("LoadReference", reference_name="anna.safetensors")
    assert [identity.weight for identity in back.identities] == [0.7, 0.3]


def test_a_folder_that_cannot_be_written_is_passed_over(
    node: Node, reference: Any, references: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of extra_model_paths.yaml comes before ComfyUI's own folder."""
    share = tmp_path / "share" / "flashface_references"
    share.parent.mkdir()
    kind = folder_paths.folder_names_and_paths["flashface_references"]
    listed = ([str(share), *kind[0]], kind[1])
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "flashface_references", listed)
    make = tempfile.TemporaryFile  # tests may run as root, who can write everywhere

    def refuse(*, dir: str) -> Any:
        if "share" in dir:
            raise PermissionError(13, "Permission denied", dir)
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    node("SaveReference", reference=reference, name="anna")
    assert (references / "anna.safetensors").is_file() and not share.exists()
    share.mkdir()
    (share / "beth.safetensors").write_bytes(b"somebody else, whom Load Reference finds first")
    node("SaveReference", reference=reference, name="beth")
    assert (references / "beth_00002.safetensors").is_file()
    assert not (references / "beth.safetensors").exists()
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    node("SaveReference", reference=reference, name="cleo")
    assert (share / "cleo.safetensors").is_file()


@pytest.mark.parametrize("name", ["../x", "..\\x", "/tmp/x", "CON", "", "x" * 300])
def test_bad_names_are_refused(node: Node, reference: Any, references: Path, name: str) -> None:
    with pytest.raises(ValueError, match="A file cannot be saved as "):
        node("SaveReference", reference=reference, name=name)
    assert not references.exists() or not list(references.iterdir())


def test_loading_does_not_leave_the_folder(node: Node, comfyui_base: Path, reference: Any) -> None:
    outside = comfyui_base / "models" / "secret.safetensors"
    outside.write_bytes(b"")
    with pytest.raises(FileNotFoundError):
        node("LoadReference", reference_name="../secret.safetensors")
    outside.unlink()


def test_every_input_and_output_has_a_tooltip(pack: dict[str, Any]) -> None:
    names = ("DetectorLoader", "CropFaces", "Region", "Similarity", "SaveReference")
    for name in (*names, "LoadReference", "CombineReferences"):
        schema = pack["FlashFace" + name].define_schema()
        assert schema.description and schema.search_aliases
        assert all(entry.tooltip for entry in [*schema.inputs, *schema.outputs])


def ran(entry: dict) -> set[str]:
    """Ids of the nodes that were not taken from the server's cache."""
    cached = [data["nodes"] for kind, data in entry["status"]["messages"] if "cached" in kind]
    return set(entry["outputs"]) - {node for nodes in cached for node in nodes}


def test_a_photo_becomes_a_saved_person_and_comes_back(server: Any, tmp_path: Path) -> None:
    photo = tmp_path / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).save(photo)

    def file(node: str, name: str) -> str:
        kind, *more = server.object_info(node)[node]["input"]["required"][name]
        options = more[0]["options"] if kind == "COMBO" else kind
        return next(option for option in options if "standin" in option)

    make = {
        "1": {"class_type": "LoadImage", "inputs": {"image": server.upload_image(photo)}},
        "2": {"class_type": "FlashFaceDetectorLoader", "inputs": {
            "detector": "auto", "provider": "auto", "detection_size": 640,
        }},
        "3": {
            "class_type": "FlashFaceCropFaces",
            "inputs": {
                "image": ["1", 0], "detector": ["2", 0], "order": "largest", "index": 0,
                "faces_per_image": 1, "if_no_face": "error", "threshold": 0.6, "padding": 0.0,
                "level_eyes": True, "size": 224,
            },
        },
        "4": {"class_type": "VAELoader", "inputs": {"vae_name": file("VAELoader", "vae_name")}},
        "5": {
            "class_type": "CLIPLoader",
            "inputs": {
                "clip_name": file("CLIPLoader", "clip_name"), "type": "stable_diffusion"
            },
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["5", 0]}},
        "7": {
            "class_type": "FlashFaceEncodeReference",
            "inputs": {"vae": ["4", 0], "faces": ["3", 0], "negative": ["6", 0], "repeat_to": 4},
        },
        "8": {
            "class_type": "FlashFaceSaveReference",
            "inputs": {"reference": ["7", 0], "name": "astronaut"},
        },
    }  # fmt: skip
    first = server.queue(make)
    assert len(server.images(first, "8")) == 1 and len(server.images(first, "3")) == 1
    saved = server.base / "models/flashface_references/astronaut.safetensors"
    assert saved.is_file()

    def mixed(name: str) -> dict:
        return {
            "1": {
                "class_type": "FlashFaceLoadReference",
                "inputs": {"reference_name": "astronaut.safetensors"},
            },
            "2": {
                "class_type": "FlashFaceCombineReferences",
                "inputs": {
                    "reference_1": ["1", 0], "weight_1": 0.5,
                    "reference_2": ["1", 0], "weight_2": 0.25,
                },
            },
            "3": {
                "class_type": "FlashFaceSaveReference",
                "inputs": {"reference": ["2", 0], "name": name},
            },
        }  # fmt: skip

    assert ran(server.queue(mixed("a"))) == {"1", "3"}
    assert ran(server.queue(mixed("b"))) == {"3"}
    (saved.parent / "a.safetensors").replace(saved)
    assert ran(server.queue(mixed("c"))) == {"1", "3"}
    assert (saved.parent / "c.safetensors").stat().st_size > saved.stat().st_size
