"""Trains FlashFace on top of a base: python -m training.flashface RECIPE [KEY=VALUE ...]

Both UNets, reference attention and the region's convolution, all together. The cheapest sign that
identity is being learned is in the metrics from the first measurement on: the held-out loss with a
person's own references, with a stranger's and without any. `flashface.safetensors` is what the
pack's Load FlashFace Model reads.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from . import base, checkpoint, data, diffusion, host, loader, record, replay, stage, text
from .coder import Coder, load_coder
from .config import Config
from .course import Course
from .data import Latents
from .steps import follow, make_average, torch_random_of

EXPORT = "flashface.safetensors"
SHOWN, SHOWN_REFERENCES = 6, 4
PREVIEW_STEPS, PREVIEW_CFG, PREVIEW_C = 20, 4.0, 2.0


def train(config: Config) -> text.Captioned:
    """Train to the last step, or to a stop that was asked for; the averaged model."""
    host.enter(config.device == "cpu")
    own, run = config.flashface, host.runs_folder() / config.run
    accelerator = stage.make_accelerator(config)
    folder = run / "flashface"
    coder = load_coder(config, run)
    latents, held_out = stage.read_latents(config, run, coder.key)
    state = checkpoint.load_state(folder)
    model = start(config, run, latents, state).to(accelerator.device)
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
    if course.step and course.main:
        # Written after the states, since a run without one begins with this very file.
        stage.export_words(run / stage.WORDS, average.words)
    take_step = stage.make_step(wrapped, optimizer, own, config, accelerator, inputs_of)
    for batch in loader.batches(sampler, course, True, accelerator, config.workers):
        replay.set_rates(optimizer, course.rate)
        loss = take_step(batch.tensors())
        follow(average, accelerator.unwrap_model(wrapped), course.step, own.ema)
        course.note(loss)
        if course.measures:
            measure(average, held_out, none, folder, course.step)
            save_previews(average, held_out, none, coder, folder, course.step)
            course.begin_lap()
        if course.saves:
            # The export first: once the last state is there, nothing would write it again.
            export(run / EXPORT, average)
            stage.save(course, model, average, optimizer)
            stage.export_words(run / stage.WORDS, average.words)
            course.begin_lap()
    return average


def inputs_of(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the network is given of a batch's tensors."""
    more = {name: given[name] for name in ("region", "references", "reference_tokens", "rows")}
    return stage.inputs_of(given) | more


def start(
    config: Config, run: Path, latents: Latents, state: dict[str, Any] | None = None
) -> text.Captioned:
    """The network before the first step: the base, copied into ReferenceNet as the recipe says.

    state: of a run that goes on, whose words keep their rows.
    """
    from . import graph

    torch.manual_seed(config.seed)
    net = graph.FlashFace(stage.sizes_of(config.network))
    path = Path(config.flashface.start or run / base.EXPORT).expanduser()
    tensors = base.read_start(path)
    if "mask_conv.weight" in tensors:
        graph.load_compact(net, tensors)
    else:
        net.start_from(base.load_base(path), config.network.init)
    return text.Captioned(net, stage.make_words(config, latents, state, run / stage.WORDS))


def export(path: Path, model: text.Captioned, dtype: torch.dtype = torch.float32) -> None:
    """Write the network in the pack's compact format."""
    from flashface_core.flashface.checkpoint.reader import FORMAT_KEY, FORMAT_VERSION

    from . import graph

    tensors = graph.compact_tensors(model.net)
    cast = {name: tensor.detach().to(dtype) for name, tensor in tensors.items()}
    checkpoint.write_tensors(path, cast, {FORMAT_KEY: FORMAT_VERSION})


def measure(
    model: text.Captioned, held_out: Latents, none: np.ndarray, folder: Path, step: int
) -> None:
    """Note the held-out loss with own, a stranger's and no references, and the differences."""
    device = next(model.parameters()).device
    photos = stage.held_out_photos(held_out)
    faces = _others(held_out, photos, 2).to(device)
    empty = torch.from_numpy(none).unsqueeze(0).to(device)
    values: dict[str, object] = {}
    for name, references in (("own", faces), ("stranger", faces.roll(1, 0)), ("none", None)):

        def predict(
            inputs: dict[str, Tensor], region: Tensor, references: Tensor | None = references
        ) -> Tensor:
            shown = {} if references is None else {"reference_tokens": empty}
            return model(**inputs, region=region, references=references, **shown)

        whole, inside = stage.held_out_loss(predict, held_out, photos, device)
        values |= {f"{name}_over_t": whole, f"{name}_in_heads": inside}
        values[name] = float(np.mean(whole))
    gains = np.subtract(values["stranger_in_heads"], values["own_in_heads"])  # type: ignore[arg-type]
    record.note(folder, step, **values, identity_gain=float(np.mean(gains)))


@torch.no_grad()
def save_previews(
    model: text.Captioned,
    held_out: Latents,
    none: np.ndarray,
    coder: Coder,
    folder: Path,
    step: int,
) -> None:
    """Save a grid, a person a row: four references, painted with 0, 1 and 4 of them, the photo."""
    device = next(model.parameters()).device
    photos = stage.held_out_photos(held_out)
    photos = photos[:: max(1, len(photos) // SHOWN)][:SHOWN]
    faces = _others(held_out, photos, SHOWN_REFERENCES)
    tokens = held_out.tokens[torch.from_numpy(photos), 0].long().to(device)
    region = held_out.regions[torch.from_numpy(photos)].float().to(device)
    empty = torch.from_numpy(none).to(device).expand_as(tokens)
    clean = held_out.targets[torch.from_numpy(photos)].float()
    noise = torch.randn(clean.shape, generator=torch_random_of(1)).to(device)
    painted = []
    for count in (0, 1, SHOWN_REFERENCES):

        def predict(x: Tensor, t: Tensor, count: int = count) -> Tensor:
            u, y = (model(x, t, words, region=region) for words in (empty, tokens))
            r = None
            if count:
                shown = {"references": faces[:, :count].to(device), "reference_tokens": empty[:1]}
                r = model(x, t, tokens, region=region, **shown)
            return diffusion.guided(u, y, r, PREVIEW_CFG, PREVIEW_C)

        painted.append(diffusion.ddim(predict, noise, PREVIEW_STEPS).cpu())
    columns = [*faces.unbind(1), *painted, clean]
    pictures = [_at_size(coder.decode(column), clean.shape[-1] * 8) for column in columns]
    rows = [[column[i] for column in pictures] for i in range(len(photos))]
    record.save_grid(folder / "grids" / f"step-{step:07d}.png", rows)


def _others(latents: Latents, photos: np.ndarray, count: int) -> Tensor:
    """Face crops of other photos of the same people, (P, count, 4, f, f)."""
    own = latents.photos_of()
    people = latents.people.numpy()
    rows = [[i for i in own[int(people[photo])] if i != photo] or [photo] for photo in photos]
    return latents.faces[
        torch.from_numpy(np.stack([np.resize(row, count) for row in rows]))
    ].float()


def _at_size(pictures: Tensor, size: int) -> np.ndarray:
    scaled = torch.nn.functional.interpolate(pictures, (size, size), mode="bilinear")
    return scaled.permute(0, 2, 3, 1).numpy()


if __name__ == "__main__":
    sys.exit(host.run_stage("flashface", (__doc__ or "").partition("\n")[0], train))
