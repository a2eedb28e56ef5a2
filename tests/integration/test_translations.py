"""Chinese is complete: each name, description and tooltip of the live nodes is translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from setup.comfy_server import ComfyServer
from setup.host import PACK_NAME

Json = dict[str, Any]
Texts = dict[str, str]  # "FlashFaceApply.inputs.strength.tooltip" -> text

# What a translation keeps as it is: numbers, paths and files, MODEL and the like, "auto:".
KEPT = re.compile(
    r"models/\w+|\w+\.(?:ckpt|pt|safetensors)\b|(?<![a-z])\d+(?:\.\d+)?|\b[A-Z][A-Z_]{2,}\b"
)
OPTION_SAID = r"\b{}:"  # tooltips name a choice and say what it does
CHINESE = re.compile("[\u4e00-\u9fff]")
# vue-i18n, which the front end shows texts with, gives these a meaning of their own.
SYNTAX = set("{}|@")


def texts_of_server(info: Json) -> Texts:
    """Every text that the front end shows of these nodes, in English."""
    return {
        f"{node_id}.{name}": text
        for node_id, node in info.items()
        for name, text in _texts_of_node(node)
    }


def _texts_of_node(node: Json) -> Iterator[tuple[str, str]]:
    yield "display_name", node["display_name"]
    yield "description", node["description"]
    for name, spec in _inputs(node):
        yield f"inputs.{name}.name", name
        yield f"inputs.{name}.tooltip", spec[1]["tooltip"]
    for number, name in enumerate(node["output_name"]):
        yield f"outputs.{number}.name", name
        yield f"outputs.{number}.tooltip", node["output_tooltips"][number]


def _inputs(node: Json) -> Iterator[tuple[str, list]]:
    for group in ("required", "optional"):
        yield from node["input"].get(group, {}).items()


def flattened(tree: Json, place: str = "") -> Texts:
    """The leaves of nested tables, by their keys joined with dots."""
    found: Texts = {}
    for key, value in tree.items():
        here = f"{place}.{key}" if place else key
        found |= flattened(value, here) if isinstance(value, dict) else {here: value}
    return found


@pytest.fixture(scope="module")
def info(server: ComfyServer) -> Json:
    """The server's /object_info, of this pack's nodes only."""
    module = f"custom_nodes.{PACK_NAME}"
    nodes = server.object_info().items()
    return {node_id: node for node_id, node in nodes if node["python_module"] == module}


@pytest.fixture(scope="module")
def chinese(server: ComfyServer, info: Json) -> Texts:
    """What the server tells the front end of these nodes in Chinese."""
    nodes = server.get("/i18n")["zh"]["nodeDefs"]
    return flattened({node_id: texts for node_id, texts in nodes.items() if node_id in info})


def test_every_text_has_a_translation_and_none_is_left_over(
    info: Json, pack: dict[str, type], chinese: Texts, server: ComfyServer
) -> None:
    assert set(info) == set(pack)
    expected = texts_of_server(info)
    assert sorted(expected.keys() - chinese.keys()) == [], "not translated"
    assert sorted(chinese.keys() - expected.keys()) == [], "of no node, input or output"
    ours = [name for name in server.get("/i18n")["zh"]["nodeDefs"] if name.startswith("F")]
    assert set(ours) <= set(info), "translations of nodes that do not exist"


def test_translations_are_chinese_and_plain_text(chinese: Texts) -> None:
    for place, text in chinese.items():
        assert text and text == text.strip(), place
        assert not SYNTAX & set(text), f"{place} has a character that the front end interprets"
        if place.endswith(("tooltip", "description")):
            assert CHINESE.search(text) and text.endswith("。"), place


def test_translations_keep_numbers_files_types_and_choices(info: Json, chinese: Texts) -> None:
    for place, english in texts_of_server(info).items():
        if place.endswith((".name", "display_name")):
            continue
        missing = [word for word in KEPT.findall(english) if word not in chinese[place]]
        assert missing == [], place


def test_choices_are_called_as_in_the_widget(info: Json, chinese: Texts) -> None:
    seen = 0
    for node_id, node in info.items():
        for name, spec in _inputs(node):
            place = f"{node_id}.inputs.{name}.tooltip"
            for option in spec[1].get("options") or ():
                if re.search(OPTION_SAID.format(re.escape(option)), spec[1]["tooltip"]):
                    assert f"{option}\uff1a" in chinese[place], place
                    seen += 1
    assert seen >= 4
