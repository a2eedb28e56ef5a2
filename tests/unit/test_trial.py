"""A model file that could end the process is opened in another one first, once; auto falls back."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model_files
import pytest
from hostile_models import HOSTILE, hostile_yunet

from flashface_core.faces.detection import (
    DetectorUnavailable,
    ModelFolders,
    Settings,
    load_detector,
    trial,
)

YUNET = "face_detection/face_detection_yunet_2023mar.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder in which nothing was tried yet."""
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trial, "_known", {})
    yield tmp_path / "cache"


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that were started."""
    found: list[Any] = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda *given, **more: found.append(given) or run(*given, **more)
    )
    return found


def folders(root: Path) -> ModelFolders:
    return ModelFolders((str(root / "insightface"),), (str(root / "face_detection"),))


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what this process remembers, and keep what lies on the disk."""
    monkeypatch.setattr(trial, "_known", {})


@pytest.mark.parametrize("kind", HOSTILE)
def test_auto_falls_back_from_every_hostile_yunet(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hostile_yunet(tmp_path / YUNET, kind)
    assert load_detector("auto", Settings(folders(tmp_path))).name == "lbp"
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    words = record.getMessage()
    assert "face_detection_yunet_2023mar.onnx cannot be used: " in words
    assert str(tmp_path) not in words and "\n" not in words and len(words) < 500


def test_a_good_file_is_tried_once_on_a_machine(
    tmp_path: Path, cache: Path, starts: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_files.yunet(tmp_path / YUNET)
    for _ in range(2):
        assert load_detector("yunet", Settings(folders(tmp_path))).name == "yunet"
    new_process(monkeypatch)
    load_detector("yunet", Settings(folders(tmp_path)))
    assert len(starts) == 1 and [file.name for file in cache.iterdir()] == ["tried_models.txt"]
    load_detector("yunet", Settings(folders(tmp_path), size=320))
    assert len(starts) == 2, "another size is another computation"


def test_a_spoilt_line_of_the_cache_does_not_spoil_the_others(
    tmp_path: Path, cache: Path, starts: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    (cache / "tried_models.txt").write_bytes(b"\xef\xbb\xbf\xff\x00 cut o")
    model_files.yunet(tmp_path / YUNET)
    for _ in range(2):
        load_detector("yunet", Settings(folders(tmp_path)))
        new_process(monkeypatch)
    assert len(starts) == 1


def test_a_file_with_another_content_is_tried_again(tmp_path: Path, starts: list) -> None:
    model_files.yunet(tmp_path / YUNET)
    load_detector("yunet", Settings(folders(tmp_path)))
    content = (tmp_path / YUNET).read_bytes()
    (tmp_path / YUNET).write_bytes(content[:-1])
    with pytest.raises(DetectorUnavailable, match="cannot be used"):
        load_detector("yunet", Settings(folders(tmp_path)))
    assert len(starts) == 2


def test_models_of_insightface_are_tried_too(tmp_path: Path, starts: list) -> None:
    from flashface_core.faces.similarity import load_recognizer

    model_files.scrfd(tmp_path / "insightface/models/buffalo_l/det_10g.onnx")
    model_files.arcface(tmp_path / "insightface/models/buffalo_l/w600k_r50.onnx")
    for _ in range(2):
        load_detector("insightface", Settings(folders(tmp_path)))
        load_recognizer(folders(tmp_path))
    assert len(starts) == 2


ENDINGS = {
    "READY; import os; os.abort()": "it ends the process that opens it (",
    "READY; import os; os._exit(7)": "it ends the process that opens it (exit code 7)",
    "READY; import time; time.sleep(60)": "opening it takes more than 1 seconds",
    "READY; print('no answer')": "it ends the process that opens it (exit code 0)",
    """print('{"fault": "it bites"}')""": "it bites",
}
READY = f"print({trial.OPENING!r}, flush=True)"


@pytest.mark.parametrize("program", ENDINGS)
@pytest.mark.parametrize("name", ["yunet", "insightface"])
def test_what_happens_in_there_is_that_files_error(
    name: str, program: str, tmp_path: Path, cache: Path, starts: list, monkeypatch
) -> None:
    model_files.yunet(tmp_path / YUNET)
    model_files.scrfd(tmp_path / "insightface/models/buffalo_l/det_10g.onnx")
    (tmp_path / "other.py").write_text(program.replace("READY", READY))
    monkeypatch.setattr(trial, "SCRIPT", tmp_path / "other.py")
    monkeypatch.setattr(trial, "SECONDS", 1 if "sleep" in program else 120)
    for _ in range(2):
        with pytest.raises(DetectorUnavailable) as caught:
            load_detector(name, Settings(folders(tmp_path)))
        assert ENDINGS[program] in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert len(starts) == 1, "it is not tried again in every execution"
    assert not cache.exists(), "another process may have more luck"


@pytest.mark.parametrize("program", ["import os; os._exit(1)", "print(5)"])
def test_a_python_that_does_not_start_there_says_nothing_of_the_file(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    model_files.yunet(tmp_path / YUNET)
    (tmp_path / "other.py").write_text(program)
    monkeypatch.setattr(trial, "SCRIPT", tmp_path / "other.py")
    monkeypatch.setattr(sys, "path", [*sys.path, tmp_path])  # Python passes over what is no str
    assert load_detector("yunet", Settings(folders(tmp_path))).name == "yunet"
    assert "was not tried before it is opened: Python does not start there" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_process_that_the_system_killed_may_try_again(
    tmp_path: Path, starts: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_files.yunet(tmp_path / YUNET)
    (tmp_path / "other.py").write_text(f"{READY}; import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(trial, "SCRIPT", tmp_path / "other.py")
    for _ in range(2):
        with pytest.raises(DetectorUnavailable, match="the machine may lack memory"):
            load_detector("yunet", Settings(folders(tmp_path)))
    assert len(starts) == 2


def test_the_script_needs_nothing_of_the_pack_and_of_the_folder(tmp_path: Path) -> None:
    for name in ("json", "numpy", "cv2"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    path = model_files.yunet(tmp_path / "yunet.onnx")
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert trial._try(path, "yunet", 640, path.stat().st_size) == ""
    finally:
        os.chdir(here)


@pytest.mark.parametrize("program", ["", "/opt/ComfyUI/ComfyUI.exe", None])
def test_without_a_python_files_are_opened_as_ever(
    program: Any, tmp_path: Path, starts: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    monkeypatch.setattr(sys, "_base_executable", program, raising=False)
    model_files.yunet(tmp_path / YUNET)
    assert load_detector("yunet", Settings(folders(tmp_path))).name == "yunet"
    assert starts == []


def test_a_library_that_does_not_import_there_is_no_fault_of_the_file(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch
) -> None:
    (tmp_path / "other.py").write_text("""print('{"untried": "ImportError: cv2"}')""")
    monkeypatch.setattr(trial, "SCRIPT", tmp_path / "other.py")
    model_files.yunet(tmp_path / YUNET)
    assert load_detector("yunet", Settings(folders(tmp_path))).name == "yunet"
    assert "was not tried before it is opened: ImportError: cv2" in caplog.text
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path / "file" / "below"))
    model_files.yunet(tmp_path / YUNET)
    assert load_detector("yunet", Settings(folders(tmp_path))).name == "yunet"
