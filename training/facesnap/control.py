"""Trains mixer and FFRNet on the frozen base.

    L = mean |ε - ε̂|² (1 + 2 m_face) + λ_id (1 - cos(E_f(crop(D(x̂0))), E_f(reference)))    t <= 250
    x̂0 = (z_t - sqrt(1-ā) ε̂) / sqrt(ā)

Reference and target are different photos of one person in most samples, which is what teaches that
a pose is the landmarks' and not the reference's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flashface_core.facesnap.drawing import draw_landmarks
from flashface_core.facesnap.mixer import Mixer, face_vector

from .. import checkpoint, diffusion, text
from ..steps import random_of, torch_random_of
from .bank import Bank
from .base import Base, build_ffrnet
from .loop import fit
from .pairs import People
from .settings import CONTROL, Control, FaceSnapConfig, run_folder
from .views import aligned

EXPORT = "facesnap.safetensors"
STAGE = 13  # of the random numbers
HINT_CHANNELS = 3


@dataclass(frozen=True)
class Variant:
    """What an ablation leaves out; the default is all of FaceSnap."""

    name: str = ""
    f_id: bool = True
    f_clip: bool = True
    cross_attention: bool = True
    id_loss: bool = True
    different: bool = True
    predicted: bool = True


VARIANTS = (
    Variant("f_id only", f_clip=False),
    Variant("f_clip only", f_id=False),
    Variant("no CrossAttn", cross_attention=False),
    Variant("no L_id", id_loss=False),
    Variant("same picture only", different=False),
    Variant("driver's landmarks", predicted=False),
)


class Fidelity(nn.Module):
    """Mixer and FFRNet: all that is trained."""

    def __init__(self, config: FaceSnapConfig, unet: nn.Module, bank: Bank) -> None:
        super().__init__()
        own = config.control
        features = bank.f_id.shape[-1], bank.f_clip.shape[-1]
        self.mixer = Mixer(*features, own.width, own.tokens, own.layers, text.WIDTH)
        self.control: Any = build_ffrnet(unet)

    def tokens(self, f_id: Tensor, f_clip: Tensor, kept: Tensor, variant: Variant) -> Tensor:
        """f_mix (B, N, C) of some faces, f_null where `kept` (B,) is 0."""
        self.mixer.cross_attention = variant.cross_attention
        f_id = f_id * (kept[:, None] * float(variant.f_id))
        return self.mixer(f_id, f_clip * (kept[:, None, None] * float(variant.f_clip)))

    def residuals(self, x: Tensor, t: Tensor, hint: Tensor, tokens: Tensor) -> dict[str, Any]:
        """What FFRNet adds to the UNet's; hint: (B, H, W, 3), 0..1."""
        return self.control(x, hint.permute(0, 3, 1, 2), t, tokens)


def train(
    config: FaceSnapConfig,
    bank: Bank,
    owners: Tensor,
    base: Base,
    encoder: nn.Module,
    variant: Variant | None = None,
    folder: Path | None = None,
    own: Control | None = None,
) -> Fidelity:
    """Train to the end; the averaged networks."""
    variant, own = variant or Variant(), own or config.control
    torch.manual_seed(config.seed)
    net = Fidelity(config, base.unet, bank).to(config.device)
    people = People(owners)

    def drawn(step: int) -> dict[str, Tensor]:
        return draw(random_of(config.seed, STAGE, step), step, config, own, bank, people, variant)

    def loss_of(given: dict[str, Tensor]) -> Tensor:
        return loss(net, given, bank, base, encoder, own, variant)

    return fit(net, config, own, folder or run_folder(config) / CONTROL, drawn, loss_of)  # type: ignore[return-value]


def draw(
    random: np.random.Generator,
    step: int,
    config: FaceSnapConfig,
    own: Control,
    bank: Bank,
    people: People,
    variant: Variant,
) -> dict[str, Tensor]:
    """The tensors of a step: rows of targets and references, what is dropped, noise and times."""
    count, sure = own.batch, torch_random_of(config.seed, STAGE, step)
    target = people.draw(random, count)
    same = random.random(count) >= (own.different if variant.different else 0.0)
    reference = np.where(same, target, people.other(random, target))
    gone = random.random((4, count)) < np.array(
        [[own.drop_identity], [own.drop_text], [own.drop_hint], [own.drop_all]]
    )
    no_identity, no_text, no_hint = gone[:3] | gone[3]
    low = round(own.id_share * count)
    times = diffusion.stratified_times(count - low, sure)
    early = torch.randint(own.id_times + 1, (low,), generator=sure)
    caption = random.integers(bank.tokens.shape[1], size=count)
    predicted = random.random(count) < (own.predicted if variant.predicted else 0.0)

    def kept(dropped: np.ndarray) -> Tensor:
        return torch.from_numpy(1.0 - dropped.astype(np.float32))

    return {
        "target": torch.from_numpy(target),
        "reference": torch.from_numpy(reference),
        "version": torch.from_numpy(random.integers(len(bank.f_id), size=count)),
        "caption": torch.from_numpy(caption),
        "identity": kept(no_identity),
        "text": kept(no_text),
        "hint": kept(no_hint),
        "predicted": torch.from_numpy(predicted.astype(np.float32)),
        "t": torch.cat([early, times]),
        "noise": torch.randn(count, *bank.latents.shape[1:], generator=sure),
    }


def loss(
    net: Fidelity,
    given: dict[str, Tensor],
    bank: Bank,
    base: Base,
    encoder: Any,
    own: Control,
    variant: Variant,
) -> Tensor:
    """The loss of a step's tensors."""
    target, reference, t = given["target"], given["reference"], given["t"]
    clean, noise = bank.latents[target], given["noise"]
    x = diffusion.add_noise(clean, noise, t)
    face = given["version"], reference
    mixed = net.tokens(bank.f_id[face], bank.f_clip[face], given["identity"], variant)
    hint = hints(bank, target, reference, given["predicted"], given["hint"])
    context = contexts(base, bank.tokens[target, given["caption"]], given["text"])
    predicted = predict(net, base, x, t.float(), context, hint, mixed).float()
    error = diffusion.squared_error(predicted, noise, bank.heads[target], own.head_weight)
    total = (diffusion.loss_weight(t, own.snr) * error).mean()
    low = round(own.id_share * len(t))
    if not (variant.id_loss and own.id_weight and low):
        return total
    a = diffusion.alphas_on(x.device)[t[:low]].view(-1, 1, 1, 1)
    seen = (x[:low] - (1 - a).sqrt() * predicted[:low]) / a.sqrt()
    pictures = base.coder.decode(seen).clamp(0, 1).float()
    faces = encoder(aligned(pictures, bank.five[target[:low]]))[0].float()
    alike = F.cosine_similarity(faces, bank.f_id[0, reference[:low]], dim=1)
    return total + own.id_weight * (given["identity"][:low] * (1 - alike)).mean()


def hints(bank: Bank, target: Tensor, reference: Tensor, predicted: Tensor, kept: Tensor) -> Tensor:
    """Landmark pictures (B, S, S, 3) of targets: true points, or those of the reference's shape."""
    true, other = bank.points[target], bank.predicted(reference, target)
    points = torch.where(predicted[:, None, None] > 0, other, true)
    side = 8 * bank.latents.shape[-1]
    with torch.autocast(points.device.type, enabled=False):
        drawn = draw_landmarks(points, side, side)
    return drawn * kept[:, None, None, None]


def contexts(base: Base, tokens: Tensor, kept: Tensor) -> Tensor:
    """Contexts (B, 77, C) of tokens (B, 77), the empty prompt's where `kept` (B,) is 0."""
    empty = torch.full_like(tokens, text.END)
    empty[:, 0] = text.START
    return base.words(torch.where(kept[:, None] > 0, tokens, empty))


def predict(
    net: Fidelity, base: Base, x: Tensor, t: Tensor, context: Tensor, hint: Tensor, mixed: Tensor
) -> Tensor:
    """The predicted noise of the base with FFRNet's residuals."""
    residuals = net.residuals(x, t, hint, mixed)
    return base.unet(x, t, context, control={n: list(v) for n, v in residuals.items()})


def export(path: Path, net: Fidelity, encoder: nn.Module, config: dict[str, Any]) -> None:
    """Write the networks as a file for Load FaceSnap Model."""
    from flashface_core.facesnap.weights import metadata

    parts = {"mixer": net.mixer, "control": net.control, "face": encoder}
    tensors = {f"{p}.{n}": v for p, m in parts.items() for n, v in m.state_dict().items()}
    checkpoint.write_tensors(path, tensors, metadata(config))


def load_fidelity(path: Path, config: FaceSnapConfig, base: Base, bank: Bank) -> Fidelity:
    """The networks of an exported file, frozen, on the run's device."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    net = Fidelity(config, base.unet, bank)
    names = net.state_dict()
    net.load_state_dict({name: tensors[name] for name in names})
    return net.to(config.device).eval().requires_grad_(False)


def face_of(net: Fidelity, embeddings: Tensor, maps: Tensor) -> Tensor:
    """f_mix of encoder answers (B, D) and (B, T, W)."""
    return net.mixer(face_vector(embeddings), maps)
