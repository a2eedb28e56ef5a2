"""One evaluation of the model: its references' keys and values, and what one UNet call needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..attention import ReferenceAttention, ReferenceTokens
from ..referencenet import block_name
from .plan import Active
from .run import Predictions, Run

if TYPE_CHECKING:
    from ..model import Adapter


class Evaluation:
    """What belongs to one sigma.

    x: the noisy latent, (B, C, h, w). Projected tokens are kept, so that a block's are made once a
    step. predictions: what tells a call's part of x -> y and r. samples: of each conditioning in
    the present call of the UNet. wrapped: whether a function wrapper stands before that call.
    """

    def __init__(self, run: Run, sigma: float, x: Tensor):
        self.run, self.x = run, x
        self.plan = run.plan(sigma)
        self.samples = 1
        self.wrapped = False
        # Before the UNet runs: a sampler's sigma between the scheduled ones runs ReferenceNet here,
        # and features are copied while the device, which was waited for, has nothing else to do.
        self.features = {
            active.identity: {
                block: feature.to(x.device, non_blocking=True)
                for block, feature in run.features(active.identity, self.plan.timestep).items()
            }
            for active in self.plan.active
        }
        self.predictions: dict[Any, Predictions] = {}
        self._projected: dict[Any, tuple[Tensor, Tensor, Tensor | None]] = {}

    def tokens(
        self, active: Active, block: str, attention: ReferenceAttention, like: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """An identity's keys, values and logit bias at a block, on the device of `like`."""
        identity = active.identity
        # Not by the identity: somebody may be there twice, under two weights.
        key = (id(identity.features), identity.log_weights, block, like.device, like.dtype)
        if key not in self._projected:
            features = self.features[identity][block]
            bias = None
            if any(identity.log_weights):
                each = torch.tensor(identity.log_weights, dtype=like.dtype)
                bias = each.repeat_interleave(features.shape[1])
                bias = bias.to(like.device, non_blocking=True)
            features = features.to(like.device, like.dtype, non_blocking=True)
            self._projected[key] = (*attention.project(features), bias)
        return self._projected[key]

    def samples_of(self, conditionings: int, total: int) -> Tensor | None:
        """The indices of each conditioning's samples in a UNet call, (conditionings, n).

        Core's batch holds the samples of one conditioning after those of another; wrappers that cut
        it into tiles stack such batches. None for a batch of another kind.
        """
        batch = conditionings * self.samples
        if total % batch:
            return None
        return torch.arange(total).view(-1, conditionings, self.samples).movedim(1, 0).flatten(1)


@dataclass
class Call:
    """What the patches of one UNet call share.

    rows: indices of the samples that see the references, None for all, an empty one for none.
    region: (B, 1, h, w) or None. masks: index of the Apply -> (B, 1, h, w).
    """

    adapter: Adapter
    evaluation: Evaluation | None
    rows: Tensor | None
    region: Tensor | None
    masks: dict[int, Tensor]

    def term(self, y: Tensor, options: dict[str, Any]) -> Tensor | None:
        """What reference attention adds to x in the block of these options."""
        block = block_name(options["block"])
        attention = self.adapter.attention(block)
        if attention is None:
            return None
        references = []
        if self.evaluation is not None and (self.rows is None or self.rows.numel()):
            for active in self.evaluation.plan.active:
                tokens = self.evaluation.tokens(active, block, attention, y)
                references.append(ReferenceTokens(*tokens, self._gain(active, y, options)))
        return attention(y, references, self.rows, options)

    def region_term(self, h: Tensor) -> Tensor | None:
        """What the region adds after the first convolution, (B, width, h, w)."""
        if self.region is None or self.region.shape[-2:] != h.shape[-2:]:
            return None
        return self.adapter.mask_conv(self.region.to(h.dtype))

    def _gain(self, active: Active, y: Tensor, options: dict[str, Any]) -> float | Tensor:
        mask = self.masks.get(active.applied)
        if mask is None:
            return active.strength
        size = options["activations_shape"][-2:]
        grid = torch.nn.functional.interpolate(mask, size, mode="area").flatten(2).movedim(1, 2)
        rows = grid if self.rows is None else grid[self.rows]
        return active.strength * rows.to(y.dtype)
