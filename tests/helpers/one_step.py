"""One step's gradients, in one process or in two of which the second was started for it.

A module of its own, that names nothing of ComfyUI until it knows where that is: a started process
imports it before anything else.
"""

from __future__ import annotations

import dataclasses
import json
import os
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from training import host


def gradients(rank: int, ranks: int, folder: str) -> None:
    """The gradients of one step, averaged over ranks, into a file of rank 0's.

    Several processes write into a file each, too, what they agreed on; see `_agreed`.
    """
    host.enter()
    from tiny_training import tiny_flashface, tiny_latents

    from training import data, flashface, loader, stage, text
    from training.config import Stage

    torch.set_num_threads(1)
    none = np.array(text.tokenize(""))
    own = Stage(batch=8, share=2, snr=5.0, head_weight=2.0)
    batch = data.Sampler(tiny_latents(4, 6), own, 0, none).draw(3, with_references=True)
    # In float64, where the order of sums does not show.
    names = ("latents", "noise", "region", "heads", "references")
    exact = {name: getattr(batch, name).double() for name in names}
    batch = loader.part_of(dataclasses.replace(batch, **exact), rank, ranks)
    model: torch.nn.Module = text.Captioned(tiny_flashface(), text.Words(none.tolist())).double()
    net = model
    if ranks > 1:
        store = f"file://{folder}/store"
        torch.distributed.init_process_group(
            "gloo", store, timedelta(minutes=5), world_size=ranks, rank=rank
        )
        model = DistributedDataParallel(model)
    given = batch.tensors()
    predicted = model(**flashface.inputs_of(given))
    stage.loss_of(predicted, given, own).backward()
    if ranks > 1:
        Path(folder, f"agreed-{rank}.json").write_text(json.dumps(_agreed(rank, ranks)))
    if rank == 0:
        torch.save({n: p.grad for n, p in net.named_parameters()}, f"{folder}/{ranks}.pt")
    if ranks > 1:
        torch.distributed.destroy_process_group()


def _agreed(rank: int, ranks: int) -> tuple[float, bool]:
    """What processes agree on of which each is as far as its number, and the last is to stop."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    from training import stage

    ours = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks}
    # Its state is one for all of a process, which has been alone before and will be again.
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        with patch.dict(os.environ, {name: str(number) for name, number in ours.items()}):
            agree = stage.agreed(Accelerator(cpu=True))
        return agree(0.25 + rank / ranks, rank == ranks - 1)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
