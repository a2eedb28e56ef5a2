"""The twin shares the positive's encoder: a UNet's input blocks have no reference attention.

Same latent, same prompt, same timestep: until the middle block both samples are the same numbers,
so the input blocks run on one of them, and their results serve both. Whatever else looks into the
encoder sees all samples, as without FlashFace: then nothing is shared.

An example: a batch of three chunks (conditionings), u, y and its twin r, of 2 pictures each,
is six rows (samples). Chunk 2 has the encoder of chunk 1, its source:

    row       0   1   2   3   4   5
    is        u0  u1  y0  y1  r0  r1
    sources of the chunks        [0, 1, 1]
    keep      0   1   2   3                  rows of the chunks that are their own source
    spread    0   1   2   3   2   3          where in `keep` each row finds its encoder
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from . import blocks, others
from .evaluation import Call
from .state import CALL, SHARED


@dataclass(frozen=True)
class SharedEncoder:
    """keep: rows that the encoder runs on, (K,). spread: each row's place among these, (B,).

    last: the number of the last input block.
    """

    keep: Tensor
    spread: Tensor
    last: int


@torch.compiler.disable
def widen(h: Tensor, options: dict[str, Any]) -> Tensor:
    """input_block_patch, the last of them: all samples, for the skip connection."""
    return h[options[SHARED].spread]


@torch.compiler.disable
def narrow(h: Tensor, options: dict[str, Any]) -> Tensor:
    """input_block_patch_after_skip: the samples kept, for the next input block."""
    shared: SharedEncoder = options[SHARED]
    return h if options["block"] == ("input", shared.last) else h[shared.keep]


@torch.compiler.disable
def widen_context(n: Tensor, context: Tensor, value: Tensor | None, options: dict[str, Any]):
    """attn2_patch: the prompts of all samples, behind the encoder."""
    if options["block"][0] == "input":
        return n, context, value
    spread = options[SHARED].spread
    return n, context[spread], None if value is None else value[spread]


def diffusion_model(
    executor,
    x: Tensor,
    timesteps: Tensor,
    context: Tensor,
    y: Tensor | None = None,
    control: dict | None = None,
    transformer_options: dict[str, Any] | None = None,
    **kwargs,
):
    """Run the UNet, its encoder on one sample of each pair."""
    options: dict[str, Any] = transformer_options if transformer_options is not None else {}
    shared = None
    # A compiled UNet is traced with all samples alike: what is shared differs from step to step.
    if not torch.compiler.is_compiling() and y is None and not kwargs:
        shared = _shared(executor.class_obj, x, control, options)
    if shared is not None and _own_timesteps(timesteps, options):
        shared = None
    if shared is None:
        return executor(x, timesteps, context, y, control, options, **kwargs)
    options = _with_patches(options, shared)
    # A single timestep fits both numbers of samples.
    return executor(x[shared.keep], timesteps[:1], context[shared.keep], y, control, options)


def _own_timesteps(timesteps: Tensor, options: dict) -> bool:
    """Whether a function wrapper gave the pictures timesteps of their own; core never does.

    Asked only where there is one: the host would wait for the device in every call of the UNet.
    """
    evaluation = options[CALL].evaluation
    if timesteps.is_meta:  # shapes alone are computed, as to know what memory a call takes
        return False
    return evaluation.wrapped and not bool((timesteps == timesteps[:1]).all())


def _shared(unet: Any, x: Tensor, control: dict | None, options: dict) -> SharedEncoder | None:
    call: Call | None = options.get(CALL)
    if call is None or call.evaluation is None or not call.evaluation.plan.twin:
        return None
    if call.rows is None or not call.rows.numel():
        return None  # twins alone, or none at all
    if others.look_into_encoder(blocks.OWN, diffusion_model, control, options):
        return None
    if call.evaluation.run.replaces_parts() or others.replace_encoder(unet):
        return None
    sources = _sources(call, options)
    if sources is None:
        return None
    rows = call.evaluation.samples_of(len(sources), x.shape[0])  # (chunks, samples of each)
    if rows is None:
        return None
    keep = rows[[chunk for chunk, source in enumerate(sources) if chunk == source]].flatten()
    place = torch.empty(x.shape[0], dtype=torch.long)  # row -> its place in keep
    place[keep] = torch.arange(len(keep))
    spread = torch.empty_like(place)
    spread[rows] = place[rows[sources]]
    return SharedEncoder(
        keep.to(x.device, non_blocking=True),
        spread.to(x.device, non_blocking=True),
        len(unet.input_blocks) - 1,
    )


def _sources(call: Call, options: dict[str, Any]) -> list[int] | None:
    """For each chunk of the batch, the one whose encoder it has; None without a pair."""
    assert call.evaluation is not None
    run = call.evaluation.run
    chunks = list(zip(options["cond_or_uncond"], options["uuids"], strict=True))
    twins = [run.is_twin(uuid) for _, uuid in chunks]
    # Ids alone do not tell prompts apart (see branches.mark_positive); the twin passes for one of
    # the positive prompt.
    originals = {
        (which, run.twin_of(uuid)): index
        for index, (which, uuid) in enumerate(chunks)
        if not twins[index]
    }
    sources = [
        originals.get(chunk) if is_twin else index
        for index, (chunk, is_twin) in enumerate(zip(chunks, twins, strict=True))
    ]
    if any(twins) and None not in sources:
        return [source for source in sources if source is not None]
    return None


def _with_patches(options: dict[str, Any], shared: SharedEncoder) -> dict[str, Any]:
    call: Call = options[CALL]
    if call.region is not None:
        call = replace(call, region=call.region[shared.keep])
    patches = dict(options.get("patches", {}))
    for kind, patch in (
        ("input_block_patch", widen),
        ("input_block_patch_after_skip", narrow),
        ("attn2_patch", widen_context),
    ):
        patches[kind] = [*patches.get(kind, ()), patch]
    return {**options, CALL: call, SHARED: shared, "patches": patches}
