"""One sampling: who is active at which sigma, and the features of everybody at every timestep."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import comfy.utils
import torch
from torch import Tensor

from .. import referencenet
from ..features import FeatureCache, Features, size_in_bytes
from ..guidance import LAST_TIMESTEP
from ..reference import Identity
from .state import State

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

log = logging.getLogger(__name__)

SIGMA_TOLERANCE = 1e-5
"""Relative; float32 rounding of a sigma must not move it across a threshold. Steps are 5e-3."""


@dataclass(frozen=True)
class Active:
    """An identity that takes part in an evaluation. applied: index into State.applied."""

    identity: Identity
    strength: float
    applied: int


@dataclass(frozen=True)
class Plan:
    """What an evaluation at one sigma computes.

    twin: whether the positive prompt runs a second time, alone with the references. Without it,
    every prediction has the active references. guidance: c of the twin.
    """

    timestep: int
    active: tuple[Active, ...]
    guidance: float

    @property
    def twin(self) -> bool:
        return self.guidance != 0 and bool(self.active)


class Run:
    """What stays the same through one sampling."""

    def __init__(self, state: State, patcher: "ModelPatcher", latent_shape: Iterable[int] | None):
        self.state = state
        self.latent_size: tuple[int, int] | None = None
        if latent_shape is not None:
            *_, height, width = latent_shape
            self.latent_size = (height, width)
        self.last: tuple[tuple[Tensor, Tensor | None], Tensor] | None = None
        self._patcher = patcher
        self._sampling: Any = patcher.get_model_object("model_sampling")
        self._timesteps: dict[float, int] = {}
        self._windows = [
            (self._sigma(applied.start_percent), self._sigma(applied.end_percent))
            for applied in state.applied
        ]
        schedule = state.guidance.schedule if state.guidance else None
        self._launch = self._sigma(schedule.launch_percent) if schedule else math.inf
        self._masks: dict[Any, Tensor] = {}
        self._twins: dict[UUID, UUID] = {}
        self._warned: set[str] = set()

    def plan(self, sigma: float) -> Plan:
        """Return what an evaluation at this sigma computes."""
        if sigma not in self._timesteps:
            self._look_up([sigma])
        timestep = self._timesteps[sigma]
        percent = 1 - timestep / LAST_TIMESTEP
        launched = _reached(sigma, self._launch)
        schedule = self.state.guidance.schedule if self.state.guidance else None
        active = []
        for index, (applied, (start, end)) in enumerate(
            zip(self.state.applied, self._windows, strict=True)
        ):
            if not _reached(sigma, start) or sigma < end * (1 - SIGMA_TOLERANCE):
                continue
            strength = applied.strength
            if schedule is not None:
                strength = schedule.strength_at(percent, launched, strength)
            for identity in applied.reference.identities:
                if strength * identity.weight != 0:
                    active.append(Active(identity, strength * identity.weight, index))
        guidance = schedule.guidance_at(percent, launched) if schedule else 0.0
        return Plan(timestep, tuple(active), guidance)

    def twin_of(self, uuid: UUID) -> UUID:
        """Return the id of a conditioning's twin, one for the whole run: caches rely on it."""
        return self._twins.setdefault(uuid, uuid4())

    def is_twin(self, uuid: UUID) -> bool:
        """Whether a conditioning is a twin made by this run."""
        return uuid in self._twins.values()

    def prepare(self, sigmas: Tensor) -> None:
        """Compute the features that the scheduled steps will need and nobody kept.

        Loads ReferenceNet alone, shows progress, can be interrupted. Sigmas of a sampler's own
        making between the scheduled ones are served by `features` when they are met.
        """
        # By their features: somebody may be there twice, under two weights.
        wanted: dict[FeatureCache, tuple[Identity, list[int]]] = {}
        scheduled = sorted({s for s in sigmas[:-1].tolist() if s > 0}, reverse=True)
        self._look_up(scheduled)
        for sigma in scheduled:
            plan = self.plan(sigma)
            for identity in (active.identity for active in plan.active):
                _, times = wanted.setdefault(identity.features, (identity, []))
                kept = self._kept(identity, plan.timestep)
                if kept is None and plan.timestep not in times:
                    times.append(plan.timestep)
        total = sum(len(times) * identity.latents.shape[0] for identity, times in wanted.values())
        if total == 0:
            return
        progress = comfy.utils.ProgressBar(total)
        for identity, times in wanted.values():
            if times:
                self._compute_ahead(identity, times, progress)

    def features(self, identity: Identity, timestep: int) -> Features:
        """Return an identity's features at a timestep, on the offload device."""
        kept = self._kept(identity, timestep)
        if kept is None:
            self._take_hooks_off()
            rows = identity.latents.shape[0]
            _, kept = next(referencenet.compute(self._referencenet, identity, [timestep], rows))
            identity.features.put(self._key(timestep), kept)
        return kept

    def mask(self, mask: Tensor, size: tuple[int, int], mode: str, like: Tensor) -> Tensor | None:
        """Return a mask (B, H, W) at a latent's size as (B, 1, h, w), None where it has no place.

        mode: of interpolation; "nearest" takes every 8th pixel of a mask of the picture's size.
        A latent that is not the run's whole picture is a tile, whose place is not known here.
        """
        if self.latent_size is not None and size != self.latent_size:
            self.warn_of_tiles(size)
            return None
        key = (id(mask), size, mode, like.device)
        if key not in self._masks:
            pixels = mask.reshape(-1, 1, *mask.shape[-2:]).to(like.device, torch.float32)
            self._masks[key] = torch.nn.functional.interpolate(pixels, size, mode=mode)
        return self._masks[key]

    def warn_of_tiles(self, size: tuple[int, int]) -> None:
        """Log, once, that a tile of this latent size has no place in the run's whole picture."""
        whole = ""
        if self.latent_size is not None:
            height, width = self.latent_size
            whole = f" of {width * 8} x {height * 8}"
        self.warn_once(
            f"This sampling works on tiles ({size[1] * 8} x {size[0] * 8} pixels{whole}): face "
            "region and attention masks are left out, because they belong to the whole picture."
        )

    def replaces_parts(self) -> bool:
        """Whether this model has other modules or functions in the UNet than core's own."""
        return any(name.startswith("diffusion_model.") for name in self._patcher.object_patches)

    def warn_once(self, text: str) -> None:
        """Log a warning the first time that it is given in this run."""
        if text not in self._warned:
            self._warned.add(text)
            log.warning(text)

    def _look_up(self, sigmas: list[float]) -> None:
        """Note the timesteps of sigmas, all at once: the host waits for the device to know them."""
        timesteps = self._sampling.timestep(torch.tensor(sigmas)).tolist()
        self._timesteps.update(zip(sigmas, map(int, timesteps), strict=True))

    def _compute_ahead(self, identity: Identity, times: list[int], progress: Any) -> None:
        self._take_hooks_off()
        patcher = self._referencenet
        count = identity.latents.shape[0]
        rows = min(referencenet.rows_per_batch(patcher, identity), count * len(times))
        referencenet.load(patcher, rows, identity)
        for done, (timestep, features) in enumerate(
            referencenet.compute(patcher, identity, times, rows), start=1
        ):
            identity.features.put(self._key(timestep), features)
            progress.update(count)
            if (done + 1) * size_in_bytes(features) > identity.features.limit:
                return  # more would push out what was just computed

    def _take_hooks_off(self) -> None:
        """Restore the UNet: hooks write LoRA into weights whose memory ReferenceNet may share."""
        current = getattr(self._patcher.model, "current_patcher", None)
        if current is not None:
            current.apply_hooks(None)

    @property
    def _referencenet(self) -> "ModelPatcher":
        assert self.state.model is not None
        return self.state.model.referencenet

    def _key(self, timestep: int) -> tuple[Any, int]:
        assert self.state.model is not None
        return self.state.model.fingerprint, timestep

    def _kept(self, identity: Identity, timestep: int) -> Features | None:
        return identity.features.get(self._key(timestep))

    def _sigma(self, percent: float) -> float:
        return float(self._sampling.percent_to_sigma(percent))


def _reached(sigma: float, threshold: float) -> bool:
    return sigma <= threshold * (1 + SIGMA_TOLERANCE)
