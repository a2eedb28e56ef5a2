"""Trains the network of `flashface_core.faces.detection.face_net` on scenes of drawn people.

The loss is focal loss over cells (Lin et al. 2017, gamma 2) and the distance of the boxes of those
that hold a face's middle. Batch norm is folded into the convolutions when the weights are written.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from flashface_core.faces.detection.face_net import HIGH, REACH, STRIDE, STRIDES, WIDE

from .scenes import LARGEST, SMALLEST, Scenes

log = logging.getLogger(__name__)

# Channels and kernel; depthwise ones where no channels are given.
SHAPE = ((16, 3), (0, 3), (24, 1), (0, 3), (32, 1), (0, 3), (48, 1))
SHAPE += ((0, 5), (112, 1), (0, 3), (112, 1), (0, 5), (128, 1))
BATCH, RATE, WARM_UP = 48, 3e-3, 200
CENTRE, AROUND, BEYOND = 0.2, 0.45, 1.25  # of a box: its middle; what is left out; sizes left out
BOXES, POSITIVE = 1.0, 0.4  # weights in the loss


def network() -> nn.Sequential:
    """Convolutions with batch norm and ReLU, and a last one to score and box."""
    parts: list[nn.Module] = []
    before = 3
    for (channels, kernel), stride in zip(SHAPE, STRIDES, strict=False):
        after, groups = (channels, 1) if channels else (before, before)
        conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        parts += [conv, nn.BatchNorm2d(after), nn.ReLU()]
        before = after
    last = nn.Conv2d(before, 5, 1)
    assert last.bias is not None
    nn.init.constant_(last.bias[:1], -4.0)  # hardly any cell holds a face
    return nn.Sequential(*parts, last)


def train(folders: list[Path], out: Path, steps: int, seed: int, threads: int) -> None:
    """Train for that many steps and write the weights; also on the way, every 500."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    loader = DataLoader(
        Scenes(folders, BATCH, seed),
        batch_size=None,
        num_workers=1,
        multiprocessing_context="spawn",
        prefetch_factor=4,
    )
    net = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.01)
    began, mean = time.monotonic(), np.zeros(2)
    for step, (pictures, boxes) in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / WARM_UP) * (1 + math.cos(math.pi * step / steps)) / 2
        found = net(pictures.to(memory_format=torch.channels_last).float() / 127.5 - 1)
        scores, places = losses(found, boxes)
        optimizer.zero_grad()
        (scores + BOXES * places).backward()
        optimizer.step()
        mean += (scores.item(), places.item())
        if step % 100 == 99:
            log.info("%d: %s, %.0f s", step + 1, (mean / 100).round(4), time.monotonic() - began)
            mean[:] = 0
        if step % 500 == 499 or step + 1 == steps:
            save(net, out)
        if step + 1 == steps:
            break


def losses(found: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Of scores and of boxes; found: (B, 5, h, w), boxes: (B, n, 4)."""
    wanted, weight, places = targets(boxes, found.shape[-1])
    logits = found[:, 0]
    plain = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    sure = logits.sigmoid()
    wrong = wanted * (1 - sure) + (1 - wanted) * sure
    side = wanted * POSITIVE + (1 - wanted) * (1 - POSITIVE)
    count = wanted.sum().clamp(min=1)
    scores = (plain * wrong.square() * side * weight).sum() / count
    error = F.smooth_l1_loss(found[:, 1:], places, reduction="none", beta=0.1).sum(1)
    return scores, (error * wanted).sum() / count


def targets(boxes: Tensor, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """What each cell should say: score and its weight (B, h, w), box (B, 4, h, w)."""
    spots = (torch.arange(cells) + 0.5) * STRIDE
    x, y = spots[None, None, None, :], spots[None, None, :, None]
    left, top, right, low = (boxes[..., i, None, None] for i in range(4))
    wide, high = right - left, low - top
    dx, dy = (left + right) / 2 - x, (top + low) / 2 - y
    size = (wide * high).sqrt()
    fits = (size >= SMALLEST) & (size <= LARGEST)
    nearly = (size >= SMALLEST / BEYOND) & (size <= LARGEST * BEYOND)
    near = (dx.abs() <= (CENTRE * wide).clamp(min=STRIDE / 2)) & (
        dy.abs() <= (CENTRE * high).clamp(min=STRIDE / 2)
    )
    around = (dx.abs() <= AROUND * wide) & (dy.abs() <= AROUND * high)
    hit = near & fits  # (B, n, h, w)
    wanted = hit.any(1).float()
    weight = ((wanted > 0) | ~(around & nearly).any(1)).float()
    shape = hit.shape
    numbers = torch.stack(
        [
            (dx / REACH).expand(shape),
            (dy / REACH).expand(shape),
            (wide / WIDE).log().expand(shape),
            (high / HIGH).log().expand(shape),
        ],
        2,
    )
    which = hit.float().argmax(1)[:, None, None].expand(-1, 1, 4, -1, -1)
    places = numbers.gather(1, which)[:, 0]
    return wanted, weight, torch.where(wanted[:, None] > 0, places, 0.0)


def save(net: nn.Sequential, out: Path) -> None:
    """Write the convolutions with their batch norms folded in, as fp16."""
    arrays: dict[str, np.ndarray] = {}
    norms = [part for part in net if isinstance(part, nn.BatchNorm2d)]
    for i, conv in enumerate(part for part in net if isinstance(part, nn.Conv2d)):
        weight = conv.weight.detach()
        bias = torch.zeros(len(weight)) if conv.bias is None else conv.bias.detach()
        if i < len(norms):  # all but the last
            mean, spread = norms[i].running_mean, norms[i].running_var
            assert mean is not None and spread is not None
            gain = norms[i].weight.detach() / (spread + norms[i].eps).sqrt()
            weight = weight * gain[:, None, None, None]
            bias = norms[i].bias.detach() - mean * gain
        arrays[f"{i:02d}.weight"] = weight.contiguous().numpy().astype(np.float16)
        arrays[f"{i:02d}.bias"] = bias.numpy().astype(np.float16)
    half = out.with_name(out.name + ".half")
    with half.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    half.replace(out)
