"""Wrappers around ComfyUI's sampling, from the outside in.

OUTER_SAMPLE computes reference features before sampling starts; PREPARE_SAMPLING tells the memory
estimate of our extra cost; PREDICT_NOISE opens an evaluation; CALC_COND_BATCH sends region and
masks along as conditioning and runs the twin; APPLY_MODEL takes out what came along and hands the
patches what they need. Nothing of the last two is on the MODEL: packs walk over what is there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ..checkpoint.layout import feature_size
from . import blocks, branches, masks
from .evaluation import Call, Evaluation
from .run import Predictions, Run
from .state import ADAPTER, APART, CALL, EVALUATION, INNERMOST, KEY, RUN, SHOWN, State, state_of

MEMORY_FACTOR = 1.25
"""Captured y, its projections, and keys and values with references beside those of a plain UNet."""

BRANCHES = 3 / 2
"""Predictions of a guided step to those that core's estimate counts, positive and negative."""

ROUNDING = 1e-6
"""What float64 may add to a height that is whole, so that it is not rounded up by one."""


def outer_sample(executor, noise, latent_image, sampler, sigmas, *args, **kwargs):
    """Run ReferenceNet ahead, for all scheduled timesteps that no earlier run left behind."""
    guider = executor.class_obj
    run = Run(state_of(guider.model_options), guider.model_patcher, noise.shape)
    run.prepare(sigmas)
    guider.model_options["transformer_options"][RUN] = run
    return executor(noise, latent_image, sampler, sigmas, *args, **kwargs)


def prepare_sampling(executor, model, noise_shape, conds, *args, **kwargs):
    """Scale the first memory estimate, made before the model's object patches are in place.

    Core derives it from a shape, so we give it a taller picture: as many times as tall as our
    step needs more memory, and by the references' tokens in lines of that picture.
    """
    state = state_of(model.model_options)
    wanted = model.object_patches.get("memory_usage_factor", model.model.memory_usage_factor)
    scale = wanted / model.model.memory_usage_factor
    if state.guidance and state.guidance.schedule.reference_guidance:
        scale *= BRANCHES
    *others, height, width = noise_shape
    line = model.model.memory_required([2 * noise_shape[0], *others[1:], 1, width])
    height = math.ceil(height * scale + _reference_memory(model, state) / line - ROUNDING)
    return executor(model, torch.Size([*others, height, width]), conds, *args, **kwargs)


def _reference_memory(model, state: State) -> float:
    """Bytes of all references' keys and values in one evaluation."""
    if state.model is None:
        return 0.0
    pixels = sum(
        identity.latents[:, 0].numel()
        for applied in state.applied
        for identity in applied.reference.identities
    )
    itemsize = torch.empty((), dtype=model.model.get_dtype_inference()).element_size()
    return 2 * pixels * feature_size(state.model.sizes) * itemsize


def predict_noise(executor, x, timestep, model_options=None, seed=None):
    """Open the evaluation that all patches of this step read, and finish the guidance after it."""
    guider, model_options = executor.class_obj, model_options or {}
    options = dict(model_options.get("transformer_options", {}))
    run = options.get(RUN)
    if run is None:  # a sampling that did not come through the guider's own sample()
        run = Run(state_of(model_options), guider.model_patcher, None)
    branches.mark_positive(guider)
    evaluation = Evaluation(run, float(timestep.flatten()[0]), x)
    options[EVALUATION] = evaluation
    options["wrappers"] = _around_all_others(options.get("wrappers", {}))
    model_options = {**model_options, "transformer_options": options}
    out = executor(x, timestep, model_options, seed)
    return branches.finish(evaluation, out, x, timestep, guider.inner_model, model_options)


def _around_all_others(wrappers: dict[Any, dict]) -> dict[Any, dict]:
    """Wrappers with ours outside and inside of all others' around a batch of conditioning.

    Whoever cuts a batch into windows does it between them, whichever node came first.
    """
    kind = WrappersMP.CALC_COND_BATCH
    made = {KEY: [calc_cond_batch], **wrappers.get(kind, {}), INNERMOST: [count_samples]}
    return {**wrappers, kind: made}


def calc_cond_batch(executor, model, conds, x_in, timestep, model_options):
    """Give every conditioning the region and the masks; run the twin where there is one."""
    options = model_options["transformer_options"]
    evaluation: Evaluation = options[EVALUATION]
    part = branches.part_of_call(evaluation, x_in, options)
    window = branches.window_of_call(model_options)
    conds = masks.with_masks(conds, evaluation, x_in, part, window)
    key = branches.key_of_call(part, options)
    index = branches.positive_index(evaluation, conds, key)
    if index is not None and evaluation.plan.twin:
        return branches.run_with_twin(
            executor, evaluation, index, key, model, conds, x_in, timestep, model_options
        )
    out = executor(model, conds, x_in, timestep, model_options)
    if index is not None:
        evaluation.predictions[key] = Predictions(out[index].clone(), None, x_in)
    return out


def count_samples(executor, model, conds, x_in, timestep, model_options):
    """Note how many samples each conditioning has in the calls of the UNet that follow."""
    options = model_options["transformer_options"]
    evaluation: Evaluation = options[EVALUATION]
    evaluation.samples = x_in.shape[0]
    evaluation.wrapped = "model_function_wrapper" in model_options
    if SHOWN in options:
        conds = branches.shown_to_controls(conds)
    return executor(model, conds, x_in, timestep, model_options)


def apply_model(
    executor,
    x,
    t,
    c_concat=None,
    c_crossattn=None,
    control=None,
    transformer_options=None,
    **kwargs,
):
    """Hand the patches of this UNet call what they share, and take our conditioning out again."""
    options = dict(transformer_options or {})
    evaluation: Evaluation | None = options.get(EVALUATION)
    region, attention_masks = masks.taken_out(evaluation, kwargs, x)
    kwargs.pop(APART, None)
    adapters = executor.class_obj.current_patcher.get_additional_models_with_key(ADAPTER)
    if adapters:
        rows = _rows_with_references(evaluation, options.get("uuids"), x)
        options[CALL] = Call(adapters[0].model, evaluation, rows, region, attention_masks)
        options["patches"] = blocks.beside(options.get("patches", {}))
    branches.hide_twin(options)
    return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)


def _rows_with_references(
    evaluation: Evaluation | None, uuids: Any, x: torch.Tensor
) -> torch.Tensor | None:
    """Indices of the samples that see the references, None for all."""
    if evaluation is None or not evaluation.plan.twin:
        return None
    if not uuids:  # a batch that somebody put together by hand: no twin is in it
        return torch.empty(0, dtype=torch.long, device=x.device)
    chunks = [evaluation.run.is_twin(uuid) for uuid in uuids]
    if all(chunks):
        return None
    samples = evaluation.samples_of(len(chunks), x.shape[0])
    if samples is None or not _beside_their_positives(evaluation, uuids, samples, x):
        raise ValueError(
            f"FlashFace Guidance cannot tell the prompts apart: another node runs the UNet on "
            f"{x.shape[0]} pictures at once, where {len(chunks)} prompts of {evaluation.samples} "
            "were asked for. Remove the node that splits the batch, or set reference_guidance to 0."
        )
    rows = samples[[index for index, twin in enumerate(chunks) if twin]].flatten()
    return rows.to(x.device, non_blocking=True)


def _beside_their_positives(
    evaluation: Evaluation, uuids: Any, samples: torch.Tensor, x: torch.Tensor
) -> bool:
    """Whether twins show what their positives do; tiles may be in another order than ours."""
    if x.shape[0] == len(uuids) * evaluation.samples:
        return True
    twins = {uuid: index for index, uuid in enumerate(uuids) if evaluation.run.is_twin(uuid)}
    return all(
        torch.equal(x[samples[index]], x[samples[twins[twin]]])
        for index, uuid in enumerate(uuids)
        if uuid not in twins and (twin := evaluation.run.twin_of(uuid)) in twins
    )
