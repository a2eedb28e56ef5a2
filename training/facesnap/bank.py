"""What the control stage needs of every photo, computed once and kept on the device."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flashface_core.facesnap.landmark_file import load_landmark_model
from flashface_core.facesnap.landmark_net import rotation_of
from flashface_core.facesnap.mixer import face_vector

from ..steps import torch_random_of
from . import encoder as face_encoder
from . import landmarks
from .base import Base, encoded
from .photos import Photos
from .settings import FaceSnapConfig, run_folder
from .shapes import similarities

WORSE = 2  # versions of each face by misplaced points
STAGE = 15  # of the random numbers
NOISE = 0.02  # of found landmarks, in eye distances: the prior's weight


@dataclass(frozen=True)
class Bank:
    """N photos. latents: (N, 4, h, h). heads: (N, 1, h, h), 0..1. tokens: (N, C, 77).

    points: (N, 72, 2), true ones. f_id: (V, N, D), f_clip: (V, N, T, W), of the photo's own face,
    first by the true five points, then by misplaced ones. alpha,
    beta, rotation, scale, shift, detail: what the landmark network found of it, in pixels.
    """

    latents: Tensor
    heads: Tensor
    tokens: Tensor
    points: Tensor
    five: Tensor
    f_id: Tensor
    f_clip: Tensor
    alpha: Tensor
    beta: Tensor
    rotation: Tensor
    scale: Tensor
    shift: Tensor
    detail: Tensor
    mean: Tensor
    shape: Tensor
    expression: Tensor

    def predicted(self, reference: Tensor, driver: Tensor) -> Tensor:
        """Points (B, 72, 2): the shape of the reference's rows, expression and pose of others."""
        x = self.mean + torch.einsum("bk,kij->bij", self.alpha[reference], self.shape)
        x = x + torch.einsum("bk,kij->bij", self.beta[driver], self.expression)
        x = x + self.detail[reference]
        turned = torch.einsum("bki,bji->bkj", x, self.rotation[driver])
        return (self.scale[driver, None, None] * turned + self.shift[driver, None])[..., :2]

    def found(self, rows: Tensor) -> Tensor:
        """Points (B, 72, 2) that the network found of photos themselves."""
        return self.predicted(rows, rows)


def make_bank(config: FaceSnapConfig, photos: Photos, base: Base) -> Bank:
    """The bank of some photos, on the run's device."""
    device = config.device
    net: Any = face_encoder.load_encoder(config)
    misplaced = torch.randn(WORSE, len(photos), 13, generator=torch_random_of(config.seed, STAGE))
    read = [face_encoder.read(net, photos, device, moves) for moves in (None, *misplaced)]
    embeddings, maps = (torch.stack(parts) for parts in zip(*read, strict=True))
    values: dict[str, Any] = {
        "latents": encoded(base, photos.pictures, device),
        "heads": photos.heads.to(device).float() / 255,
        "tokens": photos.tokens.to(device),
        "points": photos.landmarks.to(device),
        "five": photos.five.to(device),
        "f_id": face_vector(embeddings),
        "f_clip": maps,
    }
    values |= _faces(config, photos)
    return Bank(**{entry.name: values[entry.name] for entry in fields(Bank)})


@torch.no_grad()
def _faces(config: FaceSnapConfig, photos: Photos) -> dict[str, Tensor]:
    """What the landmark network finds, with one round of the fit on its own points."""
    file: Any = load_landmark_model(run_folder(config) / landmarks.EXPORT)
    model, net = file.model, file.net.to(config.device)
    seen = landmarks.Seen(photos, model, config.device)
    box = seen.boxes
    side = landmarks.AROUND * (box[:, 2:] - box[:, :2]).amax(1).double().cpu().numpy()
    middle = ((box[:, :2] + box[:, 2:]) / 2).double().cpu().numpy()
    every = torch.arange(len(photos), device=config.device)
    parts = [net(seen.look(rows)[0]) for rows in every.split(256)]
    out = [torch.cat(column).double().cpu() for column in zip(*parts, strict=True)]
    alpha, beta, rotation6, log_scale, shift, flat = (value.numpy() for value in out)
    rotation = rotation_of(torch.from_numpy(rotation6)).numpy()
    x = model.mean + np.tensordot(alpha, model.shape, 1) + np.tensordot(beta, model.expression, 1)
    deep = np.exp(log_scale)[:, None] * np.einsum("nki,ni->nk", x, rotation[:, 2])
    points = np.concatenate([flat, (deep + shift[:, 2:])[..., None]], 2) * side[:, None, None]
    points[..., :2] += middle[:, None]
    alpha, beta, pose, detail = _refitted(model, points, x)
    found = {"alpha": alpha, "beta": beta, "detail": detail}
    found |= dict(zip(("rotation", "scale", "shift"), pose, strict=True))
    found |= {"mean": model.mean, "shape": model.shape, "expression": model.expression}
    return {
        n: torch.from_numpy(np.asarray(v, np.float32)).to(config.device) for n, v in found.items()
    }


def _refitted(model: Any, points: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    """One round of `landmark_model.fit` for many faces: pose, then codes, then what is left."""
    pose = rotation, scale, shift = similarities(x, points)
    unturned = np.einsum("nki,nij->nkj", points - shift[:, None], rotation) / scale[:, None, None]
    a = np.concatenate([model.shape, model.expression]).reshape(-1, model.mean.size)
    solve = np.linalg.inv(a @ a.T + NOISE**2 * np.eye(len(a)))
    codes = (unturned - model.mean).reshape(len(points), -1) @ a.T @ solve
    alpha, beta = codes[:, : len(model.shape)], codes[:, len(model.shape) :]
    said = model.mean + np.tensordot(alpha, model.shape, 1)
    said = said + np.tensordot(beta, model.expression, 1)
    return alpha, beta, pose, unturned - said
