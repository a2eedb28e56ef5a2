"""What a step sees: whose photos, which references, the same whatever draws it."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_training import HELD_OUT, tensors_of, tiny_config, tiny_latents

from training import checkpoint, data, loader, shards, text
from training.config import Stage

OWN = Stage(batch=8, share=2)
NONE = np.array(text.tokenize(""))


@pytest.fixture(scope="module")
def latents() -> data.Latents:
    """Six people of six photos; photo i has i in every place, and i + 100 for its face."""
    made = tiny_latents(6, 6)
    number = torch.arange(36.0).view(-1, 1, 1, 1)
    hashes = made.hashes.clone()
    hashes[1], hashes[8] = hashes[0] ^ 0b1011, hashes[7]  # near-duplicates of one person each
    return dataclasses.replace(
        made,
        targets=number.expand(made.targets.shape).half(),
        faces=(number + 100).expand(made.faces.shape).half(),
        hashes=hashes,
    )


def drawn(latents: data.Latents, steps: int, own: Stage = OWN):
    sampler = data.Sampler(latents, own, 7, NONE)
    for step in range(steps):
        batch = sampler.draw(step, with_references=True)
        assert batch.references is not None
        targets = batch.latents[:, 0, 0, 0].int().view(-1, own.share)
        faces = batch.references[:, :, 0, 0, 0].int() - 100
        yield batch, targets.tolist(), faces.tolist()


def test_references_are_other_photos_of_the_same_person(latents):
    twins = {0: 1, 1: 0, 7: 8, 8: 7}
    for _, targets, faces in drawn(latents, 100):
        for own, shown in zip(targets, faces, strict=True):
            assert {i // 6 for i in (*own, *shown)} == {own[0] // 6}
            assert len(set(own)) == 2 and not set(own) & set(shown)
            assert not {twins.get(i) for i in own} & set(shown)


def test_the_number_of_references_is_uniform(latents):
    counts = [len(faces[0]) for _, _, faces in drawn(latents, 800)]
    found = np.bincount(counts, minlength=5)[1:]
    assert found.sum() == 800 and found.min() > 150 and found.max() < 250  # 200 each, 4 sigma


def test_dropouts_and_times_are_drawn_as_asked(latents):
    texts = latents.tokens.clone()
    texts[:, :, 1] = 320  # no caption is the empty one
    batches = [b for b, _, _ in drawn(dataclasses.replace(latents, tokens=texts), 500)]
    empty = torch.cat([(b.tokens == torch.from_numpy(NONE)).all(1) for b in batches]).float()
    blind = ~torch.cat([b.sees for b in batches])
    nowhere = torch.cat([b.region.amax((1, 2, 3)) == 0 for b in batches]).float()
    assert abs(empty.mean() - 0.145) < 0.02  # 1 - 0.9 * 0.95
    assert abs(blind.float().mean() - 0.145) < 0.02
    assert abs((empty.bool() & blind).float().mean() - 0.0595) < 0.015  # 0.05 + 0.95 * 0.01
    assert abs(nowhere.mean() - 0.1) < 0.02
    times = torch.stack([b.t.view(-1, 2) for b in batches])
    assert torch.equal(times[..., 0], times[..., 1])
    assert torch.equal(times[..., 0].sort(1).values // 250, torch.arange(4).expand(500, 4))


def test_a_batch_is_a_function_of_seed_and_step(latents):
    one, other = (data.Sampler(latents, OWN, 7, NONE) for _ in range(2))
    wanted = [one.draw(step, True) for step in range(4)]
    again = {step: other.draw(step, True) for step in (3, 1)}  # in another order
    for step, batch in again.items():
        for field in dataclasses.fields(batch):
            a, b = (getattr(found, field.name) for found in (batch, wanted[step]))
            assert torch.equal(a, b), field.name
    assert not torch.equal(wanted[0].noise, wanted[1].noise)
    assert not torch.equal(data.Sampler(latents, OWN, 8, NONE).draw(0, True).noise, wanted[0].noise)


def test_processes_take_the_parts_of_one_batch(latents):
    whole = data.Sampler(latents, OWN, 7, NONE).draw(0, True)
    parts = [loader.part_of(whole, rank, 2) for rank in (0, 1)]
    for field in dataclasses.fields(whole):
        a = getattr(whole, field.name)
        b = [getattr(part, field.name) for part in parts]
        joined = b[0] if field.name == "reference_tokens" else torch.cat(b)
        assert torch.equal(a, joined), field.name


def test_workers_that_are_started_anew_can_be_sent_what_draws(latents):
    drawn = loader.Drawn(data.Sampler(latents, OWN, 7, NONE), True, 1, 2)
    wanted, sent = drawn[5].tensors(), pickle.loads(pickle.dumps(drawn))[5].tensors()
    assert wanted.keys() == sent.keys()
    assert all(torch.equal(wanted[name], sent[name]) for name in wanted)


def test_people_who_are_held_out_are_refused(tmp_path):
    folder = tmp_path / "latents"
    tensors = {f.name: getattr(tiny_latents(2, 2, HELD_OUT), f.name)
               for f in dataclasses.fields(data.Latents)}  # fmt: skip
    checkpoint.write_tensors(folder / "shard-00000.safetensors", tensors, {})
    with pytest.raises(ValueError, match="held out"):
        data.load_latents([folder])
    assert len(data.load_latents([folder], training=False).people) == 4
    sample = {"key": "1000003-00", "person": HELD_OUT + 3, "files": {}}
    (folder / "shard-00000.json").write_text(json.dumps({"samples": [sample]}))
    with pytest.raises(ValueError, match="1000003 is held out"):
        shards.for_training(shards.find_photos([folder]))


def test_without_latents_it_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"training\.latents"):
        data.load_latents([tmp_path])
    with pytest.raises(FileNotFoundError, match=r"training\.people set"):
        shards.find_photos([tmp_path])


def test_strangers_among_the_words_keep_the_others_in_order():
    tokens = np.array(text.tokenize("an old man with glasses"))
    random = np.random.default_rng(0)
    words = [t for t in tokens if t < text.START]
    for _ in range(50):
        found = text.with_strangers(tokens, random, 1.0)
        assert len(found) == text.LENGTH and found[0] == text.START
        own = [t for t in found[1:] if t != text.END]
        assert 1 <= len(own) - len(words) <= 3
        left = iter(own)
        assert all(word in left for word in words)
    assert text.with_strangers(tokens, random, 0.0) is tokens
    assert tiny_config().base.batch == 8


def test_batches_that_are_not_whole_groups_are_refused(latents):
    with pytest.raises(ValueError, match="A batch of 8 is not whole groups of 3"):
        data.Sampler(latents, Stage(batch=8, share=3), 7, NONE)
    with pytest.raises(ValueError, match="Nobody in the sets has more than 6 photos"):
        data.Sampler(latents, Stage(batch=6, share=6), 7, NONE)
    sampler = data.Sampler(latents, OWN, 7, NONE)
    for with_references, ranks in ((True, 8), (True, 3), (False, 3)):
        batch = sampler.draw(0, with_references)
        with pytest.raises(ValueError, match=f"has no {ranks} equal parts"):
            loader.part_of(batch, 0, ranks)
    assert len(loader.part_of(sampler.draw(0, False), 3, 8).latents) == 1


def test_photos_with_other_numbers_of_captions_are_refused(tmp_path):
    tensors = tensors_of(tiny_latents(2, 2))
    for number, count in enumerate((2, 1)):
        tensors["tokens"] = tensors["tokens"][:, :count]
        checkpoint.write_tensors(tmp_path / f"shard-{number:05d}.safetensors", tensors, {})
    with pytest.raises(ValueError, match=r"shard-00001\.safetensors has 1 captions a photo"):
        data.load_latents([tmp_path])


def test_photos_that_are_not_square_are_refused(tmp_path):
    path = tmp_path / "shard-00000.tar"
    Image.new("RGB", (20, 30)).save(path, "WEBP")
    photo = shards.Place("0000007", 0, path, {"webp": [0, path.stat().st_size]})
    with pytest.raises(ValueError, match=r"0000007\.webp of .*tar is 20 x 30 pixels"):
        photo.picture()
