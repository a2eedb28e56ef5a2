"""Trains the network that reads a face's shape, expression, pose and points from a crop.

The loss per picture, in distances d of the eyes:
    |L - L*|/d (eyes and lips twice) + 0.1 (|α - α*|² + |β - β*|²)/K + |R - R*|
    + |L_swap - L_swap*|/d
where L_swap has α of one picture, β and pose of another: of the same person and of another one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flashface_core.facesnap.landmark_model import LandmarkModel
from flashface_core.facesnap.landmark_net import LandmarkNet, LandmarkNetOutput, rotation_of
from flashface_core.facesnap.landmarks import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE

from .. import checkpoint
from ..steps import random_of
from .loop import fit
from .pairs import People
from .photos import Photos
from .settings import LANDMARKS, FaceSnapConfig, run_folder
from .shapes import Truth, fit_landmark_model, truth_of
from .views import planes, sampled, square, worse

EXPORT = "facesnap-landmarks.safetensors"
CROP, AROUND = 128, 1.3
STAGE = 11  # of the random numbers
JITTER = 0.1  # of the square's side
SCALES = (0.85, 1.4)  # of the square: detectors' boxes are larger than the renderer's by a tenth
WORDS = {
    "landmarks": "72.1",
    "data": "rendered people of this project (training/people), nobody real",
    "licence": "that of ComfyUI-FlashFace",
}


def train(config: FaceSnapConfig, photos: Photos, held_out: Photos) -> Path:
    """Make the landmark model and its network, and write both as one file; its path."""
    from flashface_core.facesnap.landmark_file import metadata, tensors_of

    run = run_folder(config)
    model, net, about = start(config, photos)
    net = net.to(config.device)
    course = Seen(photos, model, config.device, mirrored=True)
    people, own = People(photos.owners()), config.landmarks
    tested = Seen(held_out, model, config.device)

    def drawn(step: int) -> dict[str, Tensor]:
        random = random_of(config.seed, STAGE, step)
        first = people.draw(random, own.batch // 2)
        rows = np.concatenate([first, people.other(random, first)])
        flips = np.tile(random.integers(2, size=own.batch // 2), 2)
        return {
            "rows": torch.from_numpy(rows + flips * len(photos)),
            "numbers": torch.from_numpy(random.random((own.batch, 16), np.float32)),
        }

    def loss_of(given: dict[str, Tensor]) -> Tensor:
        crops, truth = course.look(given["rows"], given["numbers"])
        return loss(net(crops), truth, course)

    average: Any = fit(
        net, config, own, run / LANDMARKS, drawn, loss_of, lambda n: measure(n, tested)
    )
    figures = about | measure(average, tested)
    (run / LANDMARKS / "report.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    steps = checkpoint.step_of(checkpoint.finished(run / LANDMARKS)[-1])
    words = WORDS | {"steps": steps, "figures": figures}
    checkpoint.write_tensors(run / EXPORT, tensors_of(model, average), metadata(words))
    return run / EXPORT


def start(config: FaceSnapConfig, photos: Photos) -> tuple[LandmarkModel, Any, dict[str, Any]]:
    """The landmark model, the network before the first step, and what is known of the model."""
    from flashface_core.facesnap.landmark_file import load_landmark_model

    torch.manual_seed(config.seed)
    if config.landmarks.start:
        file: Any = load_landmark_model(Path(config.landmarks.start).expanduser())
        return file.model, file.net.train().requires_grad_(True), {}
    model, about = fit_landmark_model(photos, config.modes)
    return model, LandmarkNet(len(model.shape), len(model.expression)), about


class Seen:
    """Photos and their truth on a device, and crops of them with the truth in crop sides."""

    def __init__(
        self, photos: Photos, model: LandmarkModel, device: str, mirrored: bool = False
    ) -> None:
        truth = truth_of(photos, model, mirrored)
        self.count = len(photos)

        def there(value: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(value, np.float32)).to(device)

        self.pictures = photos.pictures.to(device)
        self.boxes = photos.boxes.to(device)
        self.owners = photos.owners()
        self.truth = Truth(**{name: there(value) for name, value in vars(truth).items()})  # type: ignore[arg-type]
        self.mean, self.shape, self.expression = (
            there(part) for part in (model.mean, model.shape, model.expression)
        )
        weights = torch.ones(len(model.mean), device=device)
        for part in (LEFT_EYE, RIGHT_EYE, OUTER_LIPS, INNER_LIPS):
            weights[part] = 2.0
        self.weights = weights / weights.mean()

    def look(self, rows: Tensor, numbers: Tensor | None = None) -> tuple[Tensor, LandmarkNetOutput]:
        """Crops (B, 3, 128, 128) of rows, those from N on mirrored, and the truth in their terms.

        numbers: (B, 16) for jitter and all that makes pictures worse; None for none of it.
        """
        photo, flipped = rows % self.count, (rows >= self.count).float()
        crops, truth, _, _ = self._looked(self.pictures[photo], rows, flipped, numbers)
        return crops, truth

    def look_at(self, pictures: Tensor, rows: Tensor) -> tuple[Any, ...]:
        """The same of other pictures (B, S, S, 3) at the rows' boxes; also middle and side."""
        return self._looked(pictures, rows, torch.zeros(len(rows), device=rows.device), None)

    def _looked(
        self, pictures: Tensor, rows: Tensor, flipped: Tensor, numbers: Tensor | None
    ) -> tuple[Any, ...]:
        width = self.pictures.shape[2]
        box = self.boxes[rows % self.count]
        middle, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
        x = torch.where(flipped > 0, width - middle[:, 0], middle[:, 0])
        middle, side = torch.stack([x, middle[:, 1]], 1), 2 * AROUND * half.amax(1)
        if numbers is not None:
            middle = middle + JITTER * side[:, None] * (2 * numbers[:, :2] - 1)
            side = side * (SCALES[0] + (SCALES[1] - SCALES[0]) * numbers[:, 2])
        crops = sampled(planes(pictures), square(middle, side, CROP, flipped, width), CROP)
        if numbers is not None:
            crops = worse(crops, numbers[:, 4:])
        return crops, self._in_sides(rows, middle, side), middle, side

    def _in_sides(self, rows: Tensor, middle: Tensor, side: Tensor) -> LandmarkNetOutput:
        t: Any = self.truth
        shift = torch.cat([t.shift[rows, :2] - middle, t.shift[rows, 2:]], 1)
        points = (t.points[rows, :, :2] - middle[:, None]) / side[:, None, None]
        return LandmarkNetOutput(
            alpha=t.alpha[rows], beta=t.beta[rows],
            rotation6=t.rotation[rows, :2].flatten(1),
            log_scale=(t.scale[rows] / side).log(), shift=shift / side[:, None], landmarks=points,
        )  # fmt: skip

    def placed(self, out: LandmarkNetOutput, alpha: Tensor) -> Tensor:
        """(B, 72, 2): the model's points of some shapes with the expression and pose of `out`."""
        x = self.mean + torch.einsum("bk,kij->bij", alpha, self.shape)
        x = x + torch.einsum("bk,kij->bij", out.beta, self.expression)
        turned = torch.einsum("bki,bji->bkj", x, rotation_of(out.rotation6))
        return (out.log_scale.exp()[:, None, None] * turned + out.shift[:, None])[..., :2]


def loss(out: LandmarkNetOutput, truth: LandmarkNetOutput, seen: Seen) -> Tensor:
    """The mean loss of a batch, whose second half shows the same people as its first."""
    out = LandmarkNetOutput(*(part.float() for part in out))
    eyes = truth.landmarks[:, LEFT_EYE].mean(1) - truth.landmarks[:, RIGHT_EYE].mean(1)
    d = truth.log_scale.exp() + 0 * eyes[:, 0]  # eyes seen from the side are near each other

    def apart(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b).abs().sum(2) * seen.weights).mean(1) / d

    total = apart(out.landmarks, truth.landmarks)
    half = len(d) // 2
    swaps = (lambda v: v, lambda v: v.roll(half, 0), lambda v: v.roll(1, 0))
    for swap in swaps:
        total = total + apart(
            seen.placed(out, swap(out.alpha)), seen.placed(truth, swap(truth.alpha))
        ) / len(swaps)  # fmt: skip
    codes = (out.alpha - truth.alpha).square().mean(1) + (out.beta - truth.beta).square().mean(1)
    turn = (rotation_of(out.rotation6) - rotation_of(truth.rotation6)).flatten(1).norm(dim=1)
    return (total + 0.1 * codes + turn).mean()


@torch.no_grad()
def measure(net: nn.Module, seen: Seen) -> dict[str, float]:
    """Held-out figures; errors in % of the eyes' distance (the model's scale)."""
    rows = torch.arange(seen.count, device=seen.pictures.device)
    parts = [(seen.look(part), part) for part in rows.split(256)]
    found = [net(crops) for (crops, _), _ in parts]
    out = LandmarkNetOutput(*(torch.cat(v).float() for v in zip(*found, strict=True)))
    truth = LandmarkNetOutput(*(torch.cat(v) for v in zip(*(p[0][1] for p in parts), strict=True)))
    d = truth.log_scale.exp()[:, None]

    def percent(a: Tensor, b: Tensor) -> float:
        return 100 * float(((a - b).norm(dim=2) / d).mean())

    half = len(d) // 2  # neighbours are photos of one person
    swapped = truth.alpha.roll(half, 0)
    wanted = seen.placed(truth, swapped)
    return {
        "nme": percent(out.landmarks, truth.landmarks),
        "nme_of_model": percent(seen.placed(out, out.alpha), truth.landmarks),
        "swapped": percent(seen.placed(out, out.alpha.roll(half, 0)), wanted),
        "copied": percent(truth.landmarks, wanted),
        "same_nearer": same_nearer(out.alpha, seen.owners.to(out.alpha.device)),
    }


def same_nearer(alpha: Tensor, owners: Tensor) -> float:
    """Mean share of strangers' photos that are farther than a photo of the same person (AUC)."""
    apart = torch.cdist(alpha, alpha)
    same = owners[:, None] == owners[None]
    same.fill_diagonal_(False)
    strangers = owners[:, None] != owners[None]
    shares = [
        (row[other][None] > row[own][:, None]).float().mean()
        for row, own, other in zip(apart, same, strangers, strict=True)
        if own.any() and other.any()
    ]
    return float(torch.stack(shares).mean()) if shares else float("nan")
