"""What workflows rely on stays (see contract.py)."""

from __future__ import annotations

import os

import pytest
from contract import broken_promises, contract_of, freeze, frozen

NODES = [
    "FlashFaceModelLoader",
    "FlashFaceCropFaces",
    "FlashFaceEncodeReference",
    "FlashFaceRegion",
    "FlashFaceApply",
    "FlashFaceGuidance",
    "FlashFaceSchedule",
    "FlashFaceSigmas",
]
TAKEN_BY_OTHERS = {
    "FlashFaceLoadModel",
    "FlashFaceCLIPTextEncode",
    "FlashFaceDetectFace",
    "FlashFaceGenerator",
    "FlashFace_Loader_NuA",
    "FlashFace_Sampler_NuA",
}


def test_ids_are_ours(pack):
    assert set(NODES) <= set(pack)
    assert not set(pack) & TAKEN_BY_OTHERS
    assert {node.CATEGORY.partition("/")[0] for node in pack.values()} == {"FlashFace"}


def test_what_workflows_rely_on_is_still_there(pack):
    found = contract_of(pack)
    if os.environ.get("FLASHFACE_FREEZE"):
        freeze(found)
    agreed = frozen()
    broken = broken_promises(agreed, found)
    assert not broken, "workflows would break:\n" + "\n".join(broken)
    assert found == agreed, "something was added: see contract.py for how to agree to it"


@pytest.mark.parametrize("node_id", NODES)
def test_renaming_or_removing_anything_is_noticed(node_id, pack):
    found = contract_of(pack)
    agreed = contract_of(pack)
    assert broken_promises(agreed, found) == []
    for name in found[node_id]["inputs"]:
        less = {**found[node_id], "inputs": {**found[node_id]["inputs"]}}
        less["inputs"]["renamed"] = less["inputs"].pop(name)
        assert broken_promises(agreed, {**found, node_id: less}) == [
            f"{node_id}.inputs.{name} is gone"
        ]
    outputs = {**found[node_id], "outputs": found[node_id]["outputs"][1:]}
    assert len(broken_promises(agreed, {**found, node_id: outputs})) == 1
    del found[node_id]
    assert broken_promises(agreed, found) == [f"{node_id} is gone"]


@pytest.mark.parametrize("node_id", NODES)
def test_every_node_explains_itself(node_id, pack):
    schema = pack[node_id].GET_SCHEMA()
    assert len(schema.description) > 40 and schema.display_name
    assert schema.search_aliases
    for socket in [*schema.inputs, *schema.outputs]:
        name = getattr(socket, "id", None) or socket.display_name
        assert socket.tooltip and socket.tooltip.endswith("."), f"{node_id}: {name}"


def test_all_nodes_explain_themselves(pack):
    for node_id, node in pack.items():
        info = node.GET_NODE_INFO_V1() if hasattr(node, "GET_NODE_INFO_V1") else {}
        assert info.get("description"), node_id
        assert all(info.get("output_tooltips") or [True]), node_id


def test_the_model_folder_follows_comfyui(pack, comfyui_base):
    import folder_paths

    paths, extensions = folder_paths.folder_names_and_paths["flashface"]
    assert str(comfyui_base / "models" / "flashface") in paths
    assert {".safetensors", ".ckpt"} <= set(extensions)
    other = comfyui_base / "elsewhere"
    other.mkdir(exist_ok=True)
    (other / "mine.ckpt").touch()
    folder_paths.add_model_folder_path("flashface", str(other))
    assert "mine.ckpt" in folder_paths.get_filename_list("flashface")
    folder_paths.folder_names_and_paths["flashface"][0].remove(str(other))
