"""What both diffusion stages do alike: start a run, take a step, save, measure what is held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import checkpoint, data, diffusion, host, text
from .config import Config, Network, Stage
from .course import Agree, Course
from .data import Latents
from .latents import latent_folders, latents_key, made_by
from .replay import Replayed, plain_rates, rates_of
from .steps import torch_random_of

MEASURED_TIMES = (150, 400, 650, 850)
MEASURED = 32
WORDS = "words.safetensors"


def sizes_of(network: Network) -> Any:
    """The pack's Sizes of a recipe's network; raises ValueError where ComfyUI has no such UNet."""
    from flashface_core.flashface.checkpoint.layout import Sizes

    if len(network.multipliers) != 4 or network.multipliers[0] != 1:
        raise ValueError(
            f"network.multipliers is {list(network.multipliers)}: SD1.5's UNet has four levels, of "
            "which the first is as wide as the last convolution, so it is 1. Change network.width."
        )
    return Sizes(network.width, network.text_width, network.multipliers)


def make_accelerator(config: Config) -> Any:
    """Accelerate's view of the processes, devices and precision that this run has."""
    from accelerate import Accelerator

    host.start(config.threads)
    precision = "no" if config.precision == "fp32" else config.precision
    return Accelerator(cpu=config.device == "cpu", mixed_precision=precision)


def agreed(accelerator: Any) -> Agree:
    """Makes one of all processes' answers, so that all of them end after the same step.

    How much is behind the first one says; it is time to stop when any of them was asked to.
    """

    def of_all(done: float, stop: bool) -> tuple[float, bool]:
        if accelerator.num_processes == 1:
            return done, stop
        first = done if accelerator.is_main_process else 0.0
        said = torch.tensor([first, float(stop)], dtype=torch.float64, device=accelerator.device)
        done, stops = accelerator.reduce(said).tolist()  # sums
        return done, stops > 0

    return of_all


def read_latents(config: Config, run: Path, coder_key: str) -> tuple[Latents, Latents]:
    """Latents to train on, and of held-out people to measure with.

    Raises ValueError where a file is of another autoencoder or of other sizes.
    """
    names = config.data.train, config.data.held_out
    train, held_out = ([target for _, target in latent_folders(run, n)] for n in names)
    for path in (file for folder in (*train, *held_out) for file in folder.glob("*.safetensors")):
        if made_by(path) != latents_key(coder_key, config.data):
            raise ValueError(
                f"{path} is of another autoencoder, data.size or data.face_size than this recipe's:"
                " run python -m training.latents again, or delete it where its shard is gone."
            )
    return data.load_latents(train), data.load_latents(held_out, training=False)


def make_optimizer(model: text.Captioned, own: Stage) -> torch.optim.Optimizer:
    """AdamW; learned token rows have a rate of their own and no decay."""
    groups: list[dict[str, Any]] = [{"params": list(model.net.parameters()), "share": 1.0}]
    rows = list(model.words.parameters())
    model.words.requires_grad_(bool(own.words_lr))
    if rows and own.words_lr:
        groups.append({"params": rows, "share": own.words_lr / own.lr, "weight_decay": 0.0})
    betas = (0.9, own.beta2)
    fused = all(parameter.is_cuda for parameter in model.parameters())
    return torch.optim.AdamW(groups, own.lr, betas, weight_decay=own.weight_decay, fused=fused)


def loss_of(predicted: Tensor, given: dict[str, Tensor], own: Stage) -> Tensor:
    """The weighted loss of a batch's tensors."""
    error = diffusion.squared_error(predicted, given["noise"], given["heads"], own.head_weight)
    return (diffusion.loss_weight(given["t"], own.snr) * error).mean()


def inputs_of(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """What every network is given of a batch's tensors; see `Captioned`."""
    x = diffusion.add_noise(given["latents"], given["noise"], given["t"])
    return {"x": x, "t": given["t"].float(), "tokens": given["tokens"]}


def make_step(
    model: nn.Module,
    optimizer: Any,
    own: Stage,
    config: Config,
    accelerator: Any,
    inputs: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> Callable[[dict[str, Tensor]], Tensor]:
    """A step of a batch's tensors: predict, weigh the loss, clip, step the optimiser; the loss.

    inputs: what the network is given of them. Rates are set by `replay.set_rates`.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def step(given: dict[str, Tensor]) -> Tensor:
        with accelerator.autocast():
            predicted = model(**inputs(given))
        loss = loss_of(predicted, given, own)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(trained, own.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    if config.replay and accelerator.device.type == "cuda":
        return Replayed(step, rates_of(optimizer, accelerator.device), accelerator.device)
    return lambda given: step({n: t.to(accelerator.device) for n, t in given.items()})


def resume(
    state: dict[str, Any] | None, model: nn.Module, average: nn.Module, optimizer: Any
) -> None:
    """Load the state of a stage, where there is one."""
    if state is not None:
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        plain_rates(optimizer)


def save(course: Course, model: nn.Module, average: nn.Module, optimizer: Any) -> None:
    """Write a checkpoint of a stage."""
    state = {"step": course.step, "seconds": course.seconds, "model": model.state_dict()}
    state |= {"average": average.state_dict(), "optimizer": optimizer.state_dict()}
    checkpoint.save_state(course.folder, course.step, state, course.config.keep_every)


def make_words(
    config: Config, latents: Latents, state: dict[str, Any] | None, path: Path | None = None
) -> text.Words | text.Clip:
    """The text encoder that a stage begins with.

    state: of a run that goes on. Words that only shards added since have are strangers to it. path:
    of words that were exported and go on with a new optimiser, beside words that are new.
    """
    if config.network.clip:
        return text.Clip(Path(config.network.clip).expanduser())
    if state:
        return text.Words(state["model"]["words.ids"].tolist())
    return text.Words(latents.tokens.unique().tolist(), load_words(path) if path else None)


def export_words(path: Path, words: text.Words | text.Clip) -> None:
    """Write the learned token rows alone, in fp16: all that differs from the seeded tables."""
    if isinstance(words, text.Clip):
        return
    tensors = {"ids": words.ids, "rows": words.rows.detach().half()}
    checkpoint.write_tensors(path, tensors, {})


def load_words(path: Path) -> text.Words:
    """The words of an exported file."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    words = text.Words(tensors["ids"].tolist())
    words.rows.data.copy_(tensors["rows"].float())
    return words


def held_out_photos(latents: Latents, each: int = 1) -> np.ndarray:
    """Indices of the first photos of some held-out people, person by person."""
    people = list(latents.photos_of().values())
    step = max(1, len(people) * each // MEASURED)
    return np.concatenate([photos[:each] for photos in people[::step]])[:MEASURED]


@torch.no_grad()
def held_out_loss(
    predict: Callable[[dict[str, Tensor], Tensor], Tensor],
    latents: Latents,
    photos: Sequence[int] | np.ndarray,
    device: Any,
) -> tuple[list[float], list[float]]:
    """Mean squared error of the noise of some photos at each of MEASURED_TIMES: all, and in heads.

    predict: of inputs (see `inputs_of`) and the regions (B, 1, h, h). Always the same noise.
    """
    chosen = torch.as_tensor(np.asarray(photos))
    clean = latents.targets[chosen].float().to(device)
    region = latents.regions[chosen].float().to(device)
    heads = latents.heads[chosen].float().to(device) / 255
    tokens = latents.tokens[chosen, 0].long().to(device)
    whole, inside = [], []
    for time in MEASURED_TIMES:
        noise = torch.randn(clean.shape, generator=torch_random_of(time)).to(device)
        t = torch.full((len(clean),), time, device=device)
        inputs = {"x": diffusion.add_noise(clean, noise, t), "t": t.float(), "tokens": tokens}
        error = (predict(inputs, region).float() - noise).square()
        whole.append(float(error.mean()))
        inside.append(float((error * heads).sum() / (heads.sum() * error.shape[1])))
    return whole, inside
