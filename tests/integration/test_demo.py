"""The embedded default: what its nodes give, in ComfyUI, and what lies in the checkout."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import comfy.sample
import pytest
import torch
from host_pack import ROOT, pack_module

OWN = ROOT / "demo"
PEOPLE = 8


@pytest.fixture(scope="module")
def folder() -> Path:
    """The demo that the nodes load."""
    return OWN


@pytest.fixture(scope="module")
def loaded(folder: Path, pack, run_node) -> tuple[Any, ...]:
    """What Load FlashFace Demo gives."""
    return run_node(pack["FlashFaceDemoLoader"])


def encoded(clip: Any, text: str) -> torch.Tensor:
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))[0][0]


def sampled(model: Any, clip: Any, seed: int = 1) -> torch.Tensor:
    prompts = [[[encoded(clip, text), {}]] for text in ("photo of an old man", "")]
    latent = torch.zeros(1, 4, 16, 16)
    noise = comfy.sample.prepare_noise(latent, seed)
    return comfy.sample.sample(
        model, noise, 2, 4.0, "euler", "sgm_uniform", *prompts, latent, seed=seed
    )


def test_all_models_work_together(loaded, pack, run_node) -> None:
    model, flashface, clip, vae, plain = loaded
    photos = run_node(pack["FlashFaceDemoPerson"], person="1 freckles", photos=2, age="young")[0]
    faces = torch.nn.functional.interpolate(photos.movedim(-1, 1), (112, 112)).movedim(1, -1)
    negative = [[encoded(clip, ""), {}]]
    encode = pack["FlashFaceEncodeReference"]
    reference = run_node(encode, vae=[vae], faces=[faces], negative=[negative], repeat_to=[1])[0]
    applied = run_node(
        pack["FlashFaceApply"], model=model, flashface=flashface, reference=reference, strength=1.0
    )[0]
    pictures = [sampled(one, clip) for one in (applied, model, plain)]
    assert all(torch.isfinite(picture).all() for picture in pictures)
    assert not torch.equal(pictures[0], pictures[1]), "the reference counts"
    with torch.inference_mode():
        assert vae.decode(pictures[0]).shape == (1, 128, 128, 3)


def test_the_text_encoder_has_no_layers_and_no_file(loaded) -> None:
    clip = loaded[2]
    text = clip.cond_stage_model.clip_l
    assert len(text.transformer.text_model.encoder.layers) == 0
    size = sum(tensor.nbytes for tensor in text.state_dict().values())
    assert size < 160e6, "49,408 rows of 768 in fp16, twice at most"
    skipped = clip.clone()
    skipped.clip_layer(-2)
    assert torch.equal(encoded(clip, "a boy"), encoded(skipped, "a boy"))


def test_every_model_can_be_made_anew(loaded) -> None:
    """ComfyUI asks for it where it needs an untouched copy."""
    for patcher in (loaded[0], loaded[2].patcher, loaded[3].patcher, loaded[4]):
        make, arguments = patcher.cached_patcher_init
        again = make(*arguments, disable_dynamic=True).model.state_dict()
        own = patcher.model.state_dict()
        assert own.keys() == again.keys()
        assert all(torch.equal(own[name].cpu(), again[name].cpu()) for name in own)


def test_a_person_has_photos_at_two_ages(folder: Path, pack, run_node) -> None:
    node = pack["FlashFaceDemoPerson"]
    names = next(i for i in node.GET_SCHEMA().inputs if i.id == "person").options
    assert len(names) == PEOPLE
    for name in names:
        photos = run_node(node, person=name, photos=6, age="old")[0]
        assert photos.shape == (6, 256, 256, 3) and photos.dtype == torch.float32
        assert len({photo.numpy().tobytes() for photo in photos}) == 6
    assert torch.equal(run_node(node, person=name, photos=1, age="old")[0], photos[:1])


@pytest.mark.parametrize("lacking", ["flashface.npz", "words.npz", "demo.json"])
def test_a_demo_that_is_not_complete_says_what_to_do(
    lacking: str, folder: Path, tmp_path: Path, pack, run_node, monkeypatch
) -> None:
    for file in folder.iterdir():
        if file.name != lacking:
            (tmp_path / file.name).symlink_to(file)
    monkeypatch.setenv("FLASHFACE_DEMO", str(tmp_path))
    error = pack_module("flashface_core.demo.folder").DemoError
    given = {"person": "1 freckles", "photos": 1, "age": "young"} if "json" in lacking else {}
    node = "FlashFaceDemoPerson" if given else "FlashFaceDemoLoader"
    with pytest.raises(error, match=f"demo/{lacking} is not in this pack's folder. Update or"):
        run_node(pack[node], **given)


def test_other_words_and_autoencoders_are_refused(tmp_path: Path, pack) -> None:
    models = pack_module("flashface_core.demo.models")
    refused = pack_module("flashface_core.files.weights").CheckpointError
    write = pack_module("flashface_core.files.packed").write_packed
    source = pack_module("flashface_core.files.weights").open_source(OWN / "autoencoder.npz")
    vae = source.load(list(source.shapes))
    last = [name for name in vae if name.endswith("weight")][-1]
    rows, path = torch.zeros(2, 768), tmp_path / "file.npz"
    for words, says in (
        ({"ids": torch.tensor([1, 49408]), "rows": rows}, r"ids from 0 to 49407"),
        ({"ids": torch.tensor([1.0, 2.0]), "rows": rows}, r"ids from 0 to 49407"),
        ({"ids": torch.tensor([1, 2]), "rows": rows[:1]}, r"rows \(W, 768\).* holds .*\(1, 768\)"),
        ({"rows": rows}, r"should hold ids"),
        ({"ids": torch.tensor([1, 2]), "rows": rows / 0}, r"NaN or infinite"),
    ):
        write(path, words, {})
        with pytest.raises(refused, match=says):
            models.load_clip(str(path))
    for weights, says in (
        ({n: t for n, t in vae.items() if n != last}, f"lacks 1 weights .*{last}"),
        (vae | {last: vae[last][:, :1]}, r"ComfyUI cannot load it"),
        (vae | {last: vae[last] * float("nan")}, r"NaN or infinite"),
        ({"some.weight": rows}, r"ComfyUI cannot load it"),
    ):
        write(path, weights, {})
        with pytest.raises(refused, match=says):
            models.load_vae(str(path))


def test_the_checkouts_files_are_what_the_manifest_says() -> None:
    manifest = json.loads((OWN / "demo.json").read_text(encoding="utf-8"))
    files = manifest["files"] | manifest["facesnap"]["files"]
    for name, about in files.items():
        content = (OWN / name).read_bytes()
        assert len(content) == about["bytes"], name
        assert hashlib.sha256(content).hexdigest() == about["sha256"], name
    there = {file.relative_to(OWN).as_posix() for file in OWN.rglob("*") if file.is_file()}
    assert there == {*files, "demo.json"}
    weights = [name for name in there if name.endswith(".npz")]
    assert sum((OWN / name).stat().st_size for name in weights) <= 35e6 + 10e6
