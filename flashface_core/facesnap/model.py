"""Loads a FaceSnap model as ComfyUI's ModelPatchers, and makes tokens of an identity.

FFRNet is a ControlNet of ComfyUI's own class. Mixer and face encoder may be stored in 16 bits, but
compute in float32: they run once for a person, and what they answer stays for the whole sampling.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import comfy.model_management
import comfy.model_patcher
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..errors import for_users
from ..loaded import LoadedModel, file_stamp
from .control import FaceSnapControl
from .encoder import FaceEncoder
from .ffrnet import load_ffrnet
from .identity import Encoders, Identity
from .mixer import Mixer, face_vector
from .model_config import Config
from .weights import FACE, MIXER, open_model

BATCH = 16
BATCH_BYTES = 128 * 1024**2  # of activations of `BATCH` faces in the encoder
FLOAT_BYTES = 4


@for_users
class NotFiniteError(ValueError):
    """The networks answered with NaN or infinite values; the text says what to do."""


@dataclass(eq=False)
class FaceSnapModel(LoadedModel):
    """What a FACESNAP_MODEL socket carries.

    encoders: what made the identities that it reads. control: FFRNet, to be copied onto
    conditioning. face: the small face encoder, None where the file has none.
    """

    name: str
    fingerprint: tuple[Any, ...]
    config: Config
    encoders: Encoders
    control: FaceSnapControl
    mixer: ModelPatcher
    face: ModelPatcher | None = None
    _null: Tensor | None = None
    _mixed: WeakKeyDictionary[Identity, Tensor] = field(default_factory=WeakKeyDictionary)

    def get_models(self) -> list[ModelPatcher]:
        """All patchers, the largest first."""
        face = [] if self.face is None else [self.face]
        return [self.control.control_model_wrapped, self.mixer, *face]

    def null_tokens(self) -> Tensor:
        """f_null = Mixer(0, 0), (1, N, C) float32 on the CPU; computed once."""
        if self._null is None:
            face, image = self.config.face, self.config.image
            self._null = self._mix(
                torch.zeros(1, face.width), torch.zeros(1, image.tokens, image.width)
            )
        return self._null

    def tokens(self, identity: Identity) -> Tensor:
        """f_mix (1, N, C) float32 on the CPU of an identity; computed once for each.

        Raises ValueError for an identity of other encoders.
        """
        identity.encoders.check(self.encoders, self.name)
        if identity not in self._mixed:
            f_id = face_vector(identity.face[None])
            self._mixed[identity] = self._mix(f_id, identity.image[None].float())
        return self._mixed[identity]

    def look(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, d) and maps (B, 49, w), float32 on the CPU, by the embedded encoder.

        crops: (B, 112, 112, 3) uint8.
        """
        assert self.face is not None
        run = _in_float32(self.face, BATCH_BYTES)
        pictures = crops.movedim(-1, 1).float() / 255
        answers = [run(part) for part in pictures.split(BATCH)]
        embeddings, maps = zip(*answers, strict=True)
        return torch.cat(embeddings), torch.cat(maps)

    def _mix(self, f_id: Tensor, f_clip: Tensor) -> Tensor:
        tokens: Tensor = _in_float32(self.mixer, FLOAT_BYTES * f_clip.numel() * 8)(f_id, f_clip)
        if not torch.isfinite(tokens).all():
            raise NotFiniteError(
                f"The mixer of {self.name} gives tokens that are not finite numbers. Load the "
                "model with weight_dtype fp32, or copy its file again."
            )
        return tokens


def load_facesnap(path: str, dtype: torch.dtype | None = None) -> FaceSnapModel:
    """The model of a file.

    dtype: of the stored weights; None leaves FFRNet's to ComfyUI's settings and keeps the others'.
    Raises CheckpointError for a file that is something else, incomplete or damaged.
    """
    file = open_model(path)
    patcher, cast = load_ffrnet(path, dtype)
    control = FaceSnapControl(patcher, cast)
    control.title = f"{file.name} is for {file.config.title}"
    control.text_width = file.config.text_width
    config = file.config
    encoders = Encoders(config.face, config.image, file.face_fingerprint)
    return FaceSnapModel(
        os.path.basename(path),
        (*file_stamp(path), str(dtype)),
        config,
        encoders,
        control,
        load_part(MIXER, path, dtype),
        load_part(FACE, path, dtype) if file.embedded else None,
    )


def load_part(
    part: str, path: str, dtype: torch.dtype | None, disable_dynamic: bool = False
) -> ModelPatcher:
    """The patcher of mixer or face encoder; ComfyUI calls it too, for an untouched copy."""
    weights = open_model(path).tensors(part, dtype)
    with torch.device("meta"):
        network = {MIXER: Mixer, FACE: FaceEncoder}[part].like(weights)
    network.load_state_dict(weights, assign=True)
    offload = comfy.model_management.unet_offload_device()
    network.to(offload).eval().requires_grad_(False)
    network.device = offload
    kind = ModelPatcher if disable_dynamic else comfy.model_patcher.CoreModelPatcher
    patcher = kind(
        network,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=offload,
    )
    patcher.cached_patcher_init = (load_part, (part, path, dtype))
    return patcher


def _in_float32(patcher: ModelPatcher, extra_bytes: int) -> Callable[..., Any]:
    """The patcher's network on its device, as a function of and to float32 on the CPU."""
    network, device = patcher.model, patcher.load_device
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    comfy.model_management.load_models_gpu(
        [patcher], memory_required=extra_bytes + FLOAT_BYTES * count
    )
    weights = {
        name: tensor.to(device, torch.float32) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in network.state_dict().items()
    }

    def run(*given: Tensor) -> Any:
        answer = torch.func.functional_call(network, weights, tuple(g.to(device) for g in given))
        return answer.cpu() if isinstance(answer, Tensor) else tuple(a.cpu() for a in answer)

    return run
