"""One training loop for FaceSnap's networks, which differ in what a step draws and what it costs.

What a step draws is a function of its number, so that a run that was stopped goes on bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import checkpoint, host, record
from ..course import Course
from ..replay import Replayed, plain_rates, rates_of, set_rates
from ..steps import follow, make_average
from .settings import FaceSnapConfig, Part

Drawn = Callable[[int], dict[str, Tensor]]
Loss = Callable[[dict[str, Tensor]], Tensor]


def fit(
    net: nn.Module,
    config: FaceSnapConfig,
    own: Part,
    folder: Path,
    drawn: Drawn,
    loss_of: Loss,
    measure: Callable[[nn.Module], dict[str, Any]] | None = None,
) -> nn.Module:
    """Train a network that is on its device; the average of its weights.

    drawn: the tensors of a step, on the CPU. loss_of: their loss by `net`. measure: held-out
    figures of an average, which are noted. Only parameters that want a gradient are trained.
    """
    host.start(config.threads)
    state = checkpoint.load_state(folder)
    average = make_average(net)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    device = trained[0].device
    optimizer = torch.optim.AdamW(trained, own.lr, weight_decay=own.weight_decay,
                                  fused=device.type == "cuda")  # fmt: skip
    if state is not None:
        net.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        plain_rates(optimizer)
    course: Any = Course(config, own, folder, state)  # type: ignore[arg-type]
    del state

    def step(given: dict[str, Tensor]) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, config.precision == "bf16"):
            loss = loss_of(given)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, own.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    def there(tensor: Tensor) -> Tensor:
        if device.type != "cuda":
            return tensor.to(device)
        return tensor.pin_memory().to(device, non_blocking=True)  # waits for no step before

    take: Any = step
    if config.replay and device.type == "cuda":
        take = Replayed(step, rates_of(optimizer, device), device)
    net.train()
    for number in course:
        set_rates(optimizer, course.rate)
        given = {name: there(tensor) for name, tensor in drawn(number).items()}
        loss = take(given)
        follow(average, net, number, own.ema)
        course.note(loss)
        if course.measures and measure is not None:
            record.note(folder, course.step, **measure(average))
            course.begin_lap()
        if course.saves:
            state = {"step": course.step, "seconds": course.seconds, "model": net.state_dict()}
            state |= {"average": average.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save_state(folder, course.step, state, config.keep_every)
            course.begin_lap()
    net.eval()
    if not course.finished:
        raise KeyboardInterrupt(f"{folder.name} was stopped after {course.step} steps.")
    return average
