"""Trains the small face encoder: ArcFace over the people, the renderer's numbers beside it.

Its embedding is f_id, its map of 7 x 7 is f_clip: the general and the specific features.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flashface_core.facesnap.encoder import FaceEncoder

from .. import checkpoint
from ..judges.measures import auc, nearest_right, pairs_of
from ..steps import random_of
from .loop import fit
from .pairs import People
from .photos import Photos
from .settings import ENCODER, FaceSnapConfig, run_folder
from .views import aligned, misplaced, planes, worse

EXPORT = "encoder.safetensors"
STAGE = 12  # of the random numbers
WHOLE_MARGIN = 1500  # steps until the margin is there in full


class WithPeople(nn.Module):
    """The encoder, the people's directions and a head for the renderer's numbers."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: FaceSnapConfig, people: int, numbers: Tensor) -> None:
        super().__init__()
        own = config.encoder
        self.encoder = FaceEncoder(own.width, own.dims)
        self.directions = nn.Parameter(torch.randn(people, own.dims))
        self.numbers = nn.Linear(self.encoder.map_width, numbers.shape[1])
        self.register_buffer("mean", numbers.mean(0))
        self.register_buffer("spread", numbers.std(0).clamp(min=1e-3))


def train(config: FaceSnapConfig, photos: Photos, held_out: Photos) -> Path:
    """Train the encoder and write it; its path."""
    run, own = run_folder(config), config.encoder
    torch.manual_seed(config.seed)
    owners = photos.owners()
    net = WithPeople(config, int(owners.max()) + 1, photos.numbers).to(config.device)
    pictures, five = photos.pictures.to(config.device), photos.five.to(config.device)
    mean, spread = net.mean, net.spread
    wanted = (photos.numbers.to(config.device) - mean) / spread
    whose, people = owners.to(config.device), People(owners)

    def drawn(step: int) -> dict[str, Tensor]:
        random = random_of(config.seed, STAGE, step)
        return {
            "rows": torch.from_numpy(people.draw(random, own.batch)),
            "numbers": torch.from_numpy(random.random((own.batch, 12), "float32")),
            "moves": torch.from_numpy(random.standard_normal((own.batch, 13), "float32")),
            "margin": torch.tensor(own.margin * min(1.0, step / WHOLE_MARGIN)),
        }

    def loss_of(given: dict[str, Tensor]) -> Tensor:
        rows = given["rows"]
        crops = aligned(planes(pictures[rows]), misplaced(five[rows], given["moves"]))
        embedding, grid = net.encoder(worse(crops, given["numbers"]))
        directions = F.normalize(net.directions, dim=1)
        # In bf16 the margin would be lost, and autocast takes products there.
        cosines = (F.normalize(embedding.float(), dim=1) @ directions.T).float()
        who = arcface_of(cosines, whose[rows], given["margin"], own.scale)
        said = net.numbers(grid.mean(1)).float()
        return who + own.numbers * (said - wanted[rows]).square().mean()

    def of(average: Any) -> dict[str, float]:
        return measure(average.encoder, held_out, config.device)

    average: Any = fit(net, config, own, run / ENCODER, drawn, loss_of, of)
    encoder = average.encoder
    figures = measure(encoder, held_out, config.device)
    (run / ENCODER / "report.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    checkpoint.write_tensors(run / EXPORT, encoder.state_dict(), {})
    return run / EXPORT


def arcface_of(cosines: Tensor, owners: Tensor, margin: Tensor, scale: float) -> Tensor:
    """`judges.nets.arcface` with a margin that is a tensor, which CUDA graphs read anew."""
    own = cosines.gather(1, owners.unsqueeze(1)).clamp(-1 + 1e-6, 1 - 1e-6)
    turned = torch.cos(torch.acos(own) + margin)
    straight = own - margin * torch.sin(margin)
    shifted = torch.where(own > -torch.cos(margin), turned, straight)
    return F.cross_entropy(scale * cosines.scatter(1, owners.unsqueeze(1), shifted), owners)


def load_encoder(config: FaceSnapConfig) -> FaceEncoder:
    """The trained encoder of a run, frozen, on the run's device."""
    from safetensors.torch import load_file

    path = run_folder(config) / EXPORT
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}: run the stage {ENCODER} first.")
    net = FaceEncoder.from_state(load_file(path))
    return net.to(config.device).eval().requires_grad_(False)


@torch.no_grad()
def read(
    encoder: FaceEncoder, photos: Photos, device: str, moves: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) and maps (N, 49, W) of photos' faces, on the device.

    moves: (N, 13), how their five points are misplaced; None for not at all.
    """
    found = []
    for rows in torch.arange(len(photos)).split(256):
        five = photos.five[rows] if moves is None else misplaced(photos.five[rows], moves[rows])
        found.append(encoder(aligned(planes(photos.pictures[rows].to(device)), five.to(device))))
    embeddings, maps = zip(*found, strict=True)
    return torch.cat(embeddings).float(), torch.cat(maps).float()


def measure(encoder: FaceEncoder, photos: Photos, device: str) -> dict[str, float]:
    """How well held-out people are told apart."""
    embeddings = read(encoder, photos, device)[0].cpu()
    cosines, _, same = pairs_of(embeddings, photos.people)
    return {
        "auc": auc(cosines[same], cosines[~same]),
        "nearest_is_right": nearest_right(embeddings, photos.people),
        "people": float(len(photos.people.unique())),
    }
