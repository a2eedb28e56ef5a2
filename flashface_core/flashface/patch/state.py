"""What a MODEL carries of FlashFace: one immutable object in its transformer_options.

clone() copies dicts and lists but shares objects, so every node puts a new State on its own clone
and no model that came before ever changes.

All names under which this room leaves something with ComfyUI, by how long it lives:

    key           where                    set by                  lives for
    KEY           transformer_options      Apply, Guidance         as long as the MODEL
    ADAPTER       additional models        Apply                   as long as the MODEL
    RUN           transformer_options      OUTER_SAMPLE            one sampling
    POSITIVE      entries of conditioning  PREDICT_NOISE           one sampling
    EVALUATION    transformer_options      PREDICT_NOISE           one evaluation
    INNERMOST     wrappers                 PREDICT_NOISE           one evaluation
    PLACED        model_conds              CALC_COND_BATCH         one evaluation
    APART         model_conds              CALC_COND_BATCH         one evaluation
    SHOWN         transformer_options      CALC_COND_BATCH         until others see the batch
    CALL          transformer_options      APPLY_MODEL             one call of the UNet
    SHARED        transformer_options      DIFFUSION_MODEL         one call of the UNet
    CAPTURED      extra_options            attn1_patch             one block, popped by its end
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..guidance import Guidance
from ..model import FlashFaceModel
from ..reference import Reference

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "flashface"
"""-> State."""
ADAPTER = "flashface"
"""-> [the adapter's ModelPatcher]."""
RUN = "flashface_run"
"""-> Run."""
POSITIVE = "flashface_positive"
"""-> True in all entries of the guider's positive prompt."""
EVALUATION = "flashface_evaluation"
"""-> Evaluation."""
INNERMOST = "flashface_innermost"
"""-> [the wrapper next to core's own function]."""
PLACED = "flashface_placed"
"""-> CONDPlaced; in the arguments of a UNet call Placed: region, masks and latent."""
APART = "flashface_apart"
"""-> True where the twin must not share a batch with the positive prompt: core batches conditioning
of the same keys only."""
SHOWN = "flashface_shown"
"""-> for each list of the call, the index under which other nodes are to know it."""
CALL = "flashface_call"
"""-> Call."""
SHARED = "flashface_shared_encoder"
"""-> SharedEncoder."""
CAPTURED = "flashface_y"
"""-> y = LayerNorm1(x), (B, L, C)."""


@dataclass(frozen=True, eq=False)
class AppliedReference:
    """One Apply FlashFace.

    region, attention_mask: (B, H, W) of any size, or None.
    """

    reference: Reference
    strength: float
    start_percent: float = 0.0
    end_percent: float = 1.0
    region: Tensor | None = None
    attention_mask: Tensor | None = None


@dataclass(frozen=True, eq=False)
class State:
    """All that was applied to a MODEL."""

    model: FlashFaceModel | None = None
    applied: tuple[AppliedReference, ...] = ()
    guidance: Guidance | None = None


def state_of(model_options: dict[str, Any]) -> State:
    """The State in a model's options, an empty one where there is none."""
    return model_options.get("transformer_options", {}).get(KEY) or State()


def set_state(patcher: ModelPatcher, state: State) -> None:
    """Put a State on a model that the caller has cloned."""
    patcher.model_options["transformer_options"][KEY] = state
