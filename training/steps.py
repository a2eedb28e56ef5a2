"""What a step draws and how far it moves, as functions of its number; averages of weights."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

    Net = TypeVar("Net", bound=torch.nn.Module)


def random_of(*numbers: int) -> np.random.Generator:
    """Random numbers that belong to (seed, stage, step, ...), whatever was drawn before."""
    return np.random.default_rng(numbers)


def torch_random_of(*numbers: int) -> torch.Generator:
    """The same for tensors, on the CPU: noise does not depend on the device."""
    import torch

    return torch.Generator().manual_seed(int(random_of(*numbers).integers(2**62)))


def learning_rate(step: int, done: float, start: float, end: float, warmup: int) -> float:
    """Linear warm-up over steps, then half a cosine from `start` to `end`; done: 0 to 1 of it."""
    rising = min(1.0, (step + 1) / max(warmup, 1))
    falling = 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return rising * (end + (start - end) * falling)


def make_average(net: Net) -> Net:
    """A copy of a network that will follow its weights; its buffers are the network's own."""
    shared = {id(buffer): buffer for buffer in net.buffers()}
    return copy.deepcopy(net, shared).eval().requires_grad_(False)


def follow(average: torch.nn.Module, net: torch.nn.Module, step: int, decay: float) -> None:
    """Move the average towards the network; quicker at first, when there is little to average."""
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    # Modules that two networks share are listed once; state_dict would have them twice.
    own: list[torch.Tensor] = list(average.parameters())
    theirs: list[torch.Tensor] = list(net.parameters())
    get_ema_multi_avg_fn(min(decay, (step + 1) / (step + 10)))(own, theirs, 0)
