"""The trained judges: load_judges(folder) -> embed, identity, attributes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint import write_tensors
from .nets import FaceNet, PictureNet
from .photos import SIDE
from .views import as_pictures, face_crops

FACES, PICTURES = "faces.safetensors", "pictures.safetensors"
AT_ONCE = 128


@dataclass(frozen=True)
class Judges:
    """Pictures are (B, S, S, 3), uint8 or 0..1; boxes (B, 4): left, top, right, bottom in pixels.

    classes: the words of each attribute, in the order of their numbers. names: of the identity's
    numbers. Nobody whom they judge may be among the people they were trained on. Embedding and
    identity come from one trunk, so they are no two independent witnesses.
    """

    face: FaceNet
    picture: PictureNet
    face_size: int
    classes: dict[str, list[str]]
    names: list[str]

    def embed(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        """(B, D) unit vectors; cosines tell whether two pictures show one person."""
        return self._faces(pictures, boxes)[0]

    def identity(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        """(B, K): the renderer's numbers of the person, in its units."""
        numbers = self._faces(pictures, boxes)[1]
        return numbers * self.face.spread.cpu() + self.face.mean.cpu()

    def attributes(self, pictures: Tensor) -> dict[str, Tensor]:
        """For each attribute (B,) numbers of classes."""
        return {name: found.argmax(1) for name, found in self.logits(pictures).items()}

    def logits(self, pictures: Tensor) -> dict[str, Tensor]:
        """For each attribute (B, its classes), before a softmax."""
        found = _in_parts(lambda part: self.picture(as_pictures(part, SIDE)), self.device, pictures)
        return dict(zip(self.classes, found, strict=True))

    @property
    def device(self) -> torch.device:
        """Where the networks compute; answers come back to the CPU."""
        return next(self.face.parameters()).device

    def _faces(self, pictures: Tensor, boxes: Tensor) -> list[Tensor]:
        if len(boxes) != len(pictures):
            raise ValueError(f"{len(pictures)} pictures need as many boxes, got {len(boxes)}.")
        boxes = boxes.float() * (SIDE / pictures.shape[1])

        def look(part: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
            return self.face(face_crops(as_pictures(part, SIDE), own, self.face_size))

        return _in_parts(look, self.device, pictures, boxes)


def load_judges(folder: Path, device: str = "cpu") -> Judges:
    """The judges that `python -m training.judges` has left in a folder.

    Raises FileNotFoundError where they are not.
    """
    about, tensors = _read(folder / FACES)
    face = FaceNet(about["width"], about["blocks"], about["dims"], len(about["names"]))
    face.load_state_dict(tensors)
    more, tensors = _read(folder / PICTURES)
    counts = [len(words) for words in more["classes"].values()]
    picture = PictureNet(more["width"], more["blocks"], counts)
    picture.load_state_dict(tensors)
    for net in (face, picture):
        net.eval().requires_grad_(False).to(device)
    return Judges(face, picture, about["face_size"], more["classes"], about["names"])


def save_net(path: Path, net: nn.Module, about: dict[str, Any]) -> None:
    """Write a network with all that is needed to build it; matrices and kernels in fp16."""
    state = net.state_dict().items()
    halved = {n: t.half() if t.ndim > 1 and t.is_floating_point() else t for n, t in state}
    write_tensors(path, halved, {"about": json.dumps(about)})


def about_net(path: Path) -> dict[str, Any] | None:
    """What a network's file says about it; None where there is no file."""
    return _read(path)[0] if path.exists() else None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import safe_open

    if not path.exists():
        raise FileNotFoundError(f"There is no {path}: run python -m training.judges first.")
    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {})["about"])
        return about, {name: file.get_tensor(name) for name in file.keys()}


@torch.no_grad()
def _in_parts(
    look: Callable[..., tuple[Tensor, ...]], device: torch.device, *given: Tensor
) -> list[Tensor]:
    parts = zip(*(tensor.split(AT_ONCE) for tensor in given), strict=True)
    found = [look(*(tensor.to(device) for tensor in part)) for part in parts]
    return [torch.cat(column).cpu() for column in zip(*found, strict=True)]
