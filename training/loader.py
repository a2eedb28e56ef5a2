"""Brings the batches of a run to its steps: drawn ahead by workers, and cut for each process."""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .course import Course
from .data import Batch, Sampler


def batches(
    sampler: Sampler, course: Course, with_references: bool, accelerator: Any, workers: int
) -> Iterator[Batch]:
    """This process's part of the batch of each step, until the course ends.

    workers: processes that draw ahead; what they draw does not depend on their number.
    """
    ranks = accelerator.process_index, accelerator.num_processes
    drawn = Drawn(sampler, with_references, *ranks, alone=bool(workers))
    if not workers:
        yield from (drawn[step] for step in course)
        return
    # A fork has the latents already; where there is none, as on Windows, workers are sent them.
    forks = "fork" in multiprocessing.get_all_start_methods()
    loader: Any = DataLoader(
        drawn, None, sampler=range(course.step, sys.maxsize), num_workers=workers,
        prefetch_factor=4, multiprocessing_context="fork" if forks else "spawn",
    )  # fmt: skip
    yield from (batch for _, batch in zip(course, loader, strict=False))


@dataclass(frozen=True)
class Drawn(Dataset):
    """A process's batches by their steps' numbers; can be pickled, for workers that are spawned.

    alone: whether torch is held to one thread, as it should be in a worker.
    """

    sampler: Sampler
    with_references: bool
    rank: int
    ranks: int
    alone: bool = False

    def __getitem__(self, step: int) -> Batch:
        if self.alone:
            torch.set_num_threads(1)
        return part_of(self.sampler.draw(step, self.with_references), self.rank, self.ranks)


def part_of(batch: Batch, rank: int, ranks: int) -> Batch:
    """The part of a batch that one of several processes works on; whole groups, as many in each.

    Raises ValueError where that cannot be: gradients are averaged as if parts were of one size.
    """
    whole = batch.latents if batch.references is None else batch.references
    if len(whole) % ranks or len(batch.latents) % ranks:
        raise ValueError(
            f"A batch of {len(batch.latents)} samples in {len(whole)} groups has no {ranks} "
            "equal parts: make `batch` / `share` a multiple of the number of processes."
        )

    def cut(tensor: Tensor) -> Tensor:
        return tensor[len(tensor) * rank // ranks : len(tensor) * (rank + 1) // ranks]

    kept = batch.reference_tokens
    return dataclasses.replace(_mapped(batch, cut), reference_tokens=kept)


def _mapped(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    changed: dict[str, Any] = {n: v if v is None else change(v) for n, v in values.items()}
    return Batch(**changed)
