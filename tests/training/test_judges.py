"""Judges: they learn, are loaded, answer, and see nobody but people of their own."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import HELD_OUT, make_set, tiny_config

from training.judges.judge import load_judges
from training.judges.measures import auc, nearest_right
from training.judges.nets import arcface
from training.judges.outside import load_dlib
from training.judges.photos import MEASURED, TRAINED, read_photos
from training.judges.train import judges_folder, train
from training.judges.views import as_pictures, face_crops
from training.people.plan import SPLITS

PHOTOS = 4


def make_drawn_set(folder: Path, people: int, first: int) -> None:
    """A set whose records say what judges learn; a person's colour is half of the picture's."""
    make_set(folder, people, PHOTOS, 48, first)
    index = json.loads((folder / "shard-00000.json").read_bytes())
    tar = io.BytesIO()
    for number, sample in enumerate(index["samples"]):
        whole = (folder / "shard-00000.tar").read_bytes()
        offset, size = sample["files"]["json"]
        record = json.loads(whole[offset : offset + size])
        record |= {"age": 8 + number % 2, "identity": [sample["person"] % 5, 1.0]}
        record["attributes"] = {"sex": ("female", "male")[number % 2], "yaw": 20.0 * (number % 3)}
        for ending, (start, length) in sample["files"].items():
            content = whole[start : start + length]
            content = json.dumps(record).encode() if ending == "json" else content
            sample["files"][ending] = [tar.tell(), len(content)]
            tar.write(content)
    (folder / "shard-00000.tar").write_bytes(tar.getvalue())
    (folder / "shard-00000.json").write_text(json.dumps(index))


def test_judges_are_trained_loaded_and_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path))
    settings = tiny_config("run=judged", "judges.steps=6", "judges.picture_steps=6")
    sets = tmp_path / "runs/people/smoke"
    make_drawn_set(sets / "judges", 4, TRAINED.start)
    make_drawn_set(sets / "judges-held-out", 3, MEASURED.start)
    threads = torch.get_num_threads()
    train(settings)
    torch.set_num_threads(threads)
    folder = judges_folder(settings)
    report = json.loads((folder / "report.json").read_bytes())["judges-held-out"]
    assert (report["people"], report["photos"]) == (3, 3 * PHOTOS)
    assert report["drawn"]["attributes"]["sex"]["chance"] == 0.5
    assert "looks" in capsys.readouterr().out
    judges = load_judges(folder)
    pictures, boxes = torch.rand(2, 64, 64, 3), torch.tensor([[16.0, 10, 40, 50]] * 2)
    embedded = judges.embed(pictures, boxes)
    assert embedded.shape == (2, settings.judges.dims)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2), atol=1e-5)
    assert judges.identity(pictures, boxes).shape == (2, 2)
    found = judges.attributes((pictures * 255).to(torch.uint8))
    assert judges.classes == {"sex": ["female", "male"], "looks": ["ahead", "right"]}
    assert all(found[name].max() < len(words) for name, words in judges.classes.items())
    stamp = (folder / "faces.safetensors").stat().st_mtime_ns
    train(settings)
    assert (folder / "faces.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("first", [0, HELD_OUT, MEASURED.start])
def test_people_of_others_are_refused(first, tmp_path):
    make_set(tmp_path / "set", 1, 1, 16, first)
    with pytest.raises(ValueError, match=f"Person {first} is none of the seeds 2000000 to 2999999"):
        read_photos([tmp_path / "set"], TRAINED)


def test_the_judges_people_are_those_of_their_splits():
    starts = [*SPLITS.values(), 4_000_000]
    ranges = dict(zip(SPLITS, pairwise(starts), strict=True))
    assert ranges["judges"] == (TRAINED.start, TRAINED.stop)
    assert ranges["judges-held-out"] == (MEASURED.start, MEASURED.stop)


def test_a_crop_is_centred_on_its_box():
    picture = torch.zeros(1, 100, 100, 3)
    picture[:, 20:40, 50:70] = 1
    crop = face_crops(as_pictures(picture, 100), torch.tensor([[50.0, 20, 70, 40]]), 28)[0, 0]
    inside = crop[4:24, 4:24]  # the box is 20 of the crop's 28 pixels
    assert inside.min() > 0.99 and abs(float(crop.sum()) - 400) < 1


def test_measures_by_hand():
    assert auc(np.array([0.5, 2]), np.array([0.5, 1])) == 0.625
    vectors = torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [1, 0.2]])
    assert nearest_right(vectors, torch.tensor([7, 7, 9, 9])) == 0.75


def test_the_margin_is_an_angle():
    cosines, owners = torch.tensor([[0.5, 0.1], [-0.99, 0.3]]), torch.tensor([0, 0])
    turned = torch.tensor([np.cos(np.arccos(0.5) + 0.4), -0.99 - 0.4 * np.sin(0.4)])
    wanted = torch.logaddexp(torch.zeros(2), 8 * (cosines[:, 1] - turned)).mean()
    assert abs(float(arcface(cosines, owners, 0.4, 8.0) - wanted)) < 1e-5


@pytest.mark.skipif(find_spec("dlib") is not None, reason="dlib is installed")
def test_dlib_is_asked_for_in_words():
    with pytest.raises(ImportError, match=r"install -r requirements-judges\.txt"):
        load_dlib()
