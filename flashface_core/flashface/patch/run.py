"""One sampling: its plans, its masks, and the features of everybody at every timestep."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID, uuid4

from torch import Tensor

from .. import referencenet
from ..features import FeatureCache, Features, size_in_bytes
from ..reference import Identity
from .masks import Masks
from .plan import Plan, Planner
from .progress import Reading
from .state import State

if TYPE_CHECKING:
    from comfy.model_patcher import ModelPatcher

log = logging.getLogger(__name__)


class Predictions(NamedTuple):
    """Denoised results of the positive prompt, (B, C, h, w).

    y: without references. r: with them, None before the launch. x: the noisy latent of both.
    """

    y: Tensor
    r: Tensor | None
    x: Tensor

    def moved_to(self, x: Tensor) -> Predictions:
        """These for another latent, as LazyCache moves what it keeps."""
        step = x - self.x
        return Predictions(self.y + step, None if self.r is None else self.r + step, x)


class Run:
    """What stays the same through one sampling.

    last: of the latest evaluation, for those in which a caching patch never asks the model.
    """

    def __init__(self, state: State, patcher: ModelPatcher, latent_shape: Iterable[int] | None):
        self.state = state
        self.masks = Masks(None if latent_shape is None else tuple(latent_shape))
        self.last: Predictions | None = None
        self._patcher = patcher
        self._planner = Planner(state, patcher.get_model_object("model_sampling"))
        self._twins: dict[UUID, UUID] = {}
        self._copies: dict[UUID, UUID] = {}
        self._warned: set[str] = set()

    def plan(self, sigma: float) -> Plan:
        """What an evaluation at this sigma computes."""
        return self._planner.plan(sigma)

    def twin_of(self, uuid: UUID) -> UUID:
        """The id of a conditioning's twin, one for the whole run: caches rely on it."""
        return self._twins.setdefault(uuid, uuid4())

    def is_twin(self, uuid: UUID) -> bool:
        """Whether a conditioning is a twin made by this run."""
        return uuid in tuple(self._twins.values())  # other GPUs' threads may add some

    def copy_of(self, uuid: UUID) -> UUID:
        """The id of a copy of a conditioning that keeps the twin company."""
        return self._copies.setdefault(uuid, uuid4())

    def prepare(self, sigmas: Tensor) -> None:
        """Compute the features that the scheduled steps will need and nobody kept.

        Loads ReferenceNet alone, shows progress, can be interrupted. Sigmas of a sampler's own
        making between the scheduled ones are served by `features` when they are met.
        """
        # By their features: somebody may be there twice, under two weights.
        wanted: dict[FeatureCache, tuple[Identity, list[int]]] = {}
        scheduled = sorted({s for s in sigmas[:-1].tolist() if s > 0}, reverse=True)
        self._planner.look_up(scheduled)
        if scheduled and float(sigmas[-1]) == 0:  # otherwise another sampling goes on from here
            self._check_that_guidance_acts(scheduled)
        for sigma in scheduled:
            plan = self.plan(sigma)
            for identity in (active.identity for active in plan.active):
                _, times = wanted.setdefault(identity.features, (identity, []))
                kept = self._kept(identity, plan.timestep)
                if kept is None and plan.timestep not in times:
                    times.append(plan.timestep)
        missing = [(identity, times) for identity, times in wanted.values() if times]
        if not missing:
            return
        progress = Reading(sum(len(times) for _, times in missing), len(missing))
        for identity, times in missing:
            self._compute_ahead(identity, times, progress)
        progress.close()

    def features(self, identity: Identity, timestep: int) -> Features:
        """An identity's features at a timestep, on the offload device."""
        kept = self._kept(identity, timestep)
        if kept is None:
            self._take_hooks_off()
            rows = identity.latents.shape[0]
            _, kept = next(referencenet.compute(self._referencenet, identity, [timestep], rows))
            identity.features.put(self._key(timestep), kept)
        return kept

    def warn_of_tiles(self, size: tuple[int, int]) -> None:
        """Log, once, that a tile of this latent size has no place in the run's whole picture."""
        whole = ""
        if self.masks.latent_size is not None:
            height, width = self.masks.latent_size
            whole = f" of {width * 8} x {height * 8}"
        self.warn_once(
            f"This sampling works on tiles ({size[1] * 8} x {size[0] * 8} pixels{whole}): face "
            "region and attention masks are left out, because they belong to the whole picture."
        )

    def warn_of_frames(self, count: int, total: int) -> None:
        """Log, once, that nobody knows which frames of all these are."""
        self.warn_once(
            f"This sampling works on {count} of {total} frames at a time: face regions "
            "and attention masks of single frames are left out, because nothing tells which they "
            "are."
        )

    def replaces_parts(self) -> bool:
        """Whether this model has other modules or functions in the UNet than core's own."""
        return any(name.startswith("diffusion_model.") for name in self._patcher.object_patches)

    def warn_once(self, text: str) -> None:
        """Log a warning the first time that it is given in this run."""
        if text not in self._warned:
            self._warned.add(text)
            log.warning(text)

    def _check_that_guidance_acts(self, scheduled: list[float]) -> None:
        """Warn where no step is past the launch. scheduled: sigmas, falling."""
        schedule = self.state.guidance.schedule if self.state.guidance else None
        if schedule is None or not self.state.applied:
            return
        if schedule.reference_guidance == 0 or schedule.launch_percent >= 1:
            return  # turned off
        if self._planner.launched(scheduled[-1]):
            return
        steps = "1 step" if len(scheduled) == 1 else f"{len(scheduled)} steps"
        last = math.floor(self._planner.percent(scheduled[-1]) * 1000) / 1000
        self.warn_once(
            f"FlashFace Guidance does not act in this sampling of {steps}: it "
            f"starts at {schedule.launch_percent:g} of the sampling (launch_percent), and the last "
            f"step is at {last:g}. Use at least {schedule.steps_to_act()} steps, or a "
            f"launch_percent of at most {last:g}."
        )

    def _compute_ahead(self, identity: Identity, times: list[int], progress: Reading) -> None:
        self._take_hooks_off()
        patcher = self._referencenet
        count = identity.latents.shape[0]
        rows = min(referencenet.rows_per_batch(patcher, identity), count * len(times))
        batch = max(1, rows // count)
        referencenet.load(patcher, rows, identity)
        for done, (timestep, features) in enumerate(
            referencenet.compute(patcher, identity, times, rows), start=1
        ):
            identity.features.put(self._key(timestep), features)
            if done % batch == 0 or done == len(times):
                progress.update((done - 1) % batch + 1)
            if (done + 1) * size_in_bytes(features) > identity.features.limit:
                return  # more would push out what was just computed

    def _take_hooks_off(self) -> None:
        """Restore the UNet: hooks write LoRA into weights whose memory ReferenceNet may share."""
        current = getattr(self._patcher.model, "current_patcher", None)
        if current is not None:
            current.apply_hooks(None)

    @property
    def _referencenet(self) -> ModelPatcher:
        assert self.state.model is not None
        return self.state.model.referencenet

    def _key(self, timestep: int) -> tuple[Any, int]:
        assert self.state.model is not None
        return self.state.model.fingerprint, timestep

    def _kept(self, identity: Identity, timestep: int) -> Features | None:
        return identity.features.get(self._key(timestep))
