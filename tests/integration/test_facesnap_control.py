"""FaceSnap's ControlNet beside ComfyUI's own, in ComfyUI's samplers: section by section the table.

The reference is core's ControlNet on the same weights, with the tokens in `cross_attn_controlnet`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.samplers
import facesnap_files
import pytest
import torch
from composition import NEGATIVE, OTHER, PROMPT, random
from core_nodes import run_core, tiny_controlnet
from facesnap_files import dots, random_identity
from facesnap_setting import HINT, Snap, controlled
from host_pack import pack_module
from safetensors.torch import load_file
from sampling import cond
from torch import Tensor
from written_down import difference

BOUND = 1e-5
LEFT = torch.zeros(1, 128, 128)
LEFT[..., :64] = 1


@pytest.fixture(scope="module")
def plain(snap: Snap) -> Tensor:
    return snap.sample(cond(PROMPT), cond(NEGATIVE))


@pytest.fixture(scope="module")
def snapped(snap: Snap) -> Tensor:
    """What one person, everywhere, gives."""
    return snap.sample(*snap.apply())


@pytest.fixture
def unet_batches(snap: Snap):
    found: list[int] = []
    hook = snap.model.model.diffusion_model.out.register_forward_hook(
        lambda module, given, out: found.append(out.shape[0])
    )
    yield found
    hook.remove()


def test_it_is_cores_controlnet_bit_by_bit(snap: Snap, snapped, plain):
    expected = snap.sample(*snap.core_way())
    assert torch.equal(snapped, expected)
    assert difference(snapped, plain) > 0.01


def test_positive_and_negative_share_a_batch(snap: Snap, unet_batches):
    snap.sample(*snap.apply())
    assert set(unet_batches) == {2}


def test_a_range_is_cores(snap: Snap, snapped):
    percents: dict[str, Any] = {"start_percent": 0.2, "end_percent": 0.6}
    found = snap.sample(*snap.apply(**percents))
    assert torch.equal(found, snap.sample(*snap.core_way(**percents)))
    assert difference(found, snapped) > 1e-3


@pytest.mark.parametrize("off", [{"strength": 0.0}, {"start_percent": 0.5, "end_percent": 0.5}])
def test_where_it_never_counts_prompts_are_handed_through(snap: Snap, off):
    positive, negative = cond(PROMPT), cond(NEGATIVE)
    found = snap.apply(positive, negative, **off)
    assert found[0] is positive and found[1] is negative


def test_a_mask_of_zeros_is_no_facesnap(snap: Snap, plain):
    assert torch.equal(snap.sample(*snap.apply(region_mask=torch.zeros(1, 128, 128))), plain)


def test_a_mask_of_ones_is_no_mask(snap: Snap, snapped):
    assert torch.equal(snap.sample(*snap.apply(region_mask=torch.ones(1, 60, 90))), snapped)


def test_zero_convolutions_change_nothing(snap: Snap, plain):
    tensors = load_file(snap.file)
    for name in tensors:
        if "zero_convs" in name or "middle_block_out" in name:
            tensors[name] = torch.zeros_like(tensors[name])
    path = facesnap_files.write_model(snap.file.with_name("zeros.safetensors"), tensors)
    zeros = snap.run_node(snap.pack["FaceSnapModelLoader"], model_name=path.name)[0]
    path.unlink()
    assert torch.equal(snap.sample(*snap.apply(facesnap=zeros)), plain)


def test_at_identity_strength_0_nobody_in_particular_is_drawn(snap: Snap, snapped):
    one = snap.sample(*snap.apply(identity_strength=0.0))
    two = snap.sample(*snap.apply(identity=snap.bert, identity_strength=0.0))
    assert torch.equal(one, two)
    assert difference(one, snapped) > 1e-3


def test_tokens_at_the_ends_are_exact(snap: Snap):
    for strength, tokens in (
        (0.0, snap.facesnap.null_tokens()),
        (1.0, snap.facesnap.tokens(snap.anna)),
    ):
        positive, negative = snap.apply(identity_strength=strength)
        (entry,) = (entry for _, entry in positive)
        assert torch.equal(entry["model_conds"]["facesnap_0"].cond, tokens)
        assert torch.equal(
            negative[0][1]["model_conds"]["facesnap_0"].cond, snap.facesnap.null_tokens()
        )


def test_without_landmarks_the_hint_is_black(snap: Snap):
    black = snap.sample(*snap.apply(landmark_image=torch.zeros(1, 128, 128, 3)))
    assert torch.equal(snap.sample(*snap.apply(landmark_image=None)), black)


def test_a_core_controlnet_may_come_before_or_after(snap: Snap, plain, snapped):
    other = tiny_controlnet(snap.model)
    before = snap.sample(*snap.apply(*controlled(other, cond(PROMPT), cond(NEGATIVE))))
    after = snap.sample(*controlled(other, *snap.apply()))
    assert torch.equal(before, after)
    alone = snap.sample(*controlled(other, cond(PROMPT), cond(NEGATIVE)))
    assert min(difference(before, alone), difference(before, snapped)) > 0.01


def test_a_controlnet_beneath_reads_the_text(snap: Snap):
    """Where tokens ride as core has them, it reads the face's; that changes the picture."""
    other = tiny_controlnet(snap.model)
    under = controlled(other, cond(PROMPT), cond(NEGATIVE))
    ours = snap.sample(*snap.apply(*under))
    theirs = snap.sample(*snap.core_way(*under))
    assert difference(ours, theirs) > 0.01


def test_two_people_in_either_order(snap: Snap, snapped):
    people = [
        {"identity": snap.anna, "region_mask": LEFT, "landmark_image": HINT},
        {"identity": snap.bert, "region_mask": 1 - LEFT, "landmark_image": dots(71)},
    ]
    pictures = []
    for order in (people, people[::-1]):
        prompts = snap.apply(**order[0])
        pictures.append(snap.sample(*snap.apply(*prompts, **order[1])))
    assert torch.equal(*pictures)
    assert difference(pictures[0], snapped) > 1e-3


def test_one_person_on_two_halves_is_the_whole(snap: Snap, snapped):
    prompts = snap.apply(region_mask=LEFT)
    assert torch.equal(snap.sample(*snap.apply(*prompts, region_mask=1 - LEFT)), snapped)


def test_each_person_has_tokens_of_its_own(snap: Snap):
    positive, _ = snap.apply(*snap.apply(identity=snap.anna), identity=snap.bert)
    conds = positive[0][1]["model_conds"]
    assert torch.equal(conds["facesnap_0"].cond, snap.facesnap.tokens(snap.anna))
    assert torch.equal(conds["facesnap_1"].cond, snap.facesnap.tokens(snap.bert))


def test_dual_cfg_is_cores_way(snap: Snap):
    """A guider with three lists of prompts, which numbers them in its own way."""

    def picture(way: Callable[..., tuple]) -> Tensor:
        positive, negative = way(cond(PROMPT), cond(NEGATIVE))
        middle = way(cond(OTHER), cond(NEGATIVE))[0]
        guider = run_core(
            "custom_sampler.DualCFGGuider",
            model=snap.model,
            cond1=positive,
            cond2=middle,
            negative=negative,
            cfg_conds=5.0,
            cfg_cond2_negative=3.0,
            style="regular",
        )
        return guided(guider)

    def core(positive: list, negative: list) -> tuple:
        return snap.core_way(positive, negative)

    assert torch.equal(picture(snap.apply), picture(core))


@torch.inference_mode()
def guided(guider: Any, noise: Tensor | None = None, steps: int = 3) -> Tensor:
    """What Euler makes of noise with a guider."""
    noise = random(1, 4, 16, 16, seed=80) if noise is None else noise
    sampling = guider.model_patcher.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "normal", steps)
    euler = comfy.samplers.sampler_object("euler")
    return guider.sample(noise, torch.zeros_like(noise), euler, sigmas, seed=0)


def test_perp_neg_and_single_cfg_are_cores_way(snap: Snap):
    def picture(prompts: tuple) -> Tensor:
        guider = run_core(
            "perpneg.PerpNegGuider",
            model=snap.model,
            positive=prompts[0],
            negative=prompts[1],
            empty_conditioning=cond(OTHER),
            cfg=5.0,
            neg_scale=1.0,
        )
        return guided(guider)

    assert torch.equal(picture(snap.apply()), picture(snap.core_way()))
    single = snap.sample(*snap.apply(), cfg=1.0)
    assert torch.equal(single, snap.sample(*snap.core_way(), cfg=1.0))


def test_tokens_are_made_once_however_long_it_samples(snap: Snap, monkeypatch):
    mixer = pack_module("flashface_core.facesnap.mixer").Mixer
    runs: list[int] = []
    forward = mixer.forward
    monkeypatch.setattr(mixer, "forward", lambda *given: runs.append(1) or forward(*given))
    person = random_identity(snap.facesnap, 64)
    snap.facesnap._null = None
    prompts = snap.apply(identity=person)
    snap.sample(*prompts)
    snap.sample(*snap.apply(*prompts, identity=person), steps=9)
    assert len(runs) == 2  # this person's, and those of nobody


def test_the_memory_of_ffrnet_is_counted(snap: Snap):
    control = snap.apply()[0][0][1]["control"]
    assert control.get_models() == [snap.facesnap.control.control_model_wrapped]
    assert snap.facesnap.get_models()[0] is snap.facesnap.control.control_model_wrapped
    assert len(snap.facesnap.get_models()) == 3


def test_other_nodes_options_survive(snap: Snap):
    entry = {"pooled_output": torch.ones(1, 4), "model_conds": {"other": 1}}
    positive, _ = snap.apply(cond(PROMPT, **entry))
    made = positive[0][1]
    assert torch.equal(made["pooled_output"], entry["pooled_output"])
    assert made["model_conds"].keys() == {"other", "facesnap_0"}
    assert entry["model_conds"] == {"other": 1}
