"""The small face encoder: a crop to an embedding, f_id, and a map of 7 x 7 features, f_clip."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

NAME, MAP_NAME = "facesnap-small", "facesnap-small-map"
SIZE, GRID = 112, 7
SQUEEZED = 32  # channels that the embedding sees of every field


class _Block(nn.Module):
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
        y = F.relu(self.norm_one(self.one(x)))
        if self.short is not None:
            x = self.short(F.avg_pool2d(x, 2) if self.stride == 2 else x)
        return F.relu(self.norm_two(self.two(y)) + x)


class FaceEncoder(nn.Module):
    """Residual blocks at 1/2, 1/4, 1/8 and 1/16 of 112 pixels; two heads on the last."""

    def __init__(self, width: int = 32, dims: int = 128, map_width: int = 128) -> None:
        super().__init__()
        self.map_width = map_width
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        widths = (width, 2 * width, 4 * width, 4 * width)
        inside, stages = width, []
        for number, out in enumerate(widths):
            stages.append(_Block(inside, out, 2 if number else 1))
            inside = out
        self.stages = nn.Sequential(*stages)
        self.map = nn.Conv2d(inside, map_width, 1)
        self.squeeze = nn.Conv2d(inside, SQUEEZED, 1)
        self.embedding = nn.Linear(SQUEEZED * GRID * GRID, dims)
        self.embedding_norm = nn.BatchNorm1d(dims)

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> FaceEncoder:
        """An encoder of the sizes of weights, which are not taken."""
        width, dims = len(state["stem.0.weight"]), len(state["embedding.weight"])
        return cls(width, dims, len(state["map.weight"]))

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> FaceEncoder:
        """The encoder of weights, whose sizes say its own."""
        net = cls.like(state)
        net.load_state_dict(dict(state))
        return net.eval()

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, 112, 112), 0..1 -> embedding (B, dims), map (B, 49, map_width)."""
        grid = self.stages(self.stem(2 * crops - 1))
        embedding = self.embedding_norm(self.embedding(F.relu(self.squeeze(grid)).flatten(1)))
        return embedding, self.map(grid).flatten(2).transpose(1, 2)
