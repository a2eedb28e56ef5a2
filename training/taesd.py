"""An autoencoder in TAESD's format, which ComfyUI's VAELoader reads, for pictures of people.

TAESD's block relu(conv(x) + x) is the identity where its convolutions are zero and x is not
negative. Blocks at full size, and all but a few at half size, are left out while training and
written as zeros: the same numbers for a third of the work. "Upsample, then convolve" runs as four
2 x 2 convolutions of the small picture, which is exact too, for 4/9 of the work.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 64
LATENT_SCALE = 0.18215
"""What ComfyUI multiplies SD1.5's latents with; `vae_scale` in the file undoes it."""


class Block(nn.Module):
    """TAESD's residual block, with its names."""

    def __init__(self) -> None:
        super().__init__()
        first, middle, last = (nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.conv = nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), last)

    @property
    def last(self) -> nn.Conv2d:
        """The convolution that decides how much the block adds."""
        layer = self.conv[4]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) + x)


class Up(nn.Module):
    """Twice the size by repetition, then a 3 x 3 convolution, computed at the small size."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(WIDTH, WIDTH, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        found = F.conv2d(x, self._kernels(), padding=1).unflatten(1, (2, 2, WIDTH))
        # Each phase was computed at one place too many: before the first pixel or after the last.
        rows = [found[:, i, :, :, i : i + height] for i in (0, 1)]
        phases = [rows[i][:, j, ..., j : j + width] for i in (0, 1) for j in (0, 1)]
        return F.pixel_shuffle(torch.stack(phases, 2).flatten(1, 2), 2)

    def _kernels(self) -> Tensor:
        """2 x 2 kernels of the small picture for the four pixels that one of its pixels becomes.

        Taps -1 | 0 1 of an even pixel fall on the small pixel before and on its own, taps
        -1 0 | 1 of an odd one on its own and on the one after.
        """
        first, middle, last = self.weight.unbind(-2)
        rows = (torch.stack([first, middle + last], -2), torch.stack([first + middle, last], -2))
        phases = []
        for row in rows:
            first, middle, last = row.unbind(-1)
            phases.append(torch.stack([first, middle + last], -1))
            phases.append(torch.stack([first + middle, last], -1))
        return torch.cat(phases)


class Centre(nn.Module):
    """Latents of mean 0 and deviation 1 a channel, by running figures that are written along."""

    mean: Tensor
    std: Tensor
    seen: Tensor

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def set_from(self, z: Tensor) -> None:
        """Take the figures of some latents (B, C, h, w) instead of those that ran along."""
        self.mean.copy_(z.mean((0, 2, 3)))
        self.std.copy_(z.std((0, 2, 3)))
        self.seen.fill_(1)

    def forward(self, z: Tensor) -> Tensor:
        z = z.float()
        if self.training:
            with torch.no_grad():
                share = torch.where(self.seen > 0, 0.02, 1.0)
                self.mean.lerp_(z.mean((0, 2, 3)), share)
                self.std.lerp_(z.std((0, 2, 3)), share)
                self.seen.fill_(1)
        return (z - self.mean[:, None, None]) / self.std[:, None, None]


class Clamp(nn.Module):
    """TAESD's soft limit of latents."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(z / 3) * 3


class Autoencoder(nn.Module):
    """Encoder and decoder with TAESD's names, and the figures of their latents between them.

    half_blocks: how many of the three blocks at half size are trained. What a block that is left
    out leaves behind is a ReLU.
    """

    def __init__(self, half_blocks: int) -> None:
        super().__init__()
        self.half_blocks = half_blocks
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, WIDTH, 3, padding=1), *_blocks(0, 1), _down()),
            *(*_blocks(half_blocks, 3), _down(), *_blocks(3, 3), _down(), *_blocks(3, 3)),
            nn.Conv2d(WIDTH, 4, 3, padding=1),
        )
        self.centre = Centre()
        self.decoder = nn.Sequential(
            *(Clamp(), nn.Conv2d(4, WIDTH, 3, padding=1), nn.ReLU(), *_blocks(3, 3)),
            *(nn.Identity(), Up(), *_blocks(3, 3), nn.Identity(), Up(), *_blocks(half_blocks, 3)),
            *(nn.Identity(), Up(), *_blocks(0, 1), nn.Conv2d(WIDTH, 3, 3, padding=1)),
        )
        _initialise(self)

    def encode(self, pictures: Tensor) -> Tensor:
        """Unit latents (B, 4, h, w) of pictures (B, 3, 8h, 8w), 0..1."""
        return self.centre(self.encoder(pictures))

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, 8h, 8w), 0..1 but for what overshoots, of unit latents."""
        return self.decoder(latents)


def _blocks(kept: int, of: int) -> list[nn.Module]:
    return [*(Block() for _ in range(kept)), *(nn.ReLU() for _ in range(of - kept))]


def _down() -> nn.Module:
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=2, bias=False)


def _initialise(net: Autoencoder) -> None:
    """Keep the size of what passes through; blocks begin as identities, pictures as grey."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | Up):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    for module in net.modules():
        if isinstance(module, Block):
            nn.init.zeros_(module.last.weight)
    last = net.decoder[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    nn.init.kaiming_normal_(last.weight, a=10)
    nn.init.constant_(last.bias, 0.5)


def as_taesd(net: Autoencoder) -> dict[str, Tensor]:
    """All tensors of TAESD's file: blocks left out as zeros, the latents' scale in the weights."""
    tensors = {}
    for part, layers in (("encoder", net.encoder), ("decoder", net.decoder)):
        for name, tensor in layers.state_dict().items():
            tensors[f"taesd_{part}.{name}"] = tensor
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.ReLU) and not (part == "decoder" and index == 2):
                for conv in (0, 2, 4):
                    name = f"taesd_{part}.{index}.conv.{conv}"
                    tensors[f"{name}.weight"] = torch.zeros(WIDTH, WIDTH, 3, 3)
                    tensors[f"{name}.bias"] = torch.zeros(WIDTH)
    mean, std = net.centre.mean, net.centre.std
    last = f"taesd_encoder.{len(net.encoder) - 1}"
    tensors[f"{last}.weight"] = tensors[f"{last}.weight"] / std[:, None, None, None]
    tensors[f"{last}.bias"] = (tensors[f"{last}.bias"] - mean) / std
    tensors["vae_scale"] = torch.tensor(LATENT_SCALE)
    tensors["vae_shift"] = torch.tensor(0.0)
    return tensors
