"""Paints many pictures at once: every branch of every condition of some people, step by step.

The steps are those of FlashFace Sigmas, Euler over noise levels is DDIM, and who sees references
when is asked of the pack's own Schedule, so that the nodes give the same numbers. What does not
differ between pictures is computed once: ReferenceNet for each person and step, whatever the
conditions, and the keys and values of each prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flashface_core.flashface.guidance import add_reference_guidance, rescale, trailing_timesteps

from .. import diffusion, flashface, stage, text
from ..config import Config, Evaluate
from .conditions import Condition

if TYPE_CHECKING:
    from flashface_core.flashface.attention import ReferenceTokens


@dataclass(frozen=True)
class Sitters:
    """P people to paint. noise: (P, 4, h, w). region: (P, 1, h, h). faces: (P, N, 4, f, f).

    prompts: for each kind P texts.
    """

    noise: Tensor
    region: Tensor
    faces: Tensor
    prompts: dict[str, list[str]]


@dataclass(frozen=True)
class Row:
    """One sample of an evaluation: a branch of a condition, for every person.

    prompt: a kind, or "" for the empty prompt. references, strength: what it sees.
    """

    condition: int
    prompt: str
    references: int
    strength: float


def load_network(config: Config, run: Path) -> text.Captioned:
    """The exported network and words of a run, on the recipe's device."""
    from safetensors.torch import load_file

    from .. import graph

    path = run / flashface.EXPORT
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}: run python -m training.flashface first.")
    net = graph.FlashFace(stage.sizes_of(config.network))
    graph.load_compact(net, {name: t.float() for name, t in load_file(path).items()})
    clip = config.network.clip
    words = text.Clip(Path(clip).expanduser()) if clip else stage.load_words(run / stage.WORDS)
    return text.Captioned(net, words).eval().requires_grad_(False).to(config.device)


def rows_of(index: int, condition: Condition, timestep: int) -> list[Row]:
    """The branches u, y and, past the launch, r that a condition needs at a timestep.

    As the pack plans them: two with references where there is no reference guidance, otherwise two
    without and one with.
    """
    schedule = condition.schedule()
    percent = 1 - timestep / (diffusion.STEPS - 1)
    launched = timestep <= (1 - schedule.launch_percent) * (diffusion.STEPS - 1) + 1e-3
    s = schedule.strength_at(percent, launched, condition.strength)
    seen = condition.references if s else 0
    if not seen or schedule.guidance_at(percent, launched) == 0:
        return [Row(index, "", seen, s), Row(index, condition.prompt, seen, s)]
    both = [Row(index, "", 0, 0.0), Row(index, condition.prompt, 0, 0.0)]
    return [*both, Row(index, condition.prompt, seen, s)]


def paint(
    model: text.Captioned,
    sitters: Sitters,
    conditions: Sequence[Condition],
    own: Evaluate,
    progress: Callable[[], object] = lambda: None,
) -> Tensor:
    """The latents of every condition of every person, (C, P, 4, h, w), on the CPU."""
    device = next(model.parameters()).device
    sitting = _Sitting(model, sitters, conditions, own, device)
    people, count = len(sitters.noise), len(conditions)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        progress()
        found = sitting.evaluate(x.unflatten(0, (count, people)), int(t[0]))
        return found.flatten(0, 1)

    noise = sitters.noise.to(device).repeat(count, 1, 1, 1)
    times = [round(t) for t in trailing_timesteps(own.steps)]
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=own.precision == "bf16")
    with torch.inference_mode(), autocast:
        return diffusion.ddim(predict, noise, times).unflatten(0, (count, people)).cpu()


class _Sitting:
    """Everything about some people and conditions that stays the same through the steps."""

    def __init__(
        self,
        model: text.Captioned,
        sitters: Sitters,
        conditions: Sequence[Condition],
        own: Evaluate,
        device: torch.device,
    ) -> None:
        self.net, self.conditions, self.own, self.device = model.net, conditions, own, device
        self.faces, self.region = sitters.faces.to(device), sitters.region.to(device)
        self.people = len(self.region)
        kinds = sorted({condition.prompt for condition in conditions})
        texts = ["", *(text for kind in kinds for text in sitters.prompts[kind])]
        unique = sorted(set(texts))
        tokens = torch.tensor([text.tokenize(own) for own in unique], device=device)
        with torch.no_grad():
            self.contexts = model.words(tokens)
        place = torch.tensor([unique.index(own) for own in texts], device=device)
        self.empty = self.contexts[place[:1]]
        people = place[1:].view(len(kinds), self.people)
        self.texts = dict(zip(kinds, people, strict=True)) | {"": place[:1].expand(self.people)}

    def evaluate(self, x: Tensor, timestep: int) -> Tensor:
        """The guided noise predictions of x (C, P, 4, h, w)."""
        tokens = self._tokens(timestep)
        rows = [row for i, own in enumerate(self.conditions) for row in rows_of(i, own, timestep)]
        found: dict[Row, Tensor] = {}
        at_once = max(1, self.own.batch // self.people)
        for count in sorted({row.references for row in rows}):
            alike = [row for row in dict.fromkeys(rows) if row.references == count]
            for start in range(0, len(alike), at_once):
                part = alike[start : start + at_once]
                predicted = self._predict(x, timestep, part, tokens)
                found |= dict(zip(part, predicted, strict=True))
        return torch.stack([
            self._guided([found[row] for row in rows_of(i, own, timestep)], own, timestep)
            for i, own in enumerate(self.conditions)
        ])  # fmt: skip

    def _guided(self, branches: list[Tensor], condition: Condition, timestep: int) -> Tensor:
        u, y, *r = branches
        out = diffusion.guided(u, y, None, self.own.cfg, 0.0)
        if r:
            percent = 1 - timestep / (diffusion.STEPS - 1)
            c = condition.schedule().guidance_at(percent, launched=True)
            out = add_reference_guidance(out, y, r[0], c)
        return rescale(out, y, self.own.rescale) if self.own.rescale else out

    def _tokens(self, timestep: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Keys and values (P, N * L, C) of everybody's references, by block."""
        if not any(condition.references for condition in self.conditions):
            return {}
        times = torch.full((self.people,), float(timestep), device=self.device)
        found = {}
        for block, features in self.net.features(self.faces, times, self.empty).items():
            layer = self.net.adapter.attention(block)
            found[block] = layer.to_k(features), layer.to_v(features)
        return found

    def _predict(
        self, x: Tensor, timestep: int, rows: Sequence[Row], tokens: dict[str, Any]
    ) -> Tensor:
        """(R, P, 4, h, w) of R rows, which all see as many references."""
        from comfy.ldm.modules.attention import optimized_attention

        from flashface_core.flashface.attention import HEADS

        from .. import graph

        batch = torch.cat([x[row.condition] for row in rows])
        which = torch.cat([self.texts[row.prompt] for row in rows])
        used, which = which.unique(return_inverse=True)

        def attend(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
            return optimized_attention(q, k[which], v[which], HEADS, transformer_options=options)

        predicted = self.net.predict(
            batch,
            torch.full((len(batch),), float(timestep), device=self.device),
            self.contexts[used],
            torch.cat([self._region_of(row) for row in rows]),
            self._seen(rows, tokens),
            replace={"attn2": dict.fromkeys(graph.all_blocks(), attend)},
        )
        return predicted.float().unflatten(0, (len(rows), self.people))

    def _region_of(self, row: Row) -> Tensor:
        given = self.conditions[row.condition].region
        return self.region if given else torch.zeros_like(self.region)

    def _seen(self, rows: Sequence[Row], tokens: dict[str, Any]) -> dict[str, ReferenceTokens]:
        from flashface_core.flashface.attention import ReferenceTokens

        count = rows[0].references
        if not count:
            return {}
        gain = torch.tensor([row.strength for row in rows], device=self.device)
        gain = gain.repeat_interleave(self.people).view(-1, 1, 1)
        log_weight = math.log(max(self.own.repeat_to, count) / count)
        found = {}
        for block, (key, value) in tokens.items():
            length = key.shape[1] // self.faces.shape[1] * count
            key, value = (t[:, :length].repeat(len(rows), 1, 1) for t in (key, value))
            bias = key.new_full((length,), log_weight) if log_weight else None
            found[block] = ReferenceTokens(key, value, bias, gain.to(key.dtype))
        return found
