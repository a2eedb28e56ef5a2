"""What a step sees: people, targets, references, captions and dropouts, from latents in memory.

A batch is a function of (seed, step): it is drawn whole, and each process takes its part. So
resuming needs only the step's number, and two processes see what one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .config import Stage
from .diffusion import stratified_times
from .shards import HELD_OUT_FROM
from .steps import random_of, torch_random_of
from .text import with_strangers

DATA = 2  # of the random numbers
DUPLICATE_BITS = 4
STRANGERS = 0.2
OTHER_REFERENCE_TEXT = 0.2


@dataclass(frozen=True)
class Latents:
    """All photos of some sets. M photos, h = size / 8, f = face size / 8.

    targets: (M, 4, h, h) and faces: (M, 4, f, f), unit latents, fp16. regions: (M, 1, h, h), 0 or
    1. heads: (M, 1, h, h), 0..255. tokens: (M, C, 77) of C captions. hashes, people: (M,).
    """

    targets: Tensor
    faces: Tensor
    regions: Tensor
    heads: Tensor
    tokens: Tensor
    hashes: Tensor
    people: Tensor

    def photos_of(self) -> dict[int, np.ndarray]:
        """Person -> indices of their photos."""
        people = self.people.numpy()
        order = np.argsort(people, kind="stable")
        names, starts = np.unique(people[order], return_index=True)
        return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))


@dataclass(frozen=True)
class Batch:
    """B samples in B / share groups that stand together; a group has one person and one t.

    references: (G, N, 4, f, f), None without. sees: (B,) bool, who sees them. region: (B, 1, h, h)
    with zeros where it was dropped. tokens: (B, 77), the empty prompt's where text was dropped.
    """

    latents: Tensor
    noise: Tensor
    t: Tensor
    tokens: Tensor
    region: Tensor
    heads: Tensor
    references: Tensor | None
    reference_tokens: Tensor
    sees: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All by name, but `rows`, the indices of those who see the references, for `sees`."""
        found = {name: value for name, value in vars(self).items() if value is not None}
        found["rows"] = found.pop("sees").nonzero().flatten()
        return found


def load_latents(folders: Sequence[Path], training: bool = True) -> Latents:
    """The latents of some sets.

    Raises FileNotFoundError where there are none, and ValueError where people who are held out
    would be trained on or photos have other numbers of captions.
    """
    from safetensors.torch import load_file

    files = [file for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    if not files:
        names = ", ".join(map(str, folders)) or "an empty list of sets"
        raise FileNotFoundError(f"No latents in {names}: run python -m training.latents first.")
    parts = [load_file(file) for file in files]
    for file, part in zip(files, parts, strict=True):
        if (count := part["tokens"].shape[1]) != (first := parts[0]["tokens"].shape[1]):
            raise ValueError(
                f"{file} has {count} captions a photo and {files[0]} has {first}: all photos need "
                "the same number of them."
            )
    latents = Latents(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    if training and bool((latents.people >= HELD_OUT_FROM).any()):
        raise ValueError(
            f"People from {HELD_OUT_FROM} on are held out for tests and must not be trained on. "
            "Take a set of the split 'train'."
        )
    return latents


class Sampler:
    """Draws batches; `none` are the tokens of the empty prompt, (77,).

    even: as many samples of every batch see their references, so that all have the same shapes.

    Raises ValueError where a batch is not whole groups, or nobody has photos for a group.
    """

    def __init__(
        self, latents: Latents, own: Stage, seed: int, none: np.ndarray, even: bool = False
    ) -> None:
        self.latents, self.own, self.seed, self.none = latents, own, seed, none
        self.even = even
        self.hashes = latents.hashes.numpy().view(np.uint64)
        self.tokens = latents.tokens.numpy()
        enough = {p: i for p, i in latents.photos_of().items() if len(i) > own.share}
        self.people, self.photos = list(enough), enough
        if own.batch % own.share:
            raise ValueError(
                f"A batch of {own.batch} is not whole groups of {own.share} targets that share "
                "references: make `batch` a multiple of `share`."
            )
        if not enough:
            raise ValueError(
                f"Nobody in the sets has more than {own.share} photos, and a group takes "
                f"{own.share} of a person and another one to see: add photos, or lower `share`."
            )

    def draw(self, step: int, with_references: bool) -> Batch:
        """The whole batch of a step."""
        own, random = self.own, random_of(self.seed, DATA, step)
        noise_random = torch_random_of(self.seed, DATA, step, 1)
        groups = own.batch // own.share
        count = int(random.integers(1, own.references + 1))
        chosen = [self._group(random, count) for _ in range(groups)]
        targets = torch.from_numpy(np.concatenate([group[0] for group in chosen]))
        faces = torch.from_numpy(np.stack([group[1] for group in chosen]))
        both = self._chosen(random, own.drop_both)
        no_text = both | (random.random(own.batch) < own.drop_text)
        sees = ~(both | self._chosen(random, own.drop_references, ~both))
        shown = torch.from_numpy(random.random(own.batch) >= own.drop_region)
        captions = [
            self._caption(random, int(targets[i]), bool(no_text[i])) for i in range(own.batch)
        ]
        other = random.random() < OTHER_REFERENCE_TEXT
        reference_text = self._caption(random, int(random.integers(len(self.tokens))), not other)
        latents = self.latents.targets[targets].float()
        return Batch(
            latents=latents,
            noise=torch.randn(latents.shape, generator=noise_random),
            t=stratified_times(groups, noise_random).repeat_interleave(own.share),
            tokens=torch.from_numpy(np.stack(captions)).long(),
            region=self.latents.regions[targets].float() * shown.view(-1, 1, 1, 1),
            heads=self.latents.heads[targets].float() / 255,
            references=self.latents.faces[faces].float() if with_references else None,
            reference_tokens=torch.from_numpy(reference_text).long().unsqueeze(0),
            sees=torch.from_numpy(sees),
        )

    def _group(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Targets of one person, and as many other photos that are no duplicates of them."""
        photos = self.photos[self.people[int(random.integers(len(self.people)))]]
        order = random.permutation(photos)
        targets, rest = order[: self.own.share], order[self.own.share :]
        fit = [i for i in rest if min(self._bits(i, j) for j in targets) > DUPLICATE_BITS]
        # Where all are near-duplicates the farthest one has to do.
        fit = fit or [max(rest, key=lambda i: min(self._bits(i, j) for j in targets))]
        return targets, np.resize(np.array(fit), count)

    def _chosen(
        self, random: np.random.Generator, share: float, among: np.ndarray | None = None
    ) -> np.ndarray:
        """Which samples of a batch are among this share of them, or of some of them, (B,) bool."""
        drawn = random.random(self.own.batch)
        if not self.even:
            return drawn < share
        drawn[~among if among is not None else []] = 2.0
        count = round(share * (self.own.batch if among is None else int(among.sum())))
        return drawn.argsort().argsort() < count

    def _bits(self, i: int, j: int) -> int:
        return int(self.hashes[i] ^ self.hashes[j]).bit_count()

    def _caption(self, random: np.random.Generator, photo: int, empty: bool) -> np.ndarray:
        own = self.tokens[photo]
        tokens = own[int(random.integers(len(own)))]
        return self.none if empty else with_strangers(tokens, random, STRANGERS)
