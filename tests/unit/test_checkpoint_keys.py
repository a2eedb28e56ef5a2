"""Every name of the released checkpoint is accounted for; what is expected is what is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import comfy.model_detection
import comfy.supported_models
import pytest
import torch
from checkpoint_files import Key, released_keys
from standins.shapes import official_shapes

from flashface_core.flashface.checkpoint.keys import MASK_CONV, OFFICIAL_FIRST_CONV, from_official
from flashface_core.flashface.checkpoint.layout import Sizes, expected_shapes, reference_blocks

RELEASED = released_keys()
FULL = Sizes(width=320, text_width=768)
UNUSED = ("alias", "refnet_dead")
NEEDED = {name: key for name, key in RELEASED.items() if key.group not in UNUSED}


def full_lists() -> list[Path]:
    """The full list of names, where one lies beside the project or is named."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "goldens"
    named = os.environ.get("FLASHFACE_GOLDENS")
    places = [beside, *([Path(named).parent] if named else [])]
    return [f for f in (place / "checkpoint_keys_full.json" for place in places) if f.is_file()]


def test_the_released_checkpoint_has_2142_names_of_which_1414_are_distinct():
    assert len(RELEASED) == 2142
    assert sum(key.group != "alias" for key in RELEASED.values()) == 1414


def test_the_committed_list_is_the_full_one():
    for file in full_lists():
        entries = json.loads(file.read_text())
        found = {e["name"]: Key(tuple(e["shape"]), e["group"]) for e in entries}
        assert list(found.items()) == list(RELEASED.items())


def test_stand_ins_have_the_released_names_and_shapes_in_the_same_order():
    found = {name: key.shape for name, key in RELEASED.items()}
    assert list(official_shapes(320, 768).items()) == list(found.items())


def test_repeated_and_dead_entries_are_dropped_and_no_other():
    dropped = {name for name in RELEASED if from_official(name) is None}
    assert dropped == {name for name, key in RELEASED.items() if key.group in UNUSED}


def test_every_needed_entry_has_one_name_of_its_own_and_its_shape():
    expected = expected_shapes(FULL)
    ours = {name: from_official(name) for name in NEEDED}
    assert len(set(ours.values())) == len(ours)
    assert set(ours.values()) | {MASK_CONV} == set(expected)
    for name, key in NEEDED.items():
        shape = expected[str(ours[name])]
        if name == OFFICIAL_FIRST_CONV:  # its fifth channel is a convolution of its own
            assert (shape[1], expected[MASK_CONV][1], key.shape[1]) == (4, 1, 5)
            shape = (shape[0], 5, *shape[2:])
        assert shape == key.shape, name


def test_groups_land_where_they_belong():
    owners = {"backbone": "unet", "refnet": "referencenet"}
    for name, key in NEEDED.items():
        owner = str(from_official(name)).partition(".")[0]
        assert owner == owners.get(key.group, key.group), name


def test_numbers_of_parameters():
    shapes = expected_shapes(FULL)
    sizes = {"unet": 0, "referencenet": 0, "reference_attention": 0, "mask_conv": 0}
    for name, shape in shapes.items():
        sizes[name.partition(".")[0]] += torch.Size(shape).numel()
    assert sizes == {
        "unet": 859_520_964,
        "referencenet": 760_420_160,
        "reference_attention": 32_366_400,
        "mask_conv": 320 * 9,
    }


@pytest.mark.parametrize("name", ["epoch", "lora.weight", "model.diffusion_model.out.0.weight"])
def test_a_foreign_name_is_a_key_error(name):
    with pytest.raises(KeyError):
        from_official(name)


@pytest.mark.parametrize(
    "sizes", [FULL, Sizes(32, 64), Sizes(32, 768), Sizes(64, 768, (1, 2, 2, 4))]
)
def test_expected_weights_are_those_of_a_real_unet(sizes):
    expected = {
        name.removeprefix("unet."): shape
        for name, shape in expected_shapes(sizes).items()
        if name.startswith("unet.")
    }
    meta = {name: torch.empty(shape, device="meta") for name, shape in expected.items()}
    config = comfy.supported_models.SD15(comfy.model_detection.detect_unet_config(meta, ""))
    network = config.get_model({}, "", device=torch.device("meta")).diffusion_model
    assert {name: tuple(t.shape) for name, t in network.state_dict().items()} == expected


def test_reference_attention_sits_in_the_middle_and_decoder_blocks_3_to_11():
    blocks = reference_blocks(FULL)
    assert list(blocks) == ["middle_block.1", *(f"output_blocks.{i}.1" for i in range(3, 12))]
    assert list(blocks.values()) == [1280] * 4 + [640] * 3 + [320] * 3
