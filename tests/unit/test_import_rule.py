"""Arrows between the rooms point downwards only (docs/ARCHITECTURE.md), and importing is cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_pack import ROOT, host_from_environment

CORE, NODES = ROOT / "flashface_core", ROOT / "nodes"
HOST = ("comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "execution")
# Rooms and files of the core that may import comfy; all others are leaves.
KNOWS_COMFY = ("attention", "encode", "face2diffusion", "model", "patch", "referencenet")
# A socket's value type from ComfyUI's public API, imported where such a value is met.
VALUE_TYPES = ("comfy_api.input", "comfy_api.input.CurveInput")
LIGHT = {"checkpoint": ("safetensors", "torch", "tqdm"), "guidance": ("torch",)}
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


def test_there_is_something_to_walk():
    assert {room(file) for file in files(CORE)} >= {*KNOWS_COMFY, "checkpoint", "detection"}
    assert ("flashface_core.reference", 13) in {
        (module, 13) for module, _ in imports(CORE / "encode.py")
    }


def test_leaves_import_no_comfy():
    leaves = [file for file in files(CORE) if room(file) not in KNOWS_COMFY]
    assert offenders(leaves, *HOST, "nodes", "server") == []
    assert offenders(leaves, *HOST, at_load=True) == []


def test_leaves_import_none_of_what_knows_comfy():
    leaves = [file for file in files(CORE) if room(file) not in KNOWS_COMFY]
    assert offenders(leaves, *(f"flashface_core.{name}" for name in KNOWS_COMFY)) == []


def test_the_core_knows_no_node():
    inside = [*HOST[1:], "nodes", "server"]
    assert offenders(files(CORE), *inside) == []


def test_nobody_in_the_core_imports_patch():
    others = [file for file in files(CORE) if room(file) != "patch"]
    assert offenders(others, "flashface_core.patch") == []


@pytest.mark.parametrize("name", LIGHT)
def test_small_rooms_need_little(name):
    inside = [file for file in files(CORE) if room(file) == name]
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


def test_importing_the_pack_brings_no_heavy_library_and_starts_no_device():
    script = f"""
import sys
sys.path.insert(0, {str(host_from_environment().root)!r})
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import nodes, comfy_api.latest
before = set(sys.modules)
import importlib.util
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
    assert "pack.nodes.apply" in done.stdout.split()
    assert [module for module in new if within(module, *HEAVY)] == []
