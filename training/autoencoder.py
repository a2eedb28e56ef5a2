"""Trains the autoencoder: python -m training.autoencoder RECIPE [KEY=VALUE ...]

Crops of the pictures go in, half of them around the face; L1 at three sizes. The run folder gets
metrics with the PSNR of held-out people's whole pictures, grids of them, and with each checkpoint
`autoencoder.safetensors` for ComfyUI's VAELoader.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import checkpoint, host, record, shards, taesd
from .config import Config
from .course import Course
from .shards import Place
from .steps import follow, make_average, random_of, torch_random_of

STAGE = 1  # of the random numbers
SHOWN = 12
MEASURED = 24
EXPORT = "autoencoder.safetensors"
KEPT = 30_000  # decoded photos: 1.5 GB at 128 px


def train(config: Config) -> taesd.Autoencoder:
    """Train to the last step, or to a stop that was asked for; the averaged network."""
    own, run = config.autoencoder, host.runs_folder() / config.run
    folder = run / "autoencoder"
    photos = shards.for_training(shards.find_photos(shards.resolve(config.data.train, run.parent)))
    held_out = read_held_out(config, run.parent)
    host.start(config.threads)
    torch.backends.cudnn.benchmark = True  # all steps have the same sizes
    torch.manual_seed(config.seed)
    net = start(config).to(config.device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = make_average(net)
    optimizer = torch.optim.Adam(net.parameters(), own.lr, (0.9, 0.99))
    if state := checkpoint.load_state(folder):
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
    course = Course(config, own, folder, state)
    for step in course:
        crops = read_crops(photos, own.crop, own.batch, config.seed, step).to(config.device)
        noise = torch.randn(own.batch, 4, own.crop // 8, own.crop // 8,
                            generator=torch_random_of(config.seed, STAGE, step, 1))  # fmt: skip
        for group in optimizer.param_groups:
            group["lr"] = course.rate
        with torch.autocast(config.device, torch.bfloat16, config.precision == "bf16"):
            latents = net.encode(crops)
            painted = net.decode(latents + own.noise * noise.to(config.device))
        loss = difference(painted.float(), crops)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        follow(average, net, step + 1, 0.999)
        course.note(loss)
        if course.measures:
            measure(average, held_out, folder, course.step)
            course.begin_lap()
        if course.saves:
            # The export first: once the last state is there, nothing would write it again.
            metadata = {"half_blocks": str(own.half_blocks), "step": str(course.step)}
            checkpoint.write_tensors(run / EXPORT, taesd.as_taesd(average), metadata)
            state = {"step": course.step, "seconds": course.seconds, "net": net.state_dict()}
            state |= {"average": average.state_dict(), "optimizer": optimizer.state_dict()}
            checkpoint.save_state(folder, course.step, state, config.keep_every)
            course.begin_lap()
    return average


def start(config: Config) -> taesd.Autoencoder:
    """The network before the first step: from nothing, or from the file of an earlier run."""
    if not config.autoencoder.start:
        return taesd.Autoencoder(config.autoencoder.half_blocks)
    return (
        load_autoencoder(Path(config.autoencoder.start).expanduser()).train().requires_grad_(True)
    )


def read_crops(photos: Sequence[Place], side: int, count: int, seed: int, step: int) -> Tensor:
    """Crops of a step's photos, (count, 3, side, side), 0..1; every other one is around a face."""
    random, crops = random_of(seed, STAGE, step), []
    for index in range(count):
        picture, box = decoded(photos[int(random.integers(len(photos)))])
        room = np.array(picture.shape[:2]) - side
        corner = random.integers(0, room + 1)  # top, left
        if index % 2:
            x1, y1, x2, y2 = box
            middle = np.array([random.uniform(y1, y2), random.uniform(x1, x2)])
            corner = np.clip(middle - side / 2, 0, room).astype(int)
        crop = picture[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
        crops.append(crop[:, ::-1] if random.random() < 0.5 else crop)
    return _as_tensor(np.stack(crops))


@lru_cache(KEPT)
def decoded(photo: Place) -> tuple[np.ndarray, tuple[float, ...]]:
    """A photo, (S, S, 3) uint8, and the box of its face; of small sets it stays in memory."""
    return photo.picture(), tuple(photo.record()["box"])


def difference(painted: Tensor, wanted: Tensor) -> Tensor:
    """L1 of pictures, and half of it of their averages over 2 x 2 and 4 x 4 pixels."""
    total = (painted - wanted).abs().mean()
    for size in (2, 4):
        total = total + 0.5 * F.avg_pool2d(painted - wanted, size).abs().mean()
    return total


@torch.no_grad()
def measure(net: taesd.Autoencoder, pictures: Tensor, folder: Path, step: int) -> float:
    """Note the PSNR (dB, mean over pictures) of held-out pictures and save a grid of some."""
    net.eval()
    device = next(net.parameters()).device
    latents = torch.cat([net.encode(part.to(device)) for part in pictures.split(8)])
    painted = torch.cat([net.decode(part).clamp(0, 1).cpu() for part in latents.split(8)])
    error = (painted - pictures).square().mean((1, 2, 3))
    value = float((-10 * torch.log10(error)).mean())
    record.note(folder, step, psnr=value, latent_std=float(latents.std()))
    chosen = torch.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).long()
    rows = [list(part[chosen].permute(0, 2, 3, 1).numpy()) for part in (pictures, painted)]
    record.save_grid(folder / "grids" / f"step-{step:07d}.png", rows, zoom=2)
    return value


def read_held_out(config: Config, runs: Path) -> Tensor:
    """Some whole pictures of held-out people, (N, 3, S, S), 0..1: always the same ones."""
    photos = shards.find_photos(shards.resolve(config.data.held_out, runs))
    chosen = np.linspace(0, len(photos) - 1, min(MEASURED, len(photos))).astype(int)
    return _as_tensor(np.stack([photos[i].picture() for i in chosen]))


def load_autoencoder(path: Path) -> taesd.Autoencoder:
    """The trained autoencoder of an exported file, in the form that trains.

    Raises FileNotFoundError where no stage has written one.
    """
    from safetensors import safe_open

    if not path.exists():
        raise FileNotFoundError(f"There is no {path}: run python -m training.autoencoder first.")
    with safe_open(path, framework="pt") as file:
        net = taesd.Autoencoder(int((file.metadata() or {}).get("half_blocks", "3")))
        for part, layers in (("encoder", net.encoder), ("decoder", net.decoder)):
            names = layers.state_dict()
            layers.load_state_dict({n: file.get_tensor(f"taesd_{part}.{n}") for n in names})
    return net.eval().requires_grad_(False)


def _as_tensor(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255


if __name__ == "__main__":
    sys.exit(host.run_stage("autoencoder", (__doc__ or "").partition("\n")[0], train))
