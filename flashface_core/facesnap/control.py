"""FFRNet as a ControlNet of ComfyUI's, and how it gets onto conditioning.

    UNet skip_b += s m_b c_b         c = FFRNet(z_t, landmarks, t; context = f)
    f = f_null + w (f_mix - f_null) on the positive, f_null on the negative

It is a ControlNet like others, so that every MODEL, LoRA, sampler and guider takes it. Its tokens
ride in each entry of conditioning, under a key of their own for each FaceSnap below: a ControlNet
beneath goes on reading the text, and however a guider numbers its prompts, each has its own tokens.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import comfy.conds
import comfy.controlnet
import comfy.model_management
import comfy.utils
import torch
import torch.nn.functional as F
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..errors import for_users

log = logging.getLogger(__name__)

KEY = "facesnap_"
Residuals = dict[str, list[Tensor | None]]


@for_users
class WrongModelError(ValueError):
    """A MODEL that a FaceSnap file was not made for; the text says which one it needs."""


class FaceSnapControl(comfy.controlnet.ControlNet):
    """key: of its tokens in an entry of conditioning. null: f_null (1, N, C). mask: m or None.

    title: the file and its base, for the error about another base. mask: (B, H, W).
    """

    key: str = KEY + "0"
    title: str = ""
    text_width: int = 0
    null: Tensor | None = None
    mask: Tensor | None = None

    def __init__(self, patcher: ModelPatcher, manual_cast_dtype: torch.dtype | None) -> None:
        super().__init__(None, load_device=patcher.load_device, manual_cast_dtype=manual_cast_dtype)
        self.control_model: Any = patcher.model
        self.control_model_wrapped = patcher
        self._fitted: dict[Any, Tensor] = {}
        self._told = False

    def copy(self) -> FaceSnapControl:
        """The same networks, for another place in the conditioning or on another device."""
        made = FaceSnapControl(self.control_model_wrapped, self.manual_cast_dtype)
        self.copy_to(made)
        for name in ("key", "title", "text_width", "null", "mask"):
            setattr(made, name, getattr(self, name))
        return made

    def pre_run(self, model: Any, percent_to_timestep_function: Any) -> None:
        """Called before sampling; raises WrongModelError for a MODEL of another base."""
        check_base(self, model)
        super().pre_run(model, percent_to_timestep_function)

    def cleanup(self) -> None:
        """Called after sampling: what was made for it is dropped."""
        super().cleanup()
        self._fitted = {}
        self._told = False

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict, batched_number: int, transformer_options: dict
    ) -> Residuals | None:
        """The residuals of this FFRNet and of all ControlNets beneath, None for none."""
        previous = None
        if self.previous_controlnet is not None:
            previous = self.previous_controlnet.get_control(
                x_noisy, t, cond, batched_number, transformer_options
            )
        frames = frames_of(x_noisy, batched_number, transformer_options)
        self._place_hint(x_noisy, frames, batched_number)
        seen = {**cond, "crossattn_controlnet": self._tokens(cond, x_noisy)}
        with _alone(self):
            own = super().get_control(x_noisy, t, seen, batched_number, transformer_options)
        if own is None:
            return previous
        if self.mask is not None:
            shape = tuple(x_noisy.shape[-2:])
            own = {
                place: [c if c is None else c * self._mask_for(c, frames, shape) for c in residuals]
                for place, residuals in own.items()
            }
        return own if previous is None else added(own, previous)

    def _tokens(self, cond: dict, x_noisy: Tensor) -> Tensor:
        found = cond.get(self.key)
        if found is not None:
            return found
        if not self._told:
            log.warning(
                "A node between Apply FaceSnap and the sampler has dropped the person's tokens "
                "from the conditioning, so that nobody in particular is drawn. Put Apply FaceSnap "
                "behind it."
            )
            self._told = True
        assert self.null is not None
        return self.null.expand(x_noisy.shape[0], -1, -1)

    def _place_hint(self, x_noisy: Tensor, frames: list[int], batched_number: int) -> None:
        """Lay out several pictures; ComfyUI would count them from 0 in every window."""
        given = self.cond_hint_original
        if len(given) == 1:
            return
        height, width = (n * self.compression_ratio for n in x_noisy.shape[-2:])
        dtype = self.manual_cast_dtype or self.control_model.dtype
        key = ("hint", height, width, tuple(frames), batched_number, x_noisy.device)
        if key not in self._fitted:
            rows = given[[frame % len(given) for frame in frames]]
            rows = comfy.utils.common_upscale(rows, width, height, self.upscale_algorithm, "center")
            self._fitted[key] = rows.to(x_noisy.device, dtype).repeat(batched_number, 1, 1, 1)
        self.cond_hint = self._fitted[key]

    def _mask_for(self, residual: Tensor, frames: list[int], shape: tuple[int, ...]) -> Tensor:
        """m_b (1 or B, 1, h, w): the mask of each picture, averaged to the residual's size.

        shape: of the latent, whose proportions the mask is cut to.
        """
        assert self.mask is not None
        size, many = tuple(residual.shape[-2:]), len(self.mask) > 1
        key = ("mask", size, shape, tuple(frames) if many else (), residual.device, residual.dtype)
        if key not in self._fitted:
            rows = self.mask[[frame % len(self.mask) for frame in frames]] if many else self.mask
            # Cut about the middle as core cuts the hint, so that both stay together.
            rows = _of_shape(rows[:, None].float(), *shape)
            small = F.interpolate(rows, size, mode="area")
            self._fitted[key] = small.to(residual.device, residual.dtype)
        found = self._fitted[key]
        return found.repeat(len(residual) // len(found), 1, 1, 1) if many else found


def _of_shape(rows: Tensor, height: int, width: int) -> Tensor:
    """The middle of pictures (B, 1, H, W) that has the proportions of height and width."""
    high, wide = rows.shape[-2:]
    top = left = 0
    if wide / high > width / height:
        left = round((wide - wide * (width / height) / (wide / high)) / 2)
    elif wide / high < width / height:
        top = round((high - high * (wide / high) / (width / height)) / 2)
    return rows[..., top : high - top, left : wide - left]


@contextlib.contextmanager
def _alone(control: FaceSnapControl) -> Iterator[None]:
    """Without the ControlNets beneath, which core's own function would run too."""
    beneath = control.previous_controlnet
    control.previous_controlnet = None
    try:
        yield
    finally:
        control.previous_controlnet = beneath


def frames_of(x_noisy: Tensor, batched_number: int, transformer_options: dict) -> list[int]:
    """Which pictures of the latent's batch a call is about, for one prompt of it.

    Where a node samples in windows, core's and AnimateDiff-Evolved's tell of them.
    """
    count = max(1, x_noisy.shape[0] // max(1, batched_number))
    window = transformer_options.get("context_window")
    told = getattr(window, "index_list", None) if getattr(window, "dim", 0) == 0 else None
    told = told or (transformer_options.get("ad_params") or {}).get("sub_idxs")
    return list(told) if told is not None and len(told) == count else list(range(count))


def added(own: Residuals, previous: Residuals) -> Residuals:
    """The sums of two sets of residuals; neither is changed."""
    found: Residuals = {}
    for place in ("input", "middle", "output"):
        ours, theirs = own.get(place) or [], previous.get(place) or []
        pairs = [
            (
                ours[i] if i < len(ours) else None,
                theirs[i] if i < len(theirs) else None,
            )
            for i in range(max(len(ours), len(theirs)))
        ]
        found[place] = [b if a is None else a if b is None else b + a for a, b in pairs]
    return found


def apply_control(
    conditioning: list,
    control: FaceSnapControl,
    tokens: Tensor,
    made: dict[Any, FaceSnapControl],
) -> list:
    """The entries of a CONDITIONING with FFRNet on top, each with its tokens (1, N, C).

    made: the controls that others of the same node got, by the ControlNet beneath: prompts that
    share theirs are computed in one batch.
    """
    found = []
    for text, given in conditioning:
        entry = given.copy()
        beneath = entry.get("control")
        if beneath not in made:
            made[beneath] = control.copy()
            made[beneath].key = f"{KEY}{_count(beneath)}"
            made[beneath].set_previous_controlnet(beneath)
        own = made[beneath]
        entry["control"], entry["control_apply_to_uncond"] = own, False
        conds = {**entry.get("model_conds", {}), own.key: comfy.conds.CONDRegular(tokens)}
        entry["model_conds"] = conds
        found.append([text, entry])
    return found


def _count(control: Any) -> int:
    """How many FaceSnaps there are in a chain of ControlNets."""
    count = 0
    while control is not None:
        count += isinstance(control, FaceSnapControl)
        control = control.previous_controlnet
    return count


def check_base(control: FaceSnapControl, model: Any) -> None:
    """Raise WrongModelError where FFRNet's residuals or tokens do not fit a BaseModel's UNet."""
    net, unet = control.control_model, model.diffusion_model
    config = model.model_config.unet_config
    own = (control.text_width, net.model_channels, list(net.channel_mult), list(net.num_res_blocks))
    widths = config.get("context_dim"), getattr(unet, "model_channels", None)
    levels = (list(config.get(name) or []) for name in ("channel_mult", "num_res_blocks"))
    pooled = net.num_classes is None or config.get("adm_in_channels") is not None
    if pooled and own == (*widths, *levels):
        return
    kind = type(model.model_config).__name__
    if widths[0] is None:
        has = f"{kind}, another kind of network"
    else:
        has = f"{kind}: text width {widths[0]}, {widths[1]} channels"
    raise WrongModelError(
        f"{control.title}, with {own[1]} channels; this MODEL is {has}. Load a checkpoint of that "
        "base, or a FaceSnap model that was trained for this MODEL."
    )
