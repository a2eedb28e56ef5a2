"""FLASHFACE_REFERENCE: the people of a picture, each as the latents of a few face crops.

ReferenceNet reads an identity's clean latents together with a text context (the negative prompt's
tokens). N crops weigh as `repeat_to` crops would: repeating a crop w times multiplies its tokens'
softmax mass by w, which is the same as adding log(w) to their attention logits, without the copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from .features import FeatureCache

THUMBNAIL = 96
LARGEST_WEIGHT = 6e4  # of a person: what 16 bits can hold


@dataclass(frozen=True, eq=False)
class Identity:
    """One person.

    latents: (N, 4, h, w) float32, VAE posterior means x 0.18215, on the CPU.
    context: (1, T, C) text tokens that ReferenceNet sees, on the CPU.
    log_weights: one number a crop, added to the attention logits of its tokens.
    weight: factor on the strength that a model applies this person with.
    thumbnails: (N, THUMBNAIL, THUMBNAIL, 3) uint8 of the crops, to show only; None if unknown.
    """

    latents: torch.Tensor
    context: torch.Tensor
    log_weights: tuple[float, ...]
    weight: float = 1.0
    features: FeatureCache = field(default_factory=FeatureCache, repr=False)
    thumbnails: torch.Tensor | None = field(default=None, repr=False)

    def __post_init__(self):
        assert self.latents.ndim == 4 and self.context.ndim == 3
        assert len(self.log_weights) == self.latents.shape[0]
        assert self.thumbnails is None or len(self.thumbnails) == self.latents.shape[0]

    @property
    def text_width(self) -> int:
        """Width C of the text tokens, 768 for SD1.5."""
        return self.context.shape[-1]

    def __str__(self) -> str:
        count, _, height, width = self.latents.shape
        faces = "1 face" if count == 1 else f"{count} faces"
        shares = sorted({round(math.exp(log), 2) for log in self.log_weights})
        each = f", each counted {shares[0]:g} times" if shares != [1.0] and len(shares) == 1 else ""
        return f"{faces} of {width * 8} x {height * 8} pixels{each}, weight {self.weight:g}"


@dataclass(frozen=True, eq=False)
class Reference:
    """What a FLASHFACE_REFERENCE socket carries: one identity, or several to be mixed."""

    identities: tuple[Identity, ...]

    def __str__(self) -> str:
        people = "1 person" if len(self.identities) == 1 else f"{len(self.identities)} people"
        return f"FlashFace reference of {people}: " + "; ".join(map(str, self.identities))

    __repr__ = __str__


def make_reference(
    latents: torch.Tensor,
    context: torch.Tensor,
    repeat_to: int,
    thumbnails: torch.Tensor | None = None,
) -> Reference:
    """A reference of one person.

    latents: (N, 4, h, w), scaled; context: (B, T, C), of which the first entry counts.
    repeat_to: N < repeat_to crops weigh repeat_to / N each; more crops weigh 1 each.
    thumbnails: of the crops, from `make_thumbnails`.
    Raises ValueError for latents or context of another rank, or that are not finite.
    """
    if latents.ndim != 4 or latents.shape[0] == 0:
        raise ValueError(f"Expected latents of shape (N, 4, h, w), got {list(latents.shape)}.")
    if context.ndim != 3:
        raise ValueError(f"Expected text tokens of shape (B, T, C), got {list(context.shape)}.")
    if not torch.isfinite(latents).all():
        raise ValueError(
            "The VAE gives latents of these faces that are not finite numbers (NaN or infinite): "
            "some VAEs overflow in fp16. Start ComfyUI with --bf16-vae or --fp32-vae, or connect "
            "another SD1.5 VAE."
        )
    if not torch.isfinite(context[:1].float()).all():
        raise ValueError(
            "The negative CONDITIONING holds numbers that are not finite (NaN or infinite). "
            "Encode the negative prompt again, with a text encoder in bf16 or fp32."
        )
    count = latents.shape[0]
    log_weight = math.log(max(repeat_to, count) / count)
    identity = Identity(
        latents=latents.detach().to("cpu", torch.float32),
        context=context[:1].detach().to("cpu"),
        log_weights=(log_weight,) * count,
        thumbnails=thumbnails,
    )
    return Reference((identity,))


def make_thumbnails(faces: torch.Tensor) -> torch.Tensor:
    """Small pictures (N, THUMBNAIL, THUMBNAIL, 3), uint8, of an IMAGE (N, H, W, 3)."""
    size = (THUMBNAIL, THUMBNAIL)
    pixels = faces.detach().to("cpu", torch.float32).movedim(-1, 1)
    small = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return small.clamp(0, 1).mul(255).round().to(torch.uint8).movedim(1, -1).contiguous()
