"""The course of a stage: which steps it takes, at what rate, and what is noted of them.

A stage ends after `steps` steps. With `minutes` set it ends by the clock instead, and the learning
rate falls by the clock too: for machines that are lent for a while. Such a run is not repeated bit
by bit; what a step sees is a function of its number all the same. Of several processes the first
one's clock is everybody's: with clocks of their own they would learn at rates of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from . import checkpoint, record
from .config import Config
from .steps import learning_rate

Agree = Callable[[float, bool], tuple[float, bool]]


class Lasting(Protocol):
    """What the settings of every stage say about its length and rate."""

    steps: int
    minutes: float
    batch: int
    lr: float
    lr_end: float
    warmup: int


class Course:
    """The steps of a stage, from where `state` says that it was left.

    own: the stage's settings. main: whether this process shows and notes anything. agree: makes one
    of all processes' answers (how much of the stage is behind, whether to stop); see
    `stage.agreed`.
    """

    def __init__(
        self,
        config: Config,
        own: Any,
        folder: Path,
        state: dict[str, Any] | None,
        main: bool = True,
        agree: Agree = lambda done, stop: (done, stop),
    ) -> None:
        from tqdm import tqdm

        self.config, self.folder, self.main, self.agree = config, folder, main, agree
        self.own: Lasting = own
        self.step: int = state["step"] if state else 0
        self.spent: float = state.get("seconds", 0.0) if state else 0.0
        self.began = self.lap = time.monotonic()
        self.stop = checkpoint.stop_asked()
        self.losses: list[Tensor] = []
        self.done, _ = agree(self._done(), False)
        """How much of the stage is behind, 0 to 1."""
        self.finished = self.last = self.done >= 1
        if main:
            record.open_run(folder, config)
            record.forget_after(folder, self.step)
        self.bar = tqdm(total=own.steps, initial=self.step, unit="step", mininterval=2,
                        disable=not main)  # fmt: skip

    def __iter__(self) -> Iterator[int]:
        """The number of each step to take; the body ends with `note`."""
        while not self.last:
            yield self.step

    @property
    def seconds(self) -> float:
        """What the stage has taken, earlier starts included."""
        return self.spent + time.monotonic() - self.began

    def _done(self) -> float:
        if self.own.minutes:
            return min(self.seconds / (60 * self.own.minutes), 1.0)
        return min(self.step / max(self.own.steps, 1), 1.0)

    @property
    def rate(self) -> float:
        """The learning rate of the step to take."""
        own = self.own
        return learning_rate(self.step, self.done, own.lr, own.lr_end, own.warmup)

    def note(self, loss: Tensor) -> None:
        """Count a step that was taken, with its loss, and decide whether it was the last."""
        self.step += 1
        self.losses.append(loss.detach())
        # Asked once a step: two answers could differ, and a stop between them would save nothing.
        self.done, stop = self.agree(self._done(), self.stop())
        self.finished = self.done >= 1
        self.last = self.finished or stop
        self.bar.update()
        if self.main and self.step % self.config.log_every == 0:
            mean = float(torch.stack(self.losses).mean())
            seconds = time.monotonic() - self.lap
            rate = len(self.losses) * self.own.batch / seconds
            record.note(self.folder, self.step, loss=mean, samples_per_second=rate)
            self.bar.set_postfix(loss=f"{mean:.4f}")
            self.begin_lap()

    @property
    def measures(self) -> bool:
        """Whether held-out people are to be looked at now."""
        due = self.step % self.config.sample_every == 0
        return self.main and (due or self.finished)

    @property
    def saves(self) -> bool:
        """Whether the state is to be saved now."""
        due = self.step % self.config.save_every == 0
        return self.main and (due or self.last)

    def begin_lap(self) -> None:
        """Begin to count samples a second anew: what was done since is no training."""
        self.losses, self.lap = [], time.monotonic()
