"""Wrappers around ComfyUI's sampling, from the outside in.

OUTER_SAMPLE computes reference features before sampling starts; PREPARE_SAMPLING tells the memory
estimate of our extra cost; PREDICT_NOISE opens an evaluation; CALC_COND_BATCH sends region and
masks along as conditioning, which core crops for areas and repeats for batches; APPLY_MODEL takes
them out.
"""

import math
from typing import Any

import comfy.conds
import comfy.utils
import torch

from ..checkpoint.layout import feature_size
from . import branches
from .evaluation import CALL, EVALUATION, Call, Evaluation
from .run import Run
from .state import State, state_of

RUN = "flashface_run"
REGION = "flashface_region"
MASK = "flashface_mask_{}"
MODELS = "flashface"

MEMORY_FACTOR = 1.25
"""Captured y, its projections, and keys and values with references beside those of a plain UNet."""


def outer_sample(executor, noise, latent_image, sampler, sigmas, *args, **kwargs):
    """Run ReferenceNet ahead, for all scheduled timesteps that no earlier run left behind."""
    guider = executor.class_obj
    run = Run(state_of(guider.model_options), guider.model_patcher, noise.shape)
    run.prepare(sigmas)
    guider.model_options["transformer_options"][RUN] = run
    return executor(noise, latent_image, sampler, sigmas, *args, **kwargs)


def prepare_sampling(executor, model, noise_shape, conds, *args, **kwargs):
    """Scale the first memory estimate, made before the model's object patches are in place.

    By the height: core estimates from the picture's area, for two branches.
    """
    state = state_of(model.model_options)
    wanted = model.object_patches.get("memory_usage_factor", model.model.memory_usage_factor)
    scale = wanted / model.model.memory_usage_factor
    if state.guidance and state.guidance.schedule.reference_guidance:
        scale *= 1.5
    *others, height, width = noise_shape
    line = model.model.memory_required([2 * noise_shape[0], *others[1:], 1, width])
    height = math.ceil(height * scale + _reference_memory(model, state) / line - 1e-6)
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
    evaluation = Evaluation(run, float(timestep.flatten()[0]), x.device)
    options[EVALUATION] = evaluation
    model_options = {**model_options, "transformer_options": options}
    out = executor(x, timestep, model_options, seed)
    return branches.finish(evaluation, out, x, timestep, guider.inner_model, model_options)


def calc_cond_batch(executor, model, conds, x_in, timestep, model_options):
    """Give every conditioning the region and the masks; run the twin where there is one."""
    evaluation = model_options.get("transformer_options", {}).get(EVALUATION)
    if evaluation is None:
        return executor(model, conds, x_in, timestep, model_options)
    evaluation.samples = x_in.shape[0]
    extra = _masks(evaluation, x_in, model_options["transformer_options"].get("context_window"))
    if extra:
        conds = [_with(entries, extra) for entries in conds]
    index = branches.positive_index(evaluation, conds, model_options)
    if index is not None and evaluation.plan.twin:
        return branches.run_with_twin(
            executor, evaluation, index, model, conds, x_in, timestep, model_options
        )
    out = executor(model, conds, x_in, timestep, model_options)
    if index is not None:
        window = branches.window_of(model_options)
        evaluation.predictions[window] = (out[index].clone(), None)
    return out


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
    state: State = state_of({"transformer_options": options})
    evaluation = options.get(EVALUATION)
    region = _fitting(evaluation, kwargs.pop(REGION, None), x)
    names = {index: MASK.format(index) for index in range(len(state.applied))}
    found = {i: _fitting(evaluation, kwargs.pop(name, None), x) for i, name in names.items()}
    masks = {index: mask for index, mask in found.items() if mask is not None}
    adapters = executor.class_obj.current_patcher.get_additional_models_with_key(MODELS)
    if adapters:
        rows = _rows_with_references(evaluation, options.get("uuids"), x)
        options[CALL] = Call(adapters[0].model, evaluation, rows, region, masks)
    branches.hide_twin(options)
    return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)


def _fitting(
    evaluation: Evaluation | None, mask: torch.Tensor | None, x: torch.Tensor
) -> torch.Tensor | None:
    """A mask of this UNet call's samples; None where another node cut them into tiles."""
    size = (x.shape[-2], x.shape[-1])
    if mask is None or (mask.shape[0], *mask.shape[-2:]) == (x.shape[0], *size):
        return mask
    if evaluation is not None:
        evaluation.run.warn_of_tiles(size)
    return None


def _rows_with_references(evaluation, uuids, x: torch.Tensor) -> torch.Tensor | None:
    """Indices of the samples that see the references, None for all."""
    if evaluation is None or not evaluation.plan.twin:
        return None
    chunks = [evaluation.run.is_twin(uuid) for uuid in uuids]
    if all(chunks):
        return None
    samples = evaluation.samples_of(len(chunks), x.shape[0])
    if samples is None:
        raise ValueError(
            f"FlashFace Guidance cannot tell the prompts apart: another node runs the UNet on "
            f"{x.shape[0]} pictures at once, where {len(chunks)} prompts of {evaluation.samples} "
            "were asked for. Remove the node that splits the batch, or set reference_guidance to 0."
        )
    rows = samples[[index for index, twin in enumerate(chunks) if twin]].flatten()
    return rows.to(x.device, non_blocking=True)


def _masks(evaluation: Evaluation, x: torch.Tensor, window: Any) -> dict[str, Any]:
    """Region and attention masks of all that is applied, as conditioning entries.

    window: core's context window that x is a part of, or None.
    """
    run = evaluation.run

    def placed(mask: torch.Tensor, mode: str) -> torch.Tensor | None:
        if window is None or run.latent_size is None:
            return run.mask(mask, (x.shape[-2], x.shape[-1]), mode, x)
        return _in_window(run.mask(mask, run.latent_size, mode, x), window)

    extra: dict[str, Any] = {}
    region = None
    for index, entry in enumerate(run.state.applied):
        if entry.region is not None:
            # Every 8th pixel, as the authors. One channel serves all: a face wherever any wants
            # one.
            mask = placed(entry.region, "nearest")
            if mask is not None:
                region = mask if region is None else _union(region, mask)
        if entry.attention_mask is not None:
            mask = placed(entry.attention_mask, "area")
            if mask is not None:
                extra[MASK.format(index)] = comfy.conds.CONDNoiseShape(mask)
    if region is not None:
        extra[REGION] = comfy.conds.CONDNoiseShape(region)
    return extra


def _in_window(mask: torch.Tensor | None, window: Any) -> torch.Tensor | None:
    """What a context window of frames, rows or columns shows of a mask (B, 1, h, w)."""
    if mask is not None and window.dim == 0 and mask.shape[0] > 1:
        mask = comfy.utils.repeat_to_batch_size(mask, window.total_frames)
    return None if mask is None else window.get_tensor(mask)


def _union(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    size = max(a.shape[0], b.shape[0])
    a, b = (comfy.utils.repeat_to_batch_size(mask, size) for mask in (a, b))
    return torch.maximum(a, b)


def _with(entries: list[dict] | None, extra: dict[str, Any]) -> list[dict] | None:
    if entries is None:
        return None
    return [{**entry, "model_conds": {**entry["model_conds"], **extra}} for entry in entries]
