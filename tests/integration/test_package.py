"""The registry's archive, installed into a clean ComfyUI: everything is in it, and it works."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive import archive_files, project_files, project_value, write_archive
from host_pack import ROOT, host_from_environment
from PIL import Image
from setup.comfy_server import DIRECT, ComfyServer
from setup.host import PACK_NAME
from workflow_files import hurry, provide_files, read_prompt

FOLDER = "flashface"  # ComfyUI-Manager installs an archive under the project's name
LARGEST_MB, LARGEST_DEMO_MB = 4.0, 50.0  # the demo: FlashFace 35, photos 5, FaceSnap 10
NEEDED = ["__init__.py", "LICENSE", "README.md", "pyproject.toml", "requirements.txt"]
FOR_DEVELOPERS = (".ci/", ".github/", "benchmarks/", "tests/parity/", "tests/unit/")


def get(server: ComfyServer, path: str) -> bytes:
    """What the server answers; raises HTTPError for a page that is not there."""
    with DIRECT.open(server.url + path, timeout=60) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory of ComfyUI with nothing but the unpacked archive in custom_nodes."""
    base = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(write_archive(base / "node.zip")) as archive:
        archive.extractall(base / "custom_nodes" / FOLDER)
    return base


@pytest.fixture(scope="module")
def clean_server(installed: Path) -> Iterator[ComfyServer]:
    """The real server with the installed archive alone, and stand-in models."""
    only = ("--cpu", "--whitelist-custom-nodes", FOLDER)
    server = ComfyServer(host_from_environment(), installed, only)
    (installed / "custom_nodes" / PACK_NAME).unlink()  # the link to the working tree
    with server:
        provide_files(server, installed)
        yield server


def test_the_archive_holds_what_users_need_and_no_more() -> None:
    files = archive_files()
    assert set(NEEDED) <= set(files)
    assert not [name for name in files if name.startswith(FOR_DEVELOPERS)]
    demo = {name for name in files if name.startswith("demo/")}
    for names, largest in ((demo, LARGEST_DEMO_MB), (set(files) - demo, LARGEST_MB)):
        assert sum((ROOT / name).stat().st_size for name in names) < largest * 1e6
    folders = ("nodes", "flashface_core", "web", "locales", "workflows", "subgraphs", "demo")
    for folder in folders:
        here = {name for name in project_files() if name.startswith(f"{folder}/")}
        assert here and here <= set(files), folder


def test_every_node_has_its_help_and_its_translation(
    clean_server: ComfyServer, pack: dict[str, type]
) -> None:
    module = f"custom_nodes.{FOLDER}"
    found = clean_server.object_info()
    assert {name for name in found if found[name]["python_module"] == module} == set(pack)
    chinese = clean_server.get("/i18n")["zh"]["nodeDefs"]
    for node_id in pack:
        page = get(clean_server, f"/extensions/{FOLDER}/docs/{node_id}.md").decode()
        assert page.startswith(f"# {found[node_id]['display_name']}\n")
        assert chinese[node_id]["display_name"]


def test_every_template_is_offered_with_its_thumbnail(clean_server: ComfyServer) -> None:
    names = clean_server.get("/workflow_templates")[FOLDER]
    files = [Path(name) for name in archive_files() if name.startswith("workflows/")]
    assert sorted(names) == sorted(file.stem for file in files if file.suffix == ".json")
    for name in names:
        assert get(clean_server, f"/api/workflow_templates/{FOLDER}/{name}.jpg")[:2] == b"\xff\xd8"


def test_the_front_end_loads_every_script(clean_server: ComfyServer) -> None:
    scripts = [Path(name).name for name in archive_files() if re.fullmatch(r"web/\w+\.js", name)]
    offered = clean_server.get("/extensions")
    assert {f"/extensions/{FOLDER}/{name}" for name in scripts} <= set(offered)
    for name in scripts:
        assert get(clean_server, f"/extensions/{FOLDER}/{name}")


def test_a_prompt_runs(clean_server: ComfyServer) -> None:
    entry = clean_server.queue(hurry(read_prompt("2_new_picture_simplest")))
    assert len(clean_server.images(entry)) >= 1
    errors = [line for line in clean_server.log.splitlines() if "IMPORT FAILED" in line]
    assert errors == []


def test_the_embedded_model_runs(clean_server: ComfyServer) -> None:
    entry = clean_server.queue(hurry(read_prompt("1_start_here")))
    assert len(clean_server.images(entry)) >= 2


def test_the_main_job_is_in_the_archive(installed: Path) -> None:
    script = installed / "custom_nodes" / FOLDER / "scripts" / "try.py"
    done = subprocess.run([sys.executable, "-I", script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("2_new_picture_of_a_person", "1_start_here"):
        assert (script.parent.parent / f"tests/workflows/{name}_api.json").is_file()


def test_the_registry_entry_points_at_files_of_this_repository() -> None:
    raw = project_value("Repository").replace("github.com", "raw.githubusercontent.com") + "/main/"
    for name, shape in (("Icon", 1.0), ("Banner", 21 / 9)):
        address = project_value(name)
        assert address.startswith(raw), name
        with Image.open(ROOT / address.removeprefix(raw)) as picture:
            assert abs(picture.width / picture.height - shape) < 0.01, name
    assert project_value("name") == FOLDER
