"""What a MODEL carries of FlashFace: one immutable object in its transformer_options.

clone() copies dicts and lists but shares objects, so every node puts a new State on its own clone
and no model that came before ever changes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..guidance import Guidance
from ..model import FlashFaceModel
from ..reference import Reference

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

KEY = "flashface"


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
    """Return the State in a model's options, an empty one where there is none."""
    return model_options.get("transformer_options", {}).get(KEY) or State()


def set_state(patcher: "ModelPatcher", state: State) -> None:
    """Put a State on a model that the caller has cloned."""
    patcher.model_options["transformer_options"][KEY] = state
