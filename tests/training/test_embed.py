"""From a finished run to the folder that the pack ships."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_training import HELD_OUT, make_run, tiny_config, tiny_latents

from flashface_core.demo import people
from flashface_core.demo.models import load_demo
from flashface_core.files.weights import open_source
from training import embed, flashface, graph, stage, text
from training.people import embedded, plan


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The demo of a run, with one photo in everybody's place."""
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path))
    monkeypatch.setenv("FLASHFACE_DEMO", str(tmp_path / "demo"))
    folder = tmp_path / "demo" / "people"
    folder.mkdir(parents=True)
    names = [(n, a, i) for n in people.NAMES for a in people.AGES for i in range(people.PHOTOS)]
    for name, age, i in names:
        Image.new("RGB", (256, 256)).save(folder / people.photo_file(name, age, i + 1))
    (folder / "9-nobody-old-1.webp").write_bytes(b"of an earlier choice")
    settings = tiny_config("network.multipliers=[1,2,2,2]")
    run = make_run(tmp_path / "runs", settings, tiny_latents(2, 3), tiny_latents(2, 3, HELD_OUT))
    net = graph.FlashFace(stage.sizes_of(settings.network))
    captioned = text.Captioned(net, text.Words([1125]))
    flashface.export(run / flashface.EXPORT, captioned)
    embed.embed(settings)
    return tmp_path / "demo"


def test_a_run_becomes_a_demo_that_loads(demo):
    manifest = json.loads((demo / "demo.json").read_text())
    for name, about in manifest["files"].items():
        content = (demo / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (*about.values(),)
    assert {"cfg", "steps", "strength", "reference_guidance"} <= manifest["settings"].keys()
    assert manifest["people"]["names"] == list(people.NAMES) and manifest["face_size"] == 56
    there = {file.relative_to(demo).as_posix() for file in demo.rglob("*") if file.is_file()}
    assert there == {*manifest["files"], "demo.json"}
    loaded = load_demo(demo)
    assert loaded.flashface.sizes.multipliers == (1, 2, 2, 2)
    source = open_source(demo / "plain.npz")
    exported = source.load(list(source.shapes))
    (run,) = (demo.parent / "runs").glob("*/base.safetensors")
    before = load_file(run)
    assert all(torch.equal(t, before[n].half()) for n, t in exported.items())
    weight = loaded.plain.model.diffusion_model.input_blocks[0][0].weight
    assert torch.equal(weight.half(), exported["unet.input_blocks.0.0.weight"])
    assert {t.dtype for t in exported.values()} == {torch.float16}


def test_what_is_too_large_or_does_not_fit_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(bytes(11))
    with pytest.raises(ValueError, match=r"and 0 MB may be embedded: a 0\.0\. Train a narrower"):
        embed.check_size(tmp_path, ["a"], 10)
    with pytest.raises(ValueError, match="w has values that fp16 does not hold"):
        embed._half("w", torch.tensor([1e6]))


def test_the_people_are_held_out():
    low, high = plan.SPLITS["held-out"], plan.SPLITS["judges"]
    assert len(set(embedded.SEEDS)) == len(people.NAMES)
    assert all(low <= seed < high for seed in embedded.SEEDS)
