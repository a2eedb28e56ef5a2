"""What FlashFace cannot work with says so in one sentence, and the rest of the graph still runs."""

from __future__ import annotations

import logging
from dataclasses import replace

import comfy.samplers
import pytest
import torch
from comfy.model_patcher import ModelPatcher
from composes import does_not_compose
from composition import (
    LATE,
    NOISE,
    PROMPT,
    PositiveAlone,
    Setting,
    cfg_guider,
    noise_predictions,
    points,
    unchanged,
)
from sampling import cond
from torch import Tensor
from written_down import difference, written

BOUND = 1e-5


class Tiles(comfy.samplers.Sampler):
    """A sampler that evaluates the left and the right half of a picture each for itself."""

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, *args, **kwargs):
        options = {"model_options": extra_args["model_options"], "seed": 0}
        x, sigma = noise * sigmas[0], sigmas[0].expand(noise.shape[0])
        halves = (x[..., :8].contiguous(), x[..., 8:].contiguous())
        return torch.cat([model_wrap(half, sigma, **options) for half in halves], dim=-1)


def tiled(model: ModelPatcher) -> Tensor:
    """One evaluation in tiles, after the launch."""
    sampling = model.get_model_object("model_sampling")
    sigmas = torch.stack([sampling.sigma(torch.tensor(float(LATE))), torch.zeros(())])
    return cfg_guider(model).sample(NOISE, torch.zeros_like(NOISE), Tiles(), sigmas, seed=0)


@does_not_compose(
    "face regions and attention masks with a sampler that works on tiles",
    note="they are left out there, with a warning; the reference still counts",
)
@pytest.mark.parametrize("order", ["A", "AG", "GA"])
def test_tiles(order, setting: Setting, caplog):
    mask = torch.zeros(1, 128, 128)
    mask[:, 32:96, 32:96] = 1
    masked = replace(setting, options={"face_region": mask, "attention_mask": mask})
    expected = written(setting, unchanged, tiled, guided="G" in order)
    with caplog.at_level(logging.WARNING):
        assert difference(tiled(masked.guided(unchanged, order)), expected) < BOUND
    assert [record.getMessage() for record in caplog.records] == [
        "This sampling works on tiles (64 x 128 pixels of 128 x 128): face region and attention "
        "masks are left out, because they belong to the whole picture."
    ]


def one_at_a_time(model: ModelPatcher) -> ModelPatcher:
    """The UNet runs on each prompt for itself, and is not told which one it is."""

    def wrapper(apply_model, given):
        parts = zip(given["input"], given["timestep"], given["c"]["c_crossattn"], strict=True)
        return torch.cat(
            [
                apply_model(x[None], t[None], **{**given["c"], "c_crossattn": prompt[None]})
                for x, t, prompt in parts
            ]
        )

    clone = model.clone()
    clone.set_model_unet_function_wrapper(wrapper)
    return clone


def test_prompts_that_a_wrapper_mixes_up_are_refused(setting: Setting):
    at = points(setting, [LATE], NOISE)
    alike = setting.guided(one_at_a_time, "fA")
    assert noise_predictions(cfg_guider(alike), at).isfinite().all()
    with pytest.raises(
        ValueError, match="runs the UNet on 1 pictures at once, where 3 prompts of 1"
    ):
        noise_predictions(cfg_guider(setting.guided(one_at_a_time, "fAG")), at)


class OwnNames(PositiveAlone):
    """A guider that calls its prompt by a name of its own."""

    def predict_noise(self, x, timestep, model_options={}, seed=None):  # noqa: B006
        self.conds["positive"] = self.conds.pop("prompt")
        for entry in self.conds["positive"]:
            entry.pop("flashface_positive", None)
        try:
            return super().predict_noise(x, timestep, model_options, seed)
        finally:
            self.conds["prompt"] = self.conds.pop("positive")


@does_not_compose(
    "FlashFace Guidance with guiders that have no positive prompt",
    note="it has no effect there, with a warning that names KSampler and CFGGuider",
)
def test_a_guider_without_a_positive_prompt(setting: Setting, caplog):
    def predict(model: ModelPatcher) -> Tensor:
        guider = OwnNames(model)
        guider.inner_set_conds({"prompt": cond(PROMPT)})
        return noise_predictions(guider, points(setting, [LATE]))

    with caplog.at_level(logging.WARNING):
        found = predict(setting.guided(unchanged, "AG"))
    expected = written(setting, unchanged, predict, guided=False, strength=0.0)
    assert difference(found, expected) < BOUND
    assert [record.getMessage() for record in caplog.records] == [
        "FlashFace Guidance has no effect here: this sampler's guider never asked for the "
        "positive prompt. Use KSampler, or CFGGuider with SamplerCustomAdvanced."
    ]
