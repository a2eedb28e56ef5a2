"""The autoencoder's file is TAESD's: ComfyUI computes with it what training computed."""

from __future__ import annotations

import comfy.sd
import pytest
import torch

from training import autoencoder, checkpoint, taesd
from training.config import Autoencoder


def anyone(half_blocks: int) -> taesd.Autoencoder:
    """An autoencoder in which every weight matters."""
    torch.manual_seed(0)
    net = taesd.Autoencoder(half_blocks)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(torch.randn(weight.shape) * 0.02)
        net.centre.mean.copy_(torch.tensor([0.3, -0.2, 0.1, 0.0]))
        net.centre.std.copy_(torch.tensor([0.5, 2.0, 1.5, 0.8]))
    return net.eval()


@pytest.mark.parametrize("half_blocks", [1, 3])
def test_comfyui_computes_the_same(half_blocks, tmp_path):
    net, path = anyone(half_blocks), tmp_path / "autoencoder.safetensors"
    tensors = taesd.as_taesd(net)
    checkpoint.write_tensors(path, tensors, {"half_blocks": str(half_blocks)})
    vae = comfy.sd.VAE(sd=tensors, dtype=torch.float32)
    picture = torch.rand(1, 64, 48, 3)
    with torch.no_grad():
        latents = net.encode(picture.movedim(-1, 1))
        painted = net.decode(latents).movedim(1, -1)
    found = vae.encode(picture) * taesd.LATENT_SCALE
    assert (found - latents).abs().max() < 1e-5 * latents.abs().max()
    assert (vae.decode(found / taesd.LATENT_SCALE) - painted.clamp(0, 1)).abs().max() < 1e-5
    again = autoencoder.load_autoencoder(path)
    with torch.no_grad():
        assert (again.encode(picture.movedim(-1, 1)) - latents).abs().max() < 1e-5


def test_up_is_repetition_and_a_convolution():
    up, x = taesd.Up(), torch.randn(2, taesd.WIDTH, 5, 7)
    torch.nn.init.normal_(up.weight)
    twice = torch.nn.functional.interpolate(x, scale_factor=2.0)
    wanted = torch.nn.functional.conv2d(twice, up.weight, padding=1)
    assert (up(x) - wanted).abs().max() < 1e-5 * wanted.abs().max()


def test_latents_of_training_have_mean_0_and_deviation_1():
    centre = taesd.Centre().train()
    for _ in range(3):
        found = centre(torch.randn(8, 4, 8, 8) * 5 + 2)
    assert found.mean((0, 2, 3)).abs().max() < 0.3
    assert (found.std((0, 2, 3)) - 1).abs().max() < 0.2


def test_crops_belong_to_seed_and_step(tmp_path):
    from tiny_training import make_set

    photos = make_set(tmp_path / "set", people=2, photos=2, size=40)
    pictures, boxes = autoencoder.read_pictures(photos)
    own = Autoencoder(batch=4, crop=32)

    def crops(step: int) -> torch.Tensor:
        where = autoencoder.draw_crops(boxes, 40, own, 0, step)
        return autoencoder.cut(pictures, where, 32)

    one = crops(5)
    assert one.shape == (4, 3, 32, 32) and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, crops(5)) and not torch.equal(one, crops(6))
    where = autoencoder.draw_crops(boxes, 40, own, 0, 5)
    (left, top), mirrored = where["corners"][1].tolist(), bool(where["mirrored"][1])
    plain = pictures[where["rows"][1], top : top + 32, left : left + 32].permute(2, 0, 1) / 255
    assert torch.equal(one[1], plain.flip(-1) if mirrored else plain)
