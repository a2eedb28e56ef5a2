"""Puts a person with a pose onto positive and negative prompts.

f = f_null + w (f_mix - f_null) on the positive, f_null on the negative
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import shown
from ..images import to_rgb
from .control import FaceSnapControl, apply_control
from .identity import Identity
from .model import FaceSnapModel

log = logging.getLogger(__name__)

BLACK = 64  # side of the picture that stands for no landmarks
DARK, COLOURED = 0.1, 0.25
MOSTLY = 0.5  # share of a landmark picture that dots never reach


@dataclass(frozen=True, eq=False)
class Person:
    """Who, how and where. landmarks: (B, H, W, 3), 0..1, or None. mask: (B, H, W), 0..1, or None.

    strength: s, of the residuals. identity_strength: w. start, end: percents of the sampling.
    """

    identity: Identity
    landmarks: Tensor | None = None
    strength: float = 1.0
    identity_strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None


def apply_person(
    model: FaceSnapModel, person: Person, positive: list, negative: list
) -> tuple[list, list]:
    """Both CONDITIONINGs with FFRNet on top; as they are where it would never count.

    Raises IdentityError for an identity of other encoders than the model's, ValueError for pictures
    or masks that are none.
    """
    if person.strength == 0 or person.start >= person.end:
        return positive, negative
    mixed, null = model.tokens(person.identity), model.null_tokens()
    # exact at 0 and at 1
    tokens = torch.lerp(null, mixed, person.identity_strength)
    control = _control(model, person, null)
    made: dict[Any, FaceSnapControl] = {}
    return (
        apply_control(positive, control, tokens, made),
        apply_control(negative, control, null, made),
    )


def _control(model: FaceSnapModel, person: Person, null: Tensor) -> FaceSnapControl:
    hint = _drawing(person.landmarks)
    control = model.control.copy()
    control.null, control.mask = null, _mask(person.mask)
    control.set_cond_hint(hint.movedim(-1, 1), person.strength, (person.start, person.end))
    return control


def _drawing(given: Tensor | None) -> Tensor:
    """Pictures of landmarks (B, H, W, 3), a black one for none."""
    if given is None:
        return torch.zeros(1, BLACK, BLACK, 3)
    if given.ndim != 4 or not given.numel() or given.shape[-1] not in (1, 3, 4):
        raise ValueError(
            "landmark_image should be pictures (B, height, width, 3), got "
            f"{shown(tuple(given.shape))}. Connect landmark_image of Predict Landmarks."
        )
    hint = to_rgb(given)
    if _is_no_drawing(hint):
        log.warning(
            "landmark_image is not black around its dots, so it looks like no picture of "
            "landmarks. Connect landmark_image of Predict Landmarks."
        )
    return hint


def _mask(given: Tensor | None) -> Tensor | None:
    """(B, H, W) in 0..1."""
    if given is None:
        return None
    if given.ndim not in (2, 3, 4) or not given.numel():
        raise ValueError(
            f"region_mask should be a mask (B, height, width), got {shown(tuple(given.shape))}. "
            "Connect face_mask of Predict Landmarks, or another mask."
        )
    return given.float().clamp(0, 1).reshape(-1, *given.shape[-2:])


def _is_no_drawing(pictures: Tensor) -> bool:
    return float((pictures.amax(-1) > DARK).float().mean()) > MOSTLY
