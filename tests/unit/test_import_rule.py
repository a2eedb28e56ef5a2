"""The rule of the rooms, and that importing is cheap (docs/ARCHITECTURE.md).

nodes/X calls flashface_core/X; a method knows files and faces, never another method; faces and
files know no method and no comfy; demo stands above the methods that it shows; training imports the
core, and nothing imports training.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_pack import ROOT, host_from_environment

CORE, NODES = ROOT / "flashface_core", ROOT / "nodes"
GROUND = ("errors", "drawing", "images", "loaded", "numbers")
METHODS = ("flashface", "face2diffusion", "facesnap")
KNOWS: dict[str, tuple[str, ...]] = {
    "files": GROUND,
    "faces": GROUND,
    **dict.fromkeys(METHODS, (*GROUND, "files", "faces")),
    "demo": (*GROUND, "files", "flashface", "facesnap"),
}
"""Which rooms of the core a room may import, besides itself."""
HOST = ("comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "execution")
# Rooms and files of a method that may import comfy; all others are leaves.
KNOWS_COMFY = {
    "flashface": ("attention", "encode", "model", "patch", "referencenet"),
    "face2diffusion": ("identity", "identity_file", "model", "networks", "sheet"),
    "facesnap": ("apply", "control", "encode", "ffrnet", "model"),
    "demo": ("models",),
}
# A socket's value type from ComfyUI's public API, imported where such a value is met.
VALUE_TYPES = ("comfy_api.input", "comfy_api.input.CurveInput")
LIGHT = {
    "flashface/checkpoint": ("safetensors", "torch", "tqdm"),
    "flashface/guidance": ("torch",),
    "files": ("numpy", "safetensors", "torch"),
    "demo/encoder": ("torch",),
}
HEAVY = ("cv2", "insightface", "matplotlib", "onnxruntime", "skimage", "torch._dynamo")


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.py") if "__pycache__" not in file.parts)


def imports(file: Path, at_load: bool = False) -> Iterator[tuple[str, int]]:
    """Every (module, line) that a file imports; relative ones with the names they would have here.

    at_load: only what runs when the file is imported: not in functions, not for type checkers.
    """
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in _nodes(ast.parse(file.read_text(encoding="utf-8")), at_load):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def _nodes(tree: ast.AST, at_load: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        lazy = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if not (at_load and lazy):
            yield node
            yield from _nodes(node, at_load)


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def offenders(folder_files: list[Path], *packages: str, at_load: bool = False) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in folder_files
        for module, line in imports(file, at_load)
        if within(module, *packages) and (at_load or module not in VALUE_TYPES)
    ]


def room(file: Path) -> str:
    return file.relative_to(CORE).with_suffix("").parts[0]


def leaves(method: str) -> list[Path]:
    knows = KNOWS_COMFY[method]
    inside = files(CORE / method)
    return [f for f in inside if f.relative_to(CORE / method).with_suffix("").parts[0] not in knows]


def test_there_is_something_to_walk():
    assert {room(file) for file in files(CORE)} == {"__init__", *GROUND, *KNOWS}
    assert "flashface_core.flashface.reference" in {
        module for module, _ in imports(CORE / "flashface" / "encode.py")
    }
    assert len(leaves("flashface")) > 10


@pytest.mark.parametrize("name", [*GROUND, *KNOWS])
def test_arrows_between_rooms_go_down(name):
    inside = [file for file in files(CORE) if room(file) == name]
    known = KNOWS.get(name, GROUND)
    above = {room(file) for file in files(CORE)} - {"__init__", name, *known}
    assert offenders(inside, *(f"flashface_core.{other}" for other in above)) == []


@pytest.mark.parametrize("name", [*METHODS, "faces", "demo"])
def test_nodes_call_the_room_of_their_name(name):
    known = (name, *KNOWS[name])
    others = [other for other in (*METHODS, "faces", "demo") if other not in known]
    packages = [f"{top}.{other}" for top in ("flashface_core", "nodes") for other in others]
    assert offenders(files(NODES / name), *packages) == []


def test_ground_files_and_faces_know_no_comfy():
    inside = [file for file in files(CORE) if room(file) not in KNOWS_COMFY]
    assert offenders(inside, *HOST[1:], "nodes", "server") == []
    assert offenders(inside, *HOST, at_load=True) == []


@pytest.mark.parametrize("method", KNOWS_COMFY)
def test_leaves_of_a_method_import_no_comfy_and_none_of_what_knows_it(method):
    assert offenders(leaves(method), *HOST, "nodes", "server") == []
    above = (f"flashface_core.{method}.{name}" for name in KNOWS_COMFY[method])
    assert offenders(leaves(method), *above) == []


def test_the_core_knows_no_node():
    inside = [*HOST[1:], "nodes", "server"]
    assert offenders(files(CORE), *inside) == []


def test_nobody_in_the_core_imports_patch():
    others = [file for file in files(CORE) if "patch" not in file.parts]
    assert offenders(others, "flashface_core.flashface.patch") == []


def test_nothing_that_users_get_imports_training():
    assert offenders([ROOT / "__init__.py", *files(CORE), *files(NODES)], "training") == []


def test_the_pack_knows_no_training():
    pack = [ROOT / "__init__.py", *files(CORE), *files(NODES)]
    assert offenders(pack, "training") == []


@pytest.mark.parametrize("name", LIGHT)
def test_small_rooms_need_little(name):
    place = CORE / name
    inside = files(place) if place.is_dir() else [place.with_suffix(".py")]
    allowed = {*LIGHT[name], *sys.stdlib_module_names, "flashface_core"}
    found = {module.partition(".")[0] for file in inside for module, _ in imports(file)}
    assert found <= allowed


def test_nothing_imports_comfyuis_module_named_nodes():
    everything = [ROOT / "__init__.py", *files(CORE), *files(NODES)]
    absolute = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in everything
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(within(a.name, "nodes") for a in node.names))
        or (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and within(node.module or "", "nodes")
        )
    ]
    assert absolute == []


def test_only_comfyui_torch_and_what_it_brings_is_imported_at_load():
    allowed = {
        *sys.stdlib_module_names,
        *("comfy", "comfy_api", "folder_paths", "torch", "numpy", "PIL", "safetensors"),
        *("flashface_core", "nodes", ""),
    }
    for file in [ROOT / "__init__.py", *files(CORE), *files(NODES)]:
        found = {module.partition(".")[0] for module, _ in imports(file, at_load=True)}
        assert found <= allowed, file


def test_importing_the_pack_brings_nothing_heavy_and_nothing_that_knows_comfy():
    script = f"""
import sys
sys.path.insert(0, {str(host_from_environment().root)!r})
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import nodes, comfy_api.latest
before = set(sys.modules)
import importlib.util, warnings
warnings.simplefilter("error")
spec = importlib.util.spec_from_file_location(
    "pack", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
sys.modules["pack"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
print("\\n".join(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    new = [module for module in done.stdout.split() if not within(module, "pack")]
    assert "pack.nodes.flashface.apply" in done.stdout.split()
    assert [module for module in new if within(module, *HEAVY)] == []
    knows = [
        f"pack.flashface_core.{m}.{name}" for m, names in KNOWS_COMFY.items() for name in names
    ]
    assert [module for module in done.stdout.split() if within(module, *knows)] == []
