"""Trains both networks of the judges, one after the other.

A network whose file is there with the same settings is left alone; one that was stopped begins
anew, since on a GPU it takes less than a minute.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import checkpoint, host, record, shards
from ..config import Config
from ..steps import learning_rate, random_of
from .judge import FACES, PICTURES, about_net, save_net
from .nets import FaceNet, PictureNet, arcface
from .photos import TRAINED, Photos, classes_of, read_photos, targets_of
from .report import write_report
from .views import as_pictures, face_crops, jittered, worsened

STAGE = 5  # of the random numbers
CLEAN = 0.2  # of the batches are as they were drawn
WHOLE = 1000  # parts of a training, for the learning rate
WEIGHT_DECAY = 0.05


def train(config: Config) -> None:
    """Train what is missing, then measure on held-out people."""
    folder = judges_folder(config)
    record.open_run(folder, config)
    host.start(config.threads)
    own = dataclasses.asdict(config.judges) | {"seed": config.seed}
    missing = [
        (name, fit)
        for name, fit in ((FACES, fit_faces), (PICTURES, fit_pictures))
        if (about_net(folder / name) or {}).get("settings") != as_stored(own)
    ]
    if missing:
        read_from = shards.resolve(config.judges.train, folder.parents[1])
        photos = read_photos(read_from, TRAINED)
        for name, fit in missing:
            net, about = fit(photos, config, folder)
            save_net(folder / name, net, about | {"settings": as_stored(own)})
    write_report(config, folder)


def judges_folder(config: Config) -> Path:
    """Where the judges of a run lie."""
    return host.runs_folder() / config.run / "judges"


def as_stored(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings as JSON gives them back: lists in place of tuples."""
    return {n: list(v) if isinstance(v, tuple) else v for n, v in settings.items()}


def fit_faces(photos: Photos, config: Config, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network that reads faces: ArcFace over the people, and the mean error of the numbers."""
    own = config.judges
    torch.manual_seed(config.seed)
    seen, owners = photos.to(config.device), photos.owners().to(config.device)
    people, count = int(owners.max()) + 1, photos.identities.shape[1]
    net = FaceNet(own.width, own.blocks, own.dims, count)
    net.mean.copy_(photos.identities.mean(0))
    # Numbers that hardly differ between people are not blown up.
    net.spread.copy_(photos.identities.std(0).clamp(min=1e-3))
    net = net.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    wanted = (seen.identities - net.mean) / net.spread
    directions = nn.Parameter(torch.randn(people, own.dims, device=config.device))

    def loss_of(rows: Tensor, pictures: Tensor, part: float) -> Tensor:
        crops = face_crops(pictures, jittered(seen.boxes[rows]), own.face_size)
        embedded, numbers = run(net, crops, config)
        cosines = embedded @ F.normalize(directions, dim=1).T
        margin = own.margin * min(1.0, part / 0.3)  # at once in full, it would learn nothing
        who = arcface(cosines, owners[rows], margin, own.scale)
        return who + (numbers - wanted[rows]).square().mean()

    fit(net, [directions], seen, loss_of, config, own.steps, folder / "faces")
    sizes = {n: getattr(own, n) for n in ("width", "blocks", "dims", "face_size")}
    return net, sizes | {"names": identity_names(config, folder, count), "people": people}


def fit_pictures(photos: Photos, config: Config, folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network that reads whole pictures; rare classes count more, by the root of rarity."""
    own = config.judges
    torch.manual_seed(config.seed)
    classes = classes_of(photos)
    seen = photos.to(config.device)
    targets = {n: t.to(config.device) for n, t in targets_of(photos, classes).items()}
    weights = [
        F.normalize(targets[name].bincount(minlength=len(words)).float().rsqrt(), 1, 0) * len(words)
        for name, words in classes.items()
    ]
    net = PictureNet(own.picture_width, own.blocks, [len(words) for words in classes.values()])
    net = net.to(config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss_of(rows: Tensor, pictures: Tensor, part: float) -> Tensor:
        heads = zip(run(net, pictures, config), targets.values(), weights, strict=True)
        losses = [F.cross_entropy(found, true[rows], weight) for found, true, weight in heads]
        return torch.stack(losses).mean()

    fit(net, [], seen, loss_of, config, own.picture_steps, folder / "pictures")
    return net, {"width": own.picture_width, "blocks": own.blocks, "classes": classes}


def fit(
    net: nn.Module,
    more: list[nn.Parameter],
    photos: Photos,
    loss_of: Callable[[Tensor, Tensor, float], Tensor],
    config: Config,
    steps: int,
    folder: Path,
) -> None:
    """Train a network, and parameters beside it, by the loss of (rows, pictures, part done)."""
    from tqdm import tqdm

    own, device = config.judges, config.device
    groups = [{"params": list(net.parameters())}, {"params": more, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=WEIGHT_DECAY)
    folder.mkdir(parents=True, exist_ok=True)
    record.forget_after(folder, 0)
    began, losses, stop = time.monotonic(), [], checkpoint.stop_asked()
    net.train()
    for step in tqdm(range(steps), unit="step", mininterval=2, desc=folder.name):
        passed = time.monotonic() - began
        part = max(step / steps, passed / own.seconds if own.seconds else 0.0)
        if part >= 1:
            break
        if stop():
            raise ValueError("Stopped before the network was trained: start again to train it.")
        random = random_of(config.seed, STAGE, step)
        rows = torch.from_numpy(random.integers(len(photos.pictures), size=own.batch)).to(device)
        pictures = as_pictures(photos.pictures[rows], photos.pictures.shape[1])
        if random.random() >= CLEAN:
            pictures = worsened(pictures, random)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(int(part * WHOLE), part, own.lr, 0.0, WHOLE // 20)
        loss = loss_of(rows, pictures, part)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        if len(losses) == config.log_every or step + 1 == steps:
            mean = float(torch.stack(losses).mean())
            rate = (step + 1) * own.batch / (time.monotonic() - began)
            record.note(folder, step + 1, loss=mean, samples_per_second=rate)
            losses = []
    net.eval()


def run(net: nn.Module, pictures: Tensor, config: Config) -> tuple[Tensor, ...]:
    """The network's answers; only here in bf16, in which places in a picture would be lost."""
    with torch.autocast(config.device, torch.bfloat16, config.precision == "bf16"):
        return net(pictures.contiguous(memory_format=torch.channels_last))


def identity_names(config: Config, folder: Path, count: int) -> list[str]:
    """The names of the identity's numbers, from the first set that says them."""
    for source in shards.resolve(config.judges.train, folder.parents[1]):
        if (path := source / "set.json").exists():
            return json.loads(path.read_bytes())["identity"]
    return [str(i) for i in range(count)]
