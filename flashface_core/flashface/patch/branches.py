"""The third prediction: the positive prompt's twin, and what becomes of it.

The twin runs beside the positive prompt, in the same batch, and is taken out again, so that guiders
and other patches see y (no references) in the positive's place and as many predictions as they
expect. What it adds, c (r - y), is added to whatever they made of it.

Core builds a batch from the last list to the first, so that [positive, twin, negative] becomes
cond_or_uncond [2, 1, 0], shown to others as [1, 0, 0]: every kind in one run, as they count on.
Where that is not enough (others.Company), twins get a batch of their own.
"""

from __future__ import annotations

import functools
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ..guidance import add_reference_guidance, rescale
from . import others
from .evaluation import Evaluation
from .masks import Window, with_entry
from .parts import Part, part_of
from .run import Predictions, Run
from .state import APART, POSITIVE, SHOWN


def mark_positive(guider: Any) -> None:
    """Mark the conditionings of the guider's positive prompt, which are this sampling's own.

    Ids do not tell prompts apart: core gives each of them an entry for every area of the others,
    with the id of the entry that has the area.
    """
    for entry in guider.conds.get("positive") or ():
        entry[POSITIVE] = True


def part_of_call(evaluation: Evaluation, x: Tensor, options: dict[str, Any]) -> Part | None:
    """Which part of the evaluation's latent a call is about; None under core's windows."""
    if options.get("context_window") is not None:
        return None
    return part_of(x, evaluation.x, options, _parts(evaluation))


def _parts(evaluation: Evaluation) -> list[Part]:
    return [key for key in evaluation.predictions if isinstance(key, Part)]


def window_of_call(model_options: dict[str, Any]) -> Window | None:
    """What cuts a tensor (B, C, h, w) as core's context window cuts the latent, None without one.

    Places that the handler retains show other frames than their own, in newer ComfyUI.
    """
    window = model_options["transformer_options"].get("context_window")
    if window is None:
        return None
    retained = getattr(model_options.get("context_handler"), "latent_retain_index_list", [])
    return functools.partial(window.get_tensor, retain_index_list=retained)


def key_of_call(part: Part | None, options: dict[str, Any]) -> Any:
    """What tells a call's part of the latent from others."""
    window = options.get("context_window")
    return part if window is None else tuple(window.index_list)


def positive_index(evaluation: Evaluation, conds: list, key: Any) -> int | None:
    """Where the positive prompt is in a call, None where there is nothing to keep of it.

    By its mark, never by position. Only the first call with it counts: patches such as PAG ask for
    it again, for purposes of their own. key: of the call's part of the latent.
    """
    if evaluation.run.state.guidance is None or key in evaluation.predictions:
        return None
    if isinstance(key, Part) and not key.sure:
        same_place = (part.frames for part in _parts(evaluation) if part.place == key.place)
        if set().union(*same_place).issuperset(key.frames):
            return None
    for index, entries in enumerate(conds):
        if entries and all(POSITIVE in entry for entry in entries):
            return index
    return None


def run_with_twin(
    executor, evaluation: Evaluation, index: int, key: Any, model, conds, x, timestep, options
):
    """Run a call with the positive prompt's twin; keep y and r; return what was asked for."""
    lists, shown = _with_twin(evaluation.run, conds, index, options["transformer_options"])
    transformer_options = {**options["transformer_options"], SHOWN: shown}
    options = {**options, "transformer_options": transformer_options}
    if "model_function_wrapper" in options:
        options["model_function_wrapper"] = _shown_to(options["model_function_wrapper"])
    out = executor(model, lists, x, timestep, options)
    twin = index + 1
    evaluation.predictions[key] = Predictions(out[index].clone(), out[twin], x)
    return [*out[:twin], *out[twin + 1 : len(conds) + 1]]


def _with_twin(
    run: Run, conds: list, index: int, options: dict[str, Any]
) -> tuple[list, tuple[int, ...]]:
    """All lists with the twin behind the positive, and under which index each is shown."""
    company = others.company_of_twin(options, conds[index])
    twin = [{**entry, "uuid": run.twin_of(entry["uuid"])} for entry in conds[index]]
    copies = []
    if company is not others.Company.ALL:
        apart = {APART: comfy.conds.CONDConstant(True)}
        twin = with_entry(twin, apart)
        if company is others.Company.COPIES:
            copies = [
                (which, with_entry(_copied(run, entries), apart))
                for which, entries in enumerate(conds)
                if entries is not None and which != index
            ]
    rest = range(index + 1, len(conds))
    lists = [*conds[: index + 1], twin, *conds[index + 1 :], *(entries for _, entries in copies)]
    shown = (*range(index + 1), index, *rest, *(which for which, _ in copies))
    return lists, shown


def _copied(run: Run, entries: list[dict]) -> list[dict]:
    return [{**entry, "uuid": run.copy_of(entry["uuid"])} for entry in entries]


def hide_twin(options: dict[str, Any]) -> None:
    """Show other patches the twin as the positive; they index tables of two by cond_or_uncond.

    Once: who is shown the batch is also the one who calls the UNet with it.
    """
    shown = options.pop(SHOWN, None)
    if shown is not None and "cond_or_uncond" in options:
        options["cond_or_uncond"] = [shown[index] for index in options["cond_or_uncond"]]


class _ShownControl:
    """A ControlNet that is shown the batch without the twin; core asks it before the UNet."""

    def __init__(self, control: Any):
        self._control = control

    def __getattr__(self, name: str) -> Any:
        if name == "_control":  # while a copy is made there is none yet
            raise AttributeError(name)
        return getattr(self._control, name)

    def get_control(self, x, t, cond, batched_number, options):
        hide_twin(options)
        return self._control.get_control(x, t, cond, batched_number, options)

    def get_instance_for_device(self, device) -> _ShownControl:
        return _ShownControl(self._control.get_instance_for_device(device))


def shown_to_controls(conds: list) -> list:
    """All conditionings with ControlNets that know the twin as the positive."""
    made: dict[int, _ShownControl] = {}  # core batches conditioning of one and the same object

    def shown(entry: dict) -> dict:
        control = entry.get("control")
        if control is None:
            return entry
        return {**entry, "control": made.setdefault(id(control), _ShownControl(control))}

    return [entries and [shown(entry) for entry in entries] for entries in conds]


def finish(evaluation: Evaluation, out: Tensor, x: Tensor, sigma: Tensor, model, options) -> Tensor:
    """Add c (r - y) to a guider's denoised result, then rescale it as a noise prediction."""
    run, guidance = evaluation.run, evaluation.run.state.guidance
    if guidance is None:
        return out
    found = _fused(evaluation, sigma, model, options)
    if found is None and run.last is not None and run.last.x.shape == x.shape:
        found = run.last.moved_to(x)
    if found is None:
        run.warn_once(
            "FlashFace Guidance has no effect here: this sampler's guider never asked for the "
            "positive prompt. Use KSampler, or CFGGuider with SamplerCustomAdvanced."
        )
        return out
    run.last = found
    if evaluation.plan.twin and found.r is not None:
        out = add_reference_guidance(out, found.y, found.r, evaluation.plan.guidance)
    # x - out is the noise times sigma, which the ratio of two standard deviations does not feel.
    return out if guidance.rescale == 0 else x - rescale(x - out, x - found.y, guidance.rescale)


def _fused(evaluation: Evaluation, sigma: Tensor, model, options) -> Predictions | None:
    """y and r of the whole latent, None where not all of it was asked for."""
    predictions, x = evaluation.predictions, evaluation.x
    if not predictions:
        return None
    has_twin = all(kept.r is not None for kept in predictions.values())
    if any(isinstance(key, Part) for key in predictions):
        y = _joined(predictions, "y", x)
        r = _joined(predictions, "r", x) if has_twin else None
        return None if y is None else Predictions(y, r, x)
    handler = options.get("context_handler")
    if handler is None or None in predictions:
        return None
    entry = {"uuid": None, "model_conds": {}}

    def fuse(name: str) -> Tensor:
        """As the handler of core's context windows fuses them."""

        def replay(_model, _conds, _x, _timestep, window_options):
            window = key_of_call(None, window_options["transformer_options"])
            return [getattr(predictions[window], name)]

        return handler.execute(replay, model, [[entry]], x, sigma, options)[0]

    return Predictions(fuse("y"), fuse("r") if has_twin else None, x)


def _joined(predictions: dict[Any, Predictions], name: str, x: Tensor) -> Tensor | None:
    """Put parts together; where they overlap, their mean. None where some of x is in none."""
    parts = [(key, getattr(kept, name)) for key, kept in predictions.items()]
    if len(parts) == 1 and parts[0][1].shape == x.shape:
        return parts[0][1]
    total, count = torch.zeros_like(x), torch.zeros_like(x)
    for part, found in parts:
        if part is None:
            return None
        height, width = found.shape[-2:]
        rows = slice(part.top, part.top + height)
        columns = slice(part.left, part.left + width)
        for frame, prediction in zip(part.frames, found, strict=True):
            total[frame, :, rows, columns] += prediction
            count[frame, :, rows, columns] += 1
    return total / count if bool((count > 0).all()) else None


def _shown_to(wrapper):
    def wrapped(apply_model, arguments):
        options = dict(arguments["c"]["transformer_options"])
        hide_twin(options)
        c = {**arguments["c"], "transformer_options": options}
        shown = options["cond_or_uncond"]
        return wrapper(apply_model, {**arguments, "c": c, "cond_or_uncond": shown})

    return wrapped
