"""Interrupted, unloaded or short of memory: the next run is as good as the first."""

from __future__ import annotations

import copy
import gc
from typing import Any

import comfy.model_management as memory
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composition import NOISE, Setting, cfg_guider
from sampling import sampled

STEPS = 12


@pytest.fixture
def applied(setting: Setting, reference: Any) -> ModelPatcher:
    """A model with that reference and guidance applied."""
    node = setting.pack["FlashFaceApply"]
    given = {"flashface": setting.flashface, "reference": reference, "strength": 1.2}
    return setting.guide(setting.run_node(node, model=setting.model, **given)[0])


def sample(model: ModelPatcher, steps: int = STEPS, callback=None) -> torch.Tensor:
    return sampled(cfg_guider(model), NOISE, steps, callback=callback)


def test_interrupted_in_mid_run(applied, reference_batches):
    expected = sample(applied)
    reached: list[int] = []

    def stop(step, denoised, x, total):
        reached.append(step)
        if step == 3:
            memory.interrupt_current_processing()

    with pytest.raises(memory.InterruptProcessingException):
        sample(applied, callback=stop)
    assert reached == [0, 1, 2, 3]
    assert torch.equal(sample(applied), expected)


def test_interrupted_while_references_are_computed(applied, reference, reference_batches):
    reference_batches.then = memory.interrupt_current_processing
    steps: list[int] = []
    with pytest.raises(memory.InterruptProcessingException):
        sample(applied, callback=lambda step, *_: steps.append(step))
    assert (len(reference_batches), steps) == (1, [])
    done = len(reference.identities[0].features)
    assert 0 < done < STEPS

    reference_batches.then = None
    found = sample(applied)
    assert sum(reference_batches) == 2 * STEPS, "what was computed before is used"
    reference.identities[0].features.__init__()
    assert torch.equal(sample(applied), found)


def test_unloaded_and_loaded_again(applied, reference):
    expected = sample(applied, 4)
    memory.unload_all_models()
    assert memory.current_loaded_models == []
    assert torch.equal(sample(applied, 4), expected)
    reference.identities[0].features.__init__()
    memory.unload_all_models()
    assert torch.equal(sample(applied, 4), expected)


def test_what_is_loaded_when(setting, applied, reference_batches):
    memory.unload_all_models()
    flashface, seen = setting.flashface, {}

    def loaded() -> list[Any]:
        return [entry.model.model for entry in memory.current_loaded_models if entry.model]

    reference_batches.then = lambda: seen.setdefault("references", loaded())
    sample(applied, 2, callback=lambda *_: seen.setdefault("sampling", loaded()))
    assert seen["references"] == [flashface.referencenet.model]
    assert setting.model.model in seen["sampling"]
    assert flashface.adapter.model in seen["sampling"]


def test_the_first_estimate_of_memory_knows_of_the_references(setting, applied):
    shape, plain = [2, 4, 64, 64], setting.model
    memory.unload_all_models()
    factor = applied.object_patches["memory_usage_factor"] / plain.model.memory_usage_factor
    assert factor == pytest.approx(1.25)
    before = plain.memory_required(shape)
    seen: list[float] = []
    sample(applied, 2, callback=lambda *_: seen.append(applied.memory_required(shape)))
    assert seen[0] == pytest.approx(1.25 * before)


@pytest.mark.parametrize("limit", [1, 40_000, 400_000])
def test_little_room_for_features_changes_nothing(limit, applied, reference):
    expected = sample(applied, 6)
    features = reference.identities[0].features
    features.__init__(limit)
    error = (sample(applied, 6) - expected).abs().max() / expected.abs().max()
    assert error < 1e-4  # other batches round in another way
    assert len(features) == 1 or features.bytes_used() <= limit


def test_a_run_leaves_nothing_in_the_model(applied):
    options = applied.model_options["transformer_options"]
    before = copy.copy(options)
    sample(applied, 2)
    assert options == before
    assert applied.model.current_patcher is None or isinstance(
        applied.model.current_patcher, ModelPatcher
    )


def test_features_go_when_their_reference_goes(setting):
    reference = copy.deepcopy(setting.reference)
    node = setting.pack["FlashFaceApply"]
    given = {"flashface": setting.flashface, "reference": reference, "strength": 1.2}
    (model,) = setting.run_node(node, model=setting.model, **given)
    sample(model, 2)
    features = reference.identities[0].features
    assert len(features) == 2
    del model, reference, given
    memory.unload_all_models()
    gc.collect()
    holders = [h for h in gc.get_referrers(features) if type(h).__name__ in ("Identity", "Run")]
    assert holders == []
