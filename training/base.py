"""Trains the plain base, a UNet and its words: python -m training.base RECIPE [KEY=VALUE ...]

No reference attention and no region: what it writes, `base.safetensors` and `words.safetensors`,
is the MODEL without FlashFace, and where the stage of FlashFace starts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import checkpoint, data, diffusion, host, loader, record, replay, stage, text
from .coder import Coder, load_coder
from .config import Config
from .course import Course
from .data import Latents
from .steps import follow, make_average, torch_random_of

EXPORT = "base.safetensors"
SHOWN, PREVIEW_STEPS, PREVIEW_CFG = 8, 20, 4.0


def train(config: Config) -> text.Captioned:
    """Train to the last step, or to a stop that was asked for; the averaged model."""
    host.enter(config.device == "cpu")
    from . import graph

    own, run = config.base, host.runs_folder() / config.run
    accelerator = stage.make_accelerator(config)
    folder = run / "base"
    torch.manual_seed(config.seed)
    coder = load_coder(config, run)
    latents, held_out = stage.read_latents(config, run, coder.key)
    state = checkpoint.load_state(folder)
    net = graph.Plain(stage.sizes_of(config.network))
    if own.start:
        net.unet.load_state_dict(load_base(Path(own.start).expanduser()))
    exported = run / stage.WORDS
    known = exported if own.start and exported.exists() else None
    words = stage.make_words(config, latents, state, known)
    model = text.Captioned(net, words).to(accelerator.device)
    average, optimizer = make_average(model), stage.make_optimizer(model, own)
    stage.resume(state, model, average, optimizer)
    wrapped = accelerator.prepare(model)
    none = np.array(text.tokenize(""))
    sampler = data.Sampler(latents, own, config.seed, none, even=config.replay)
    course = Course(config, own, folder, state, accelerator.is_main_process,
                    stage.agreed(accelerator))  # fmt: skip
    del state
    if course.main and not course.last:
        seen = {"people": len(latents.people.unique()), "photos": len(latents.people)}
        record.note(folder, course.step, **seen)
    take_step = stage.make_step(wrapped, optimizer, own, config, accelerator, stage.inputs_of)
    for batch in loader.batches(sampler, course, False, accelerator, config.workers):
        replay.set_rates(optimizer, course.rate)
        loss = take_step(batch.tensors())
        follow(average, accelerator.unwrap_model(wrapped), course.step, own.ema)
        course.note(loss)
        if course.measures:
            measure(average, held_out, folder, course.step)
            save_previews(average, held_out, none, coder, folder, course.step)
            course.begin_lap()
        if course.saves:
            # The export first: once the last state is there, nothing would write it again.
            export(run, average)
            stage.save(course, model, average, optimizer)
            course.begin_lap()
    return average


def export(run: Path, model: text.Captioned) -> None:
    """Write the plain UNet in fp32, and the words."""
    unet = model.net.unet.state_dict()
    checkpoint.write_tensors(run / EXPORT, {f"unet.{n}": t for n, t in unet.items()}, {})
    stage.export_words(run / stage.WORDS, model.words)


def load_base(path: Path) -> dict[str, Tensor]:
    """The weights of a plain UNet: what `export` wrote, or those of an SD1.5 checkpoint.

    Raises FileNotFoundError where there is no file, ValueError where no UNet is in it.
    """
    tensors = read_start(path)
    for prefix in ("unet.", "model.diffusion_model.", ""):
        if f"{prefix}input_blocks.0.0.weight" in tensors:
            own = {n: t for n, t in tensors.items() if n.startswith(prefix)}
            return {name.removeprefix(prefix): tensor.float() for name, tensor in own.items()}
    raise ValueError(f"{path} holds no UNet of SD1.5's layout: no input_blocks.0.0.weight in it.")


def read_start(path: Path) -> dict[str, Tensor]:
    """The tensors of a file that a stage starts from; raises FileNotFoundError without one."""
    import comfy.utils

    if not path.exists():
        raise FileNotFoundError(
            f"There is no {path}: run python -m training.base first, or name a file of SD1.5's "
            "UNet as flashface.start."
        )
    return comfy.utils.load_torch_file(str(path), safe_load=True)


def measure(model: text.Captioned, held_out: Latents, folder: Path, step: int) -> None:
    """Note the loss of held-out people's photos, over t and in heads."""
    device = next(model.parameters()).device
    photos = stage.held_out_photos(held_out)

    def predict(inputs: dict[str, Tensor], _region: Tensor) -> Tensor:
        return model(**inputs)

    whole, inside = stage.held_out_loss(predict, held_out, photos, device)
    record.note(folder, step, held_out=float(np.mean(whole)), held_out_over_t=whole,
                held_out_in_heads=inside)  # fmt: skip


@torch.no_grad()
def save_previews(
    model: text.Captioned,
    held_out: Latents,
    none: np.ndarray,
    coder: Coder,
    folder: Path,
    step: int,
) -> None:
    """Save a grid: some held-out photos, and what their captions alone give."""
    device = next(model.parameters()).device
    photos = torch.from_numpy(stage.held_out_photos(held_out))
    photos = photos[:: max(1, len(photos) // SHOWN)][:SHOWN]
    tokens = held_out.tokens[photos, 0].long().to(device)
    empty = torch.from_numpy(none).to(device).expand_as(tokens)
    clean = held_out.targets[photos].float()
    noise = torch.randn(clean.shape, generator=torch_random_of(1)).to(device)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        y, u = (model(x, t, text_tokens) for text_tokens in (tokens, empty))
        return diffusion.guided(u, y, None, PREVIEW_CFG, 0.0)

    painted = diffusion.ddim(predict, noise, PREVIEW_STEPS)
    rows = [coder.decode(row.cpu()).permute(0, 2, 3, 1).numpy() for row in (clean, painted)]
    record.save_grid(folder / "grids" / f"step-{step:07d}.png", [list(row) for row in rows], 2)


if __name__ == "__main__":
    sys.exit(host.run_stage("base", (__doc__ or "").partition("\n")[0], train))
