"""The third prediction: the positive prompt's twin, and what becomes of it.

The twin is appended after all conditionings that a guider asks for, runs in the same batch, and is
taken out again, so that guiders and other patches see y (no references) in the positive's place and
as many predictions as they expect. What it adds, c (r - y), is added to whatever they made of it.
"""

from typing import Any

from torch import Tensor

from ..guidance import add_reference_guidance, rescale
from .evaluation import Evaluation
from .run import Predictions, Run
from .state import COND_OR_UNCOND, POSITIVE, TWIN


def mark_positive(guider: Any) -> None:
    """Mark the conditionings of the guider's positive prompt, which are this sampling's own.

    Ids do not tell prompts apart: core gives each of them an entry for every area of the others,
    with the id of the entry that has the area.
    """
    for entry in guider.conds.get("positive") or ():
        entry[POSITIVE] = True


def positive_index(evaluation: Evaluation, conds: list, options: dict[str, Any]) -> int | None:
    """Return where the positive prompt is in a call, None where there is nothing to keep of it.

    By its mark, never by position. Only the first call with it counts: patches such as PAG ask for
    it again, for purposes of their own.
    """
    if evaluation.run.state.guidance is None or window_of(options) in evaluation.predictions:
        return None
    for index, entries in enumerate(conds):
        if entries and all(POSITIVE in entry for entry in entries):
            return index
    return None


def window_of(options: dict[str, Any]) -> Any:
    """Return what tells a call's context window from others, None without context windows."""
    window = options["transformer_options"].get("context_window")
    return None if window is None else tuple(window.index_list)


def run_with_twin(executor, evaluation: Evaluation, index: int, model, conds, x, timestep, options):
    """Run a call with the positive prompt's twin; keep y and r; return what was asked for."""
    run = evaluation.run
    twin = [{**entry, "uuid": run.twin_of(entry["uuid"])} for entry in conds[index]]
    shown = (len(conds), index)
    transformer_options = {**options["transformer_options"], TWIN: shown}
    _warn_of_nag(run, transformer_options)
    options = {**options, "transformer_options": transformer_options}
    if "model_function_wrapper" in options:
        options["model_function_wrapper"] = _show_as_positive(
            options["model_function_wrapper"], shown
        )
    out = executor(model, [*conds, twin], x, timestep, options)
    kept = Predictions(out[index].clone(), out[len(conds)], x)
    evaluation.predictions[window_of(options)] = kept
    return out[: len(conds)]


def hide_twin(options: dict[str, Any]) -> None:
    """Show other patches the twin as the positive; they index tables of two by cond_or_uncond."""
    shown = options.get(TWIN)
    if shown is not None and "cond_or_uncond" in options:
        options.setdefault(COND_OR_UNCOND, options["cond_or_uncond"])
        options["cond_or_uncond"] = _replaced(options["cond_or_uncond"], shown)


def finish(evaluation: Evaluation, out: Tensor, x: Tensor, sigma: Tensor, model, options) -> Tensor:
    """Add c (r - y) to a guider's denoised result, then rescale it as a noise prediction."""
    run, guidance = evaluation.run, evaluation.run.state.guidance
    if guidance is None:
        return out
    found = _fused(evaluation, x, sigma, model, options)
    if found is None and run.last is not None:
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


def _fused(evaluation: Evaluation, x: Tensor, sigma: Tensor, model, options) -> Predictions | None:
    """Return y and r of the whole latent; context windows' are fused as the handler fuses them."""
    predictions = evaluation.predictions
    if None in predictions or not predictions:
        return predictions.get(None)
    handler = options["context_handler"]
    entry = {"uuid": None, "model_conds": {}}

    def fuse(name: str) -> Tensor:
        def replay(_model, _conds, _x, _timestep, window_options):
            return [getattr(predictions[window_of(window_options)], name)]

        return handler.execute(replay, model, [[entry]], x, sigma, options)[0]

    has_twin = all(kept.r is not None for kept in predictions.values())
    return Predictions(fuse("y"), fuse("r") if has_twin else None, x)


def _show_as_positive(wrapper, shown: tuple[int, int]):
    def wrapped(apply_model, arguments):
        visible = _replaced(arguments["cond_or_uncond"], shown)
        transformer_options = dict(arguments["c"]["transformer_options"])
        hide_twin(transformer_options)
        c = {**arguments["c"], "transformer_options": transformer_options}
        return wrapper(apply_model, {**arguments, "c": c, "cond_or_uncond": visible})

    return wrapped


def _warn_of_nag(run: Run, options: dict[str, Any]) -> None:
    found = options.get("patches", {}).get("attn1_output_patch", ())
    if any(getattr(patch, "__module__", "").endswith("nodes_nag") for patch in found):
        run.warn_once(
            "FlashFace Guidance does not combine with NAG (Normalized Attention Guidance), which "
            "changes one prediction of each prompt only. Remove the NAG node, or set "
            "reference_guidance to 0."
        )


def _replaced(indices: list[int], shown: tuple[int, int]) -> list[int]:
    return [shown[1] if index == shown[0] else index for index in indices]
