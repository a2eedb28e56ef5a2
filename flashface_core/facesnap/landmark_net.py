"""The network E_3d: a crop of a face to its shape, expression, pose and points.

Four stages of depthwise-separable residual blocks, a mean over the picture, and one linear head
that begins at the mean face seen from the front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .landmarks import COUNT

SIZE = 128
WIDTHS = (32, 64, 128, 256)
BLOCKS = 3
POOLED = 2  # fields a side that the head sees
FRONTAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SCALE = -1.2  # log of a usual eye distance in sides of the crop


class LandmarkNetOutput(NamedTuple):
    """Of B crops, lengths in sides of the crop, places from its middle.

    alpha: (B, K_s), beta: (B, K_e). rotation6: (B, 6), the first two rows of R. log_scale: (B,).
    shift: (B, 3). landmarks: (B, 72, 2).
    """

    alpha: Tensor
    beta: Tensor
    rotation6: Tensor
    log_scale: Tensor
    shift: Tensor
    landmarks: Tensor


class _Block(nn.Module):
    """A depthwise and a pointwise convolution beside a shortcut."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(inside, inside, 3, stride, 1, groups=inside, bias=False)
        self.spread_norm = nn.BatchNorm2d(inside)
        self.mix = nn.Conv2d(inside, out, 1, bias=False)
        self.mix_norm = nn.BatchNorm2d(out)
        same = inside == out and stride == 1
        self.stride = stride
        self.short = None if same else nn.Conv2d(inside, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix_norm(self.mix(F.relu(self.spread_norm(self.spread(x)))))
        if self.short is not None:
            x = F.avg_pool2d(x, 2) if self.stride == 2 else x
            x = self.short(x)
        return F.relu(x + y)


class LandmarkNet(nn.Module):
    """shapes, expressions: how many numbers of each it gives (K_s, K_e)."""

    def __init__(
        self, shapes: int, expressions: int, widths: Sequence[int] = WIDTHS, blocks: int = BLOCKS
    ) -> None:
        super().__init__()
        self.sizes = (shapes, expressions, len(FRONTAL), 1, 3, 2 * COUNT)
        first = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
        self.stem = nn.Sequential(first, nn.BatchNorm2d(widths[0]), nn.ReLU())
        stages, inside = [], widths[0]
        for width in widths:
            more = [_Block(width, width, 1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(_Block(inside, width, 2), *more))
            inside = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(inside * POOLED * POOLED, sum(self.sizes))
        nn.init.zeros_(self.head.weight)
        start = torch.zeros(sum(self.sizes))
        before = shapes + expressions
        start[before : before + 7] = torch.tensor([*FRONTAL, SCALE])
        self.head.bias.data.copy_(start)

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], shapes: int) -> LandmarkNet:
        """The network of weights; shapes: K_s of the landmark model beside it.

        Raises ValueError, TypeError, KeyError or RuntimeError for weights of no such network.
        """
        count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("stages."))
        blocks = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("stages."))
        if count * blocks > len(state):
            raise ValueError(f"{count} stages of {blocks} blocks in {len(state)} weights")
        widths = [len(state[f"stages.{i}.0.mix.weight"]) for i in range(count)]
        rest = len(state["head.bias"]) - len(FRONTAL) - 4 - 2 * COUNT - shapes
        with torch.device("meta"):  # no memory for what a file only claims to be
            net = cls(shapes, rest, widths, blocks)
        net.load_state_dict(dict(state), assign=True)
        return net.eval()

    def forward(self, crops: Tensor) -> LandmarkNetOutput:
        """Crops (B, 3, 128, 128), 0..1."""
        grid = self.stages(self.stem(2 * crops - 1))
        found = self.head(F.adaptive_avg_pool2d(grid, POOLED).flatten(1))
        alpha, beta, rotation6, log_scale, shift, points = found.split(self.sizes, 1)
        return LandmarkNetOutput(
            alpha, beta, rotation6, log_scale[:, 0], shift, points.unflatten(1, (COUNT, 2))
        )


def rotation_of(rotation6: Tensor) -> Tensor:
    """Rotations (B, 3, 3) whose first two rows are nearest to (B, 6), by Gram and Schmidt."""
    a, b = rotation6[:, :3], rotation6[:, 3:]
    first = F.normalize(a, dim=1)
    second = F.normalize(b - (first * b).sum(1, keepdim=True) * first, dim=1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], 1)
