"""The loops: killed and resumed, on two processes, and able to learn who somebody is."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from host_pack import ROOT
from one_step import gradients
from tiny_training import (
    HELD_OUT,
    SMOKE,
    make_run,
    make_set,
    tensors_of,
    tiny_config,
    tiny_latents,
)

from training import autoencoder, base, checkpoint, flashface, stage, text
from training.config import Config
from training.course import Course
from training.latents import MADE_BY, latent_folders, made_by

RUN = ["flashface.steps=8", "flashface.batch=4", "save_every=2", "sample_every=100", "log_every=5"]
NONE = np.array(text.tokenize(""))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Runs in a folder of the test's; threads and signals as they were afterwards."""
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path))
    for loop in (base, flashface):
        monkeypatch.setattr(loop, "PREVIEW_STEPS", 2)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for number, handler in before.items():
        signal.signal(number, handler)


def prepare(runs: Path, *changes: str, people: int = 4) -> tuple[Config, Path]:
    settings = tiny_config(*changes)
    held_out = tiny_latents(2, 3, HELD_OUT)
    return settings, make_run(runs, settings, tiny_latents(people, 6), held_out)


def exports_before_states(monkeypatch, export: Path) -> list[bool]:
    """A list that gets for every state whether the export was there before it."""
    found: list[bool] = []
    save = checkpoint.save_state

    def noted(*arguments: Any) -> Path:
        found.append(export.exists())
        return save(*arguments)

    monkeypatch.setattr(checkpoint, "save_state", noted)
    return found


def kill_after_a_state(process: subprocess.Popen, folder: Path) -> None:
    """Kill a run at some moment after its first state."""
    while process.poll() is None and not checkpoint.finished(folder):
        time.sleep(0.02)
    time.sleep(float(np.random.default_rng().uniform(0, 0.5)))
    process.kill()
    process.wait()


def test_a_killed_run_goes_on_bit_by_bit(tmp_path, monkeypatch):
    settings, run = prepare(tmp_path / "runs", "run=killed", *RUN)
    unbroken_settings, _ = prepare(tmp_path / "runs", "run=unbroken", *RUN)
    command = [sys.executable, "-m", "training.flashface", str(SMOKE), "run=killed", *RUN]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=os.environ)
    folder = run / "flashface"
    killer = threading.Thread(target=kill_after_a_state, args=(process, folder))
    killer.start()
    unbroken = flashface.train(unbroken_settings)  # meanwhile: it starts for as long as this runs
    killer.join()
    assert 0 < checkpoint.step_of(checkpoint.finished(folder)[-1]) < settings.flashface.steps
    (run / flashface.EXPORT).unlink(missing_ok=True)
    exported = exports_before_states(monkeypatch, run / flashface.EXPORT)
    resumed = flashface.train(settings)
    assert exported and all(exported)
    one, other = (checkpoint.load_state(tmp_path / "runs" / name / "flashface")
                  for name in ("killed", "unbroken"))  # fmt: skip
    assert one is not None and other is not None
    for part in ("model", "average"):
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), name
    assert all(map(torch.equal, resumed.parameters(), unbroken.parameters()))
    assert len(checkpoint.finished(folder)) == checkpoint.KEPT
    assert {p.name for p in run.iterdir()} >= {flashface.EXPORT, stage.WORDS}
    assert len(list((folder / "grids").iterdir())) == 1


def test_the_base_trains_and_stops_when_asked(tmp_path, monkeypatch):
    asked = iter([False, False, True])
    monkeypatch.setattr(checkpoint, "stop_asked", lambda: lambda: next(asked))
    changes = ("run=stopped", "base.steps=50", "base.batch=4", "base.words_lr=0.1")
    settings, run = prepare(tmp_path / "runs", *changes)
    before = stage.load_words(run / stage.WORDS)
    (run / base.EXPORT).unlink()
    exported = exports_before_states(monkeypatch, run / base.EXPORT)
    base.train(settings)
    assert exported == [True]
    assert checkpoint.step_of(checkpoint.finished(run / "base")[-1]) == 3
    assert not torch.equal(stage.load_words(run / stage.WORDS).rows, before.rows)
    train = latent_folders(run, settings.data.train)[0][1]
    more = tensors_of(tiny_latents(2, 3))
    more["tokens"][:, :, 1] = text.tokenize("zebra")[1]
    made = {MADE_BY: made_by(train / "shard-00000.safetensors")}
    checkpoint.write_tensors(train / "shard-00001.safetensors", more, made)
    asked = iter([True])
    base.train(settings)  # a shard with another word has been drawn
    assert checkpoint.step_of(checkpoint.finished(run / "base")[-1]) == 4
    assert torch.equal(stage.load_words(run / stage.WORDS).ids, before.ids)


def test_the_autoencoder_is_asked_to_stop_once_a_step(tmp_path, monkeypatch):
    asked = iter([False, True])
    monkeypatch.setattr(checkpoint, "stop_asked", lambda: lambda: next(asked))
    settings = tiny_config("run=own", "autoencoder.batch=2", "autoencoder.crop=16")
    make_set(tmp_path / "runs/people/smoke/train", people=1, photos=2, size=32)
    make_set(tmp_path / "runs/people/smoke/held-out", people=1, photos=1, size=32, first=HELD_OUT)
    run = tmp_path / "runs" / "own"
    exported = exports_before_states(monkeypatch, run / autoencoder.EXPORT)
    autoencoder.train(settings)
    assert checkpoint.step_of(checkpoint.finished(run / "autoencoder")[-1]) == 2
    assert exported == [True]


def test_a_file_to_start_from_may_lie_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    settings = tiny_config("flashface.start=~/nothing.safetensors")
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "nothing.safetensors"))):
        flashface.start(settings, tmp_path, tiny_latents(1, 2))


def test_two_processes_are_one(tmp_path):
    # Started, not forked: where autograd has run before, a fork of this process cannot run it.
    spawn = multiprocessing.get_context("spawn")
    other = spawn.Process(target=gradients, args=(1, 2, str(tmp_path)))
    other.start()
    gradients(0, 1, str(tmp_path))
    gradients(0, 2, str(tmp_path))
    other.join()
    one, two = (torch.load(tmp_path / f"{ranks}.pt") for ranks in (1, 2))
    largest = max(float(gradient.abs().max()) for gradient in one.values())
    for name, gradient in one.items():
        assert (gradient - two[name]).abs().max() < 1e-6 * largest, name
    # The first one's clock and anybody's stop are everybody's.
    said = [json.loads((tmp_path / f"agreed-{rank}.json").read_text()) for rank in (0, 1)]
    assert said == [[0.25, True]] * 2


def test_the_rate_falls_and_a_stage_ends_by_what_all_have_agreed_on(tmp_path):
    settings = tiny_config("base.minutes=100", "base.warmup=1", "base.lr_end=0")
    behind = iter([0.0, 0.5, 1.0])
    course = Course(
        settings, settings.base, tmp_path, None, False, lambda *_: (next(behind), False)
    )
    assert course.rate == settings.base.lr
    course.note(torch.zeros(()))
    assert course.rate == pytest.approx(settings.base.lr / 2) and not course.last
    course.note(torch.zeros(()))
    assert course.finished and course.last


def test_four_people_are_learned_and_their_references_count(tmp_path):
    changes = ("run=overfit", "flashface.steps=32", "flashface.batch=12", "flashface.lr=4e-3",
               "flashface.lr_end=5e-4", "flashface.ema=0.9", "flashface.references=1",
               "flashface.drop_references=0", "flashface.drop_both=0", "network.init=copy",
               "sample_every=16", "save_every=100", "log_every=4")  # fmt: skip
    settings = tiny_config(*changes)
    latents = tiny_latents(4, 6)
    known = dataclasses.replace(latents, people=latents.people + HELD_OUT)  # the very same people
    run = make_run(tmp_path / "runs", settings, latents, known)
    flashface.train(settings)
    losses = metrics(run, "loss")
    assert losses[-1] < losses[0] / 3
    own, stranger = (metrics(run, f"{whose}_over_t")[-1] for whose in ("own", "stranger"))
    assert np.mean(own) < np.mean(stranger)  # at single times it is a matter of the processor
    gains = metrics(run, "identity_gain")
    assert gains[-1] > gains[0] > 0  # 3.9e-4 after 1.4e-4 when this was written


def metrics(run: Path, name: str) -> list[Any]:
    lines = (run / "flashface" / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [line[name] for line in found if name in line]
