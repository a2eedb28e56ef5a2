"""Training steps as CUDA graphs: recorded once for each set of shapes, then replayed.

A step of a small network is thousands of kernels of some microseconds; to start them one by one
from Python takes several times as long as they take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_UP = 3
"""Runs before the recording, with a learning rate of nothing: libraries choose kernels in them."""

Step = Callable[[dict[str, Tensor]], Tensor]


class Replayed:
    """A step of named tensors to a loss; what it changes (weights, optimiser) it changes in place.

    Every shape must be known before: nothing in `step` may wait for the device. rates: as
    `rates_of` gives them.
    """

    def __init__(self, step: Step, rates: list[Tensor], device: torch.device | str) -> None:
        self.step, self.rates, self.device = step, rates, device
        self.recorded: dict[Any, tuple[torch.cuda.CUDAGraph, dict[str, Tensor], Tensor]] = {}
        self.pool: Any = None

    def __call__(self, given: dict[str, Tensor]) -> Tensor:
        """Take the step; the loss is a tensor of its own on the device."""
        shapes = tuple((name, tuple(tensor.shape)) for name, tensor in sorted(given.items()))
        if shapes not in self.recorded:
            self.recorded[shapes] = self._record(given)
        graph, inputs, loss = self.recorded[shapes]
        for name, tensor in given.items():
            inputs[name].copy_(tensor)
        graph.replay()
        return loss.clone()

    def _record(self, given: dict[str, Tensor]) -> tuple[torch.cuda.CUDAGraph, Any, Tensor]:
        inputs = {name: tensor.to(self.device).clone() for name, tensor in given.items()}
        kept = [rate.clone() for rate in self.rates]
        for rate in self.rates:
            rate.zero_()
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                self.step(inputs)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            loss = self.step(inputs)
        self.pool = self.pool or graph.pool()
        for rate, value in zip(self.rates, kept, strict=True):
            rate.copy_(value)
        return graph, inputs, loss


def rates_of(optimizer: torch.optim.Optimizer, device: torch.device | str) -> list[Tensor]:
    """The learning rates of an optimiser's groups, made tensors that graphs read anew each time."""
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
    for state in optimizer.state.values():
        if isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].to(device)
    return [group["lr"] for group in optimizer.param_groups]


def plain_rates(optimizer: torch.optim.Optimizer) -> None:
    """Undo `rates_of` for a state that was saved with it, which a CPU could not go on from."""
    for group in optimizer.param_groups:
        group["capturable"], group["lr"] = False, float(group["lr"])


def set_rates(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rates of the coming step: `rate`, or a group's share of it."""
    for group in optimizer.param_groups:
        own = rate * group.get("share", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(own)
        else:
            group["lr"] = own
