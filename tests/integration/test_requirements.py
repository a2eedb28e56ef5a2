"""With requirements.txt alone the faces work: no detector needs more until it is chosen.

Packages that requirements.txt leaves out are hidden from a Python of their own; the host may have
them for the other tests.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from host_pack import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OPTIONAL = ("insightface", "onnxruntime", "onnx", "cv2")
HIDE = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
sys.path.append({str(ROOT)!r})
"""
ASTRONAUT = """
from PIL import Image
import skimage.data
picture = Image.fromarray(skimage.data.astronaut())
"""


def run(code: str) -> str:
    """What a new Python says to `code`; fails the test with its error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules() -> list[str]:
    core = Path(ROOT, "flashface_core")
    files = [
        *core.glob("faces/**/*.py"),
        *core.glob("files/*.py"),
        *core.glob("flashface/reference_*.py"),
    ]
    paths = [file.relative_to(ROOT).with_suffix("") for file in files]
    return sorted(".".join(path.parts) for path in paths if path.name != "__init__")


def test_every_detector_imports_without_the_optional_packages() -> None:
    code = f"import importlib\nfor name in {modules()}: importlib.import_module(name); print(name)"
    assert run(HIDE + code).split() == modules()


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    code = f"""
import importlib
for name in {modules()}: importlib.import_module(name)
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{*{OPTIONAL}, "skimage", "scipy"}}))
"""
    assert run(f"import sys\nsys.path.append({str(ROOT)!r})" + code).strip() == "[]"


def test_the_built_in_detector_finds_a_face() -> None:
    code = """
from flashface_core.faces.detection import load_detector, working_detectors, ModelFolders
from flashface_core.faces.choose import Choice, choose_faces
detector = load_detector()
result = choose_faces(picture, Choice(), detector)
print(detector.name, working_detectors(ModelFolders()), [c.picture.size for c in result.chosen])
"""
    assert run(HIDE + ASTRONAUT + code).strip() == "lbp ['lbp'] [(224, 224)]"


@pytest.mark.parametrize(
    ("name", "file", "package"),
    [
        ("insightface", "insightface/models/buffalo_l/det_10g.onnx", "insightface, onnxruntime"),
        ("yunet", "face_detection/face_detection_yunet_2023mar.onnx", "opencv-python"),
    ],
)
def test_the_others_say_what_they_need(tmp_path: Path, name: str, file: str, package: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    code = f"""
from flashface_core.faces.detection import *
places = [({str(tmp_path)!r} + "/" + name,) for name in ("insightface", "face_detection")]
folders = ModelFolders(*places)
print(load_detector("auto", Settings(folders)).name)
try:
    load_detector({name!r}, Settings(folders))
except DetectorUnavailable as error:
    print(error)
"""
    auto, message = run(HIDE + code).splitlines()
    assert auto == "lbp"
    assert message.startswith(f"The face detector {name} cannot run. The Python package")
    assert package in message and message.endswith("Works right now: lbp.")


def test_pyproject_names_the_same_requirements() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    required = [line for line in lines if line and not line.startswith("#")]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"^dependencies = (\[.*?\])", project, re.MULTILINE)
    assert found and json.loads(found[1]) == required


def test_what_is_installed_leaves_numpy_1_and_scipy_alone() -> None:
    """By the installed packages' own metadata: what requirements.txt allows takes old ones."""
    keep = {"numpy": "1.26.4", "scipy": "1.11.4", "pillow": "11.0.0"}
    seen, left = set(), ["scikit-image"]
    while left:
        name = left.pop()
        seen.add(name)
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                continue
            known = canonicalize_name(needed.name)
            if known in keep:
                assert needed.specifier.contains(keep[known]), f"{name} wants {text}"
            elif known not in seen:
                left.append(known)
    assert "tifffile" in seen
