"""The networks: one reads faces (an embedding and the renderer's numbers), one whole pictures.

ArcFace: the angle between an embedding and its own person's direction is made larger by a margin
before the softmax, so that people come to stand apart by more than they need to.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 2  # features are averaged over so many fields a side


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.two = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm_one, self.norm_two = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        same = inside == out and stride == 1
        self.stride = stride
        self.short = None if same else nn.Conv2d(inside, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, h, h) -> (B, out, h / stride, h / stride)."""
        y = F.relu(self.norm_one(self.one(x)))
        # A convolution of 1 x 1 with a stride would be the same, but oneDNN 3.10's gradient of it
        # writes past its memory: 8 to 16 channels, channels last, with AVX-512.
        short = x if self.short is None else self.short(x[..., :: self.stride, :: self.stride])
        return F.relu(self.norm_two(self.two(y)) + short)


class Trunk(nn.Sequential):
    """Residual blocks at 1/2, 1/4, 1/8 and 1/16 of a picture: (B, 3, S, S) -> (B, features)."""

    def __init__(self, width: int, blocks: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        inside = width
        for stage in range(4):
            for number in range(blocks if stage else 1):
                out, stride = width << stage, 2 if stage and not number else 1
                layers.append(Block(inside, out, stride))
                inside = out
        super().__init__(*layers, nn.AdaptiveAvgPool2d(GRID), nn.Flatten())
        self.features = inside * GRID * GRID


class FaceNet(nn.Module):
    """Who: a unit embedding, and the renderer's numbers; two heads on one trunk.

    mean, spread: (K,), of the numbers of those whom it was trained on.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int, blocks: int, dims: int, numbers: int) -> None:
        super().__init__()
        self.trunk = Trunk(width, blocks)
        self.embedding = nn.Sequential(nn.Linear(self.trunk.features, dims), nn.BatchNorm1d(dims))
        self.numbers = nn.Linear(self.trunk.features, numbers)
        self.register_buffer("mean", torch.zeros(numbers))
        self.register_buffer("spread", torch.ones(numbers))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, S, S), 0..1 -> (B, dims) unit vectors, (B, K) numbers in deviations."""
        features = self.trunk(2 * crops - 1)
        return F.normalize(self.embedding(features).float(), dim=1), self.numbers(features).float()


class PictureNet(nn.Module):
    """What: a number for each class of each attribute."""

    def __init__(self, width: int, blocks: int, counts: list[int]) -> None:
        super().__init__()
        self.counts = counts
        self.trunk = Trunk(width, blocks)
        self.heads = nn.Linear(self.trunk.features, sum(counts))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (B, 3, S, S), 0..1 -> for each attribute (B, its classes)."""
        return self.heads(self.trunk(2 * pictures - 1)).float().split(self.counts, 1)


def arcface(cosines: Tensor, owners: Tensor, margin: float, scale: float) -> Tensor:
    """The loss of cosines (B, people) to each person's direction; owners (B,) say whose it is."""
    own = cosines.gather(1, owners.unsqueeze(1)).clamp(-1 + 1e-6, 1 - 1e-6)
    turned = torch.cos(torch.acos(own) + margin)
    # Beyond pi the cosine would rise again: from there on a straight line falls.
    straight = own - margin * math.sin(margin)
    shifted = torch.where(own > -math.cos(margin), turned, straight)
    return F.cross_entropy(scale * cosines.scatter(1, owners.unsqueeze(1), shifted), owners)
