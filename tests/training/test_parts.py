"""Text, diffusion, latents, checkpoints and records: what the loops are made of."""

from __future__ import annotations

import dataclasses
import json
from multiprocessing.pool import ThreadPool

import comfy.model_sampling
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import HELD_OUT, make_set, tiny_config, tiny_latents

from flashface_core.demo.models import load_clip
from training import (
    autoencoder,
    checkpoint,
    coder,
    data,
    diffusion,
    host,
    latents,
    record,
    stage,
    steps,
    taesd,
    text,
)


def test_comfyui_reads_the_text_encoder(tmp_path):
    words = text.Words(text.tokenize("an old man with glasses"))
    with torch.no_grad():
        words.rows.add_(torch.randn(words.rows.shape) * 0.1)
    path = tmp_path / "encoder.safetensors"
    text.write_encoder(path, words)
    tokens = torch.tensor([text.tokenize(c) for c in ("an old man, unheard of", "")])
    clip = text.Clip(path)  # what Load CLIP loads, as a recipe names it
    with torch.no_grad():
        wanted, found = words(tokens), clip(tokens)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 2e-3  # fp16 of the file
    assert not list(clip.parameters()) and not clip.state_dict()
    stage.export_words(tmp_path / "words.safetensors", words)
    in_memory = load_clip(str(tmp_path / "words.safetensors"))  # without layers and a file
    with torch.no_grad():
        again = in_memory.cond_stage_model.clip_l.encode(tokens.tolist())[0].float()
    assert (again - found).abs().max() < 1e-5


def test_rows_of_captions_words_are_learned_and_no_others():
    words = text.Words(text.tokenize("an old man"))
    tokens = torch.tensor([text.tokenize("an old man"), text.tokenize("zebra")])
    (words(tokens) * torch.randn(2, text.LENGTH, text.WIDTH)).sum().backward()
    assert words.rows.grad is not None and (words.rows.grad.abs().amax(1) > 0).all()
    assert len(words.rows) == 5


def test_words_that_go_on_keep_their_rows_beside_those_of_new_captions(tmp_path):
    before, path = text.Words(text.tokenize("an old man")), tmp_path / stage.WORDS
    with torch.no_grad():
        before.rows.add_(torch.randn(before.rows.shape))
    stage.export_words(path, before)
    photos = tiny_latents(1, 2)
    captions = torch.tensor([[text.tokenize("a zebra")], [text.tokenize("an old zebra")]])
    photos = dataclasses.replace(photos, tokens=captions.int())
    after = stage.make_words(tiny_config(), photos, None, path)
    assert isinstance(after, text.Words)
    assert set(after.ids.tolist()) == {*before.ids.tolist(), *captions.unique().tolist()}
    learned = dict(zip(before.ids.tolist(), before.rows.half().float(), strict=True))
    for number, row in zip(after.ids.tolist(), after.rows, strict=True):
        assert torch.equal(row, learned.get(number, after.table[number]))
    state = {"model": {"words.ids": before.ids}}  # whose rows its own optimiser goes on with
    going_on = stage.make_words(tiny_config(), photos, state, path)
    assert isinstance(going_on, text.Words) and torch.equal(going_on.ids, before.ids)


def test_the_schedule_is_comfyuis():
    sampling = comfy.model_sampling.ModelSamplingDiscrete()
    a = diffusion.alphas()
    sigmas = ((1 - a) / a).sqrt()
    # 1 - a is 8.5e-4 at first, of which float32 knows 1e-7 / 8.5e-4
    assert torch.allclose(sigmas, sampling.sigmas, rtol=1e-4)


def test_ddim_finds_the_picture_that_the_noise_was_added_to():
    clean, noise = torch.randn(2, 2, 4, 4, 4)
    a = diffusion.alphas()

    def predict(x, t):
        here = a[t.long()].view(-1, 1, 1, 1)
        return (x - here.sqrt() * clean) / (1 - here).sqrt()

    start = diffusion.add_noise(clean, noise, torch.full((2,), 999))
    assert (diffusion.ddim(predict, start, 10) - clean).abs().max() < 1e-3


def test_losses_are_weighed_by_signal_and_head():
    t = torch.tensor([10, 999])
    a = diffusion.alphas()[t]
    snr = a / (1 - a)
    wanted = torch.tensor([5 / float(snr[0]), 1.0])
    assert torch.allclose(diffusion.loss_weight(t, 5.0), wanted)
    assert torch.equal(diffusion.loss_weight(t, 0.0), torch.ones(2))
    predicted, head = torch.zeros(1, 4, 2, 2), torch.zeros(1, 1, 2, 2)
    predicted[..., 0, 0] = head[..., 0, 0] = 1
    for weight, value in ((1.0, 1 / 4), (3.0, 3 / 6)):
        found = diffusion.squared_error(predicted, torch.zeros(1, 4, 2, 2), head, weight)
        assert float(found) == pytest.approx(value)


def test_a_set_is_encoded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path))
    runs = tmp_path / "runs"
    settings = tiny_config("run=own")
    photos = make_set(runs / "people/smoke/train", people=2, photos=2, size=80)
    make_set(runs / "people/smoke/held-out", people=1, photos=2, size=80, first=HELD_OUT)
    torch.manual_seed(0)
    net = taesd.Autoencoder(1).eval()
    net.centre.std.fill_(3.0)
    path = runs / "own" / autoencoder.EXPORT
    checkpoint.write_tensors(path, taesd.as_taesd(net), {"half_blocks": "1"})
    latents.encode_sets(settings)
    folder = latents.latent_folders(runs / "own", settings.data.train)[0][1]
    found = data.load_latents([folder])
    size, face = settings.data.size, settings.data.face_size
    assert found.targets.shape == (4, 4, size // 8, size // 8)
    assert found.faces.shape == (4, 4, face // 8, face // 8)
    assert found.people.tolist() == [0, 0, 1, 1]
    picture = Image.fromarray(photos[3].picture()).resize((size, size), Image.Resampling.LANCZOS)
    with torch.no_grad():
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
        assert torch.allclose(net.encode(pixels)[0], found.targets[3].float(), atol=2e-3)
    # the box, 16 to 44 and 12 to 51 of 64, as a square on its corner, in fields of 8 pixels
    mask = torch.zeros(size, size)
    mask[12 : 12 + 39, 16 : 16 + 39] = 1
    wanted = torch.nn.functional.interpolate(mask[None, None], (8, 8), mode="nearest")[0]
    assert torch.equal(found.regions[0].float(), wanted)
    assert found.tokens[0, 0].tolist() == text.tokenize("an old man")
    written = (folder / "shard-00000.safetensors").stat().st_mtime_ns
    latents.encode_sets(settings)
    assert (folder / "shard-00000.safetensors").stat().st_mtime_ns == written
    net.centre.std.fill_(2.0)
    checkpoint.write_tensors(path, taesd.as_taesd(net), {"half_blocks": "1"})
    latents.encode_sets(settings)  # another autoencoder: other latents
    anew = data.load_latents([folder]).targets
    assert not torch.equal(anew, found.targets)
    key = coder.load_coder(settings, runs / "own").key
    assert torch.equal(stage.read_latents(settings, runs / "own", key)[0].targets, anew)
    for change, other in (("data.size=48", key), ("data.face_size=48", key), ("seed=0", "another")):
        with pytest.raises(ValueError, match=r"shard-00000\.safetensors is of another autoencoder"):
            stage.read_latents(tiny_config("run=own", change), runs / "own", other)
    smaller = tiny_config("run=own", "data.size=48")
    latents.encode_sets(smaller)  # the same autoencoder at another size
    assert stage.read_latents(smaller, runs / "own", key)[0].targets.shape[2:] == (6, 6)
    file = runs / "own" / "vae.safetensors"
    path.rename(file)  # the same through ComfyUI, as a recipe that names a VAE's file has it
    pixels = torch.rand(1, 3, 32, 32)
    named = coder.load_coder(tiny_config(f"network.vae={file}"), runs / "own")
    with torch.no_grad():
        wanted = net.encode(pixels)
        assert (named.encode(pixels) - wanted).abs().max() < 1e-4
        painted = net.decode(wanted).clamp(0, 1)
        assert (named.decode(wanted) - painted).abs().max() < 1e-4


def test_photos_need_the_same_number_of_captions(tmp_path):
    photos = make_set(tmp_path / "set", people=1, photos=2, size=64)
    content, own = photos[0].tar.read_bytes(), json.dumps({**photos[0].record(), "captions": ["a"]})
    photos[0].tar.write_bytes(content + own.encode())
    files = {**photos[1].files, "json": [len(content), len(own)]}
    fewer = dataclasses.replace(photos[1], files=files)
    with pytest.raises(ValueError, match=r"0000001\.json of .* has 1 captions, 0000000\.json .* 2"):
        latents.read_shard(([photos[0], fewer], tiny_config().data))


def test_shards_are_read_ahead_in_order_and_no_further_than_asked():
    begun: list[int] = []

    def read(job: int) -> int:
        begun.append(job)
        return 10 * job

    with ThreadPool(2) as pool:
        for taken, found in enumerate(latents.in_order(pool, read, range(7), 3)):
            assert found == 10 * taken and len(begun) <= taken + 3
    assert sorted(begun) == list(range(7))


def test_latents_are_encoded_on_the_device_of_the_recipe(monkeypatch):
    class Entered(Exception):
        """Far enough."""

    def enter(cpu: bool) -> None:
        raise Entered(cpu)

    monkeypatch.setattr(host, "enter", enter)
    for device in ("cuda", "cpu"):
        with pytest.raises(Entered) as found:
            latents.encode_sets(tiny_config(f"device={device}"))
        assert found.value.args == (device == "cpu",)


def test_checkpoints_appear_whole_and_old_ones_go(tmp_path):
    for step in range(1, 8):
        checkpoint.save_state(tmp_path, step, {"step": step}, keep_every=3)
    (tmp_path / "step-0000009.partial").mkdir()
    (tmp_path / "step-0000009.partial" / checkpoint.STATE).write_bytes(b"half")
    assert [checkpoint.step_of(p) for p in checkpoint.finished(tmp_path)] == [3, 6, 7]
    assert checkpoint.load_state(tmp_path) == {"step": 7}
    assert checkpoint.load_state(tmp_path / "nothing") is None


def test_metrics_of_steps_that_were_lost_are_forgotten(tmp_path):
    record.open_run(tmp_path, tiny_config())
    for step in (1, 2, 3):
        record.note(tmp_path, step, loss=step / 3)
    with open(tmp_path / record.METRICS, "ab") as file:
        file.write(b'{"step": 4, "ti')  # where a kill or a full disk cut it off
    record.forget_after(tmp_path, 2)
    assert not list(tmp_path.glob("*.partial"))
    lines = [json.loads(line) for line in (tmp_path / record.METRICS).read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    record.open_run(tmp_path, tiny_config("seed=3"))
    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3
    assert json.loads((tmp_path / "config.0.json").read_text())["seed"] == 0


def test_json_has_none_for_what_is_no_number():
    found = record.as_json_has_it({"a": [0.5, float("nan")], "b": (float("inf"), 3, "nan")})
    assert json.dumps(found, allow_nan=False) == '{"a": [0.5, null], "b": [null, 3, "nan"]}'
    assert np.isnan(np.asarray(found["a"], float)).tolist() == [False, True]


def test_an_average_follows_shared_weights_once():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Linear(1, 1, bias=False)
            self.other = self.one

    net = Twice()
    average = steps.make_average(net)
    torch.nn.init.zeros_(average.one.weight)
    torch.nn.init.ones_(net.one.weight)
    steps.follow(average, net, 100_000, 0.9)
    assert float(average.one.weight) == pytest.approx(0.1)


def test_rates_rise_and_fall():
    rates = [steps.learning_rate(step, step / 100, 1.0, 0.1, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01) and rates.index(max(rates)) == 9
    assert rates[-1] == pytest.approx(0.1, rel=0.01)
