"""Trains the autoencoder: python -m training.autoencoder RECIPE [KEY=VALUE ...]

Crops of the pictures go in, half of them around the face; L1 at three sizes. The run folder gets
metrics with the PSNR of held-out people's whole pictures, grids of them, and with each checkpoint
`autoencoder.safetensors` for ComfyUI's VAELoader.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import checkpoint, host, record, shards, taesd
from .config import Autoencoder, Config
from .course import Course
from .replay import Replayed, Step, plain_rates, rates_of, set_rates
from .shards import Place
from .steps import follow, make_average, random_of, torch_random_of

STAGE = 1  # of the random numbers
SHOWN = 12
CENTRED = 200  # pictures that the average's latents are centred on
MEASURED = 24
EXPORT = "autoencoder.safetensors"
KEPT = 30_000  # photos in memory: 1.5 GB at 128 px


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
    average.centre = copy.deepcopy(net.centre)
    optimizer = torch.optim.Adam(net.parameters(), own.lr, (0.9, 0.99))
    pictures, boxes = read_pictures(photos)
    if state := checkpoint.load_state(folder):
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        plain_rates(optimizer)
    course = Course(config, own, folder, state)
    take_step = make_step(net, optimizer, pictures.to(config.device), config)
    for step in course:
        set_rates(optimizer, course.rate)
        loss = take_step(draw_crops(boxes, pictures.shape[1], own, config.seed, step))
        follow(average, net, step + 1, 0.999)
        course.note(loss)
        if course.measures or course.saves:
            recentre(average, pictures)
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
    path = Path(config.autoencoder.start).expanduser()
    earlier = load_autoencoder(path)
    if earlier.half_blocks != config.autoencoder.half_blocks:
        raise ValueError(
            f"{path} has {earlier.half_blocks} trained blocks at half size, the recipe asks for "
            f"{config.autoencoder.half_blocks}: set autoencoder.half_blocks={earlier.half_blocks}."
        )
    return earlier.train().requires_grad_(True)


def make_step(
    net: taesd.Autoencoder, optimizer: torch.optim.Optimizer, pictures: Tensor, config: Config
) -> Step:
    """A step of the places of some crops of `pictures`, as `draw_crops` gives them; the loss."""
    own = config.autoencoder

    def step(given: dict[str, Tensor]) -> Tensor:
        crops = cut(pictures, given, own.crop)
        with torch.autocast(config.device, torch.bfloat16, config.precision == "bf16"):
            latents = net.encode(crops)
            painted = net.decode(latents + own.noise * given["noise"])
        loss = difference(painted.float(), crops)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    if config.replay and pictures.is_cuda:
        return Replayed(step, rates_of(optimizer, pictures.device), pictures.device)
    return lambda given: step({name: part.to(pictures.device) for name, part in given.items()})


def read_pictures(photos: Sequence[Place]) -> tuple[Tensor, np.ndarray]:
    """Photos, (M, S, S, 3) uint8, in memory, and the boxes of their faces, (M, 4) pixels.

    Of a large set some, spread over it. Raises ValueError for photos of several sizes.
    """
    chosen = [photos[i] for i in range(0, len(photos), -(-len(photos) // KEPT))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = list(pool.map(Place.picture, chosen))
        boxes = list(pool.map(lambda photo: photo.record()["box"], chosen))
    if len(sizes := {picture.shape[0] for picture in pictures}) > 1:
        raise ValueError(f"The photos have {sorted(sizes)} pixels a side: take sets of one size.")
    return torch.from_numpy(np.stack(pictures)), np.array(boxes)


@torch.no_grad()
def recentre(average: taesd.Autoencoder, pictures: Tensor) -> None:
    """Give the average the figures of its own latents.

    Nothing holds a latent's offset, which Adam lets grow to a hundred deviations: the average lags
    behind by several of them, and with the figures of the network that it follows would be wrong.
    """
    device = next(average.parameters()).device
    some = pictures[:: max(1, len(pictures) // CENTRED)].permute(0, 3, 1, 2).split(16)
    found = [average.encoder(part.to(device).float() / 255) for part in some]
    average.centre.set_from(torch.cat(found))


def draw_crops(
    boxes: np.ndarray, size: int, own: Autoencoder, seed: int, step: int
) -> dict[str, Tensor]:
    """Where a step's crops lie in which pictures, which are mirrored, and noise for their latents.

    size: pixels of a picture's side. Every other crop is around a face.
    """
    random, count = random_of(seed, STAGE, step), own.batch
    rows = random.integers(len(boxes), size=count)
    corners = random.integers(0, size - own.crop + 1, size=(count, 2))  # left, top
    middles = random.uniform(boxes[rows, :2], boxes[rows, 2:])
    faces = np.clip(middles - own.crop / 2, 0, size - own.crop).astype(int)
    corners[::2] = faces[::2]
    mirrored = random.random(count) < 0.5
    noise = torch.randn(count, 4, own.crop // 8, own.crop // 8,
                        generator=torch_random_of(seed, STAGE, step, 1))  # fmt: skip
    found = {"rows": rows, "corners": corners, "mirrored": mirrored}
    return {name: torch.from_numpy(part) for name, part in found.items()} | {"noise": noise}


def cut(pictures: Tensor, given: dict[str, Tensor], side: int) -> Tensor:
    """The crops of pictures (M, S, S, 3) uint8, (B, 3, side, side), 0..1."""
    along = torch.arange(side, device=pictures.device)
    across = torch.where(given["mirrored"][:, None], side - 1 - along, along)
    x, y = given["corners"][:, :1] + across, given["corners"][:, 1:] + along
    crops = pictures[given["rows"][:, None, None], y[:, :, None], x[:, None, :]]
    return crops.permute(0, 3, 1, 2).float() / 255


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
