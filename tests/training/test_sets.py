"""Sets: the same bytes for the same seed, however many processes; resumable; readable by others."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from webdataset.compat import WebDataset

from training.people.__main__ import main
from training.people.captions import STARTS
from training.people.dataset import SetSettings, render_set, shard_hashes
from training.people.reader import PhotoSet

SMALL = SetSettings(people=3, photos=2, size=32, people_per_shard=1, first=20)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    render_set(folder, SMALL)
    return folder


def test_twice_and_by_two_processes_the_bytes_are_the_same(made, tmp_path):
    render_set(tmp_path / "two", SMALL, processes=2)
    assert shard_hashes(tmp_path / "two") == shard_hashes(made)
    assert len(shard_hashes(made)) == 6


def test_a_set_goes_on_where_it_was(made, tmp_path):
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    kept = tmp_path / "shard-00000.tar"
    stamp = kept.stat().st_mtime_ns
    (tmp_path / "shard-00001.json").unlink()
    (tmp_path / "shard-00001.tar").write_bytes(b"half")
    (tmp_path / "shard-00001.tar.half-1").write_bytes(b"left")
    (tmp_path / "shard-00002.json").unlink()
    render_set(tmp_path, SMALL, most=1)
    assert not (tmp_path / "shard-00002.json").exists()
    render_set(tmp_path, SMALL)
    assert shard_hashes(tmp_path) == shard_hashes(made)
    assert kept.stat().st_mtime_ns == stamp
    assert not list(tmp_path.glob("*.half-*"))


def test_another_set_in_the_same_folder_is_refused(made):
    with pytest.raises(ValueError, match="holds a set made from"):
        render_set(made, SetSettings(people=4, photos=2, size=32))


@pytest.mark.parametrize("bad", [{"first": 999_999, "people": 2}, {"photos": 0}, {"size": 4}])
def test_settings_that_cannot_be_are_refused_in_words(bad):
    with pytest.raises(ValueError, match="asked for"):
        SetSettings(**bad)


def test_the_reader_finds_every_photo(made):
    photos = PhotoSet(made)
    assert len(photos) == 6
    assert [p["person"] for p in photos.people] == [20, 21, 22]
    assert photos.photos_of[21] == [2, 3]
    sample = photos[3]
    assert sample.image.shape == sample.mask.shape == (32, 32, 3)
    record = sample.record
    assert (record["person"], record["index"]) == (21, 1)
    assert len(record["captions"]) == 3
    assert len(record["expression"]) == len(photos.settings["expression"]) == 52
    assert len(record["identity"]) == len(photos.settings["identity"])
    shapes = {"landmarks": (72, 2), "landmarks_3d": (72, 3), "head": (72, 3), "five": (5, 2)}
    for name, shape in shapes.items():
        assert np.shape(record[name]) == shape
    pose = record["pose"]
    solid = pose["scale"] * np.array(record["head"]) @ np.transpose(pose["rotation"])
    solid = solid + pose["shift"]
    assert np.abs(solid - record["landmarks_3d"]).max() < 0.01
    assert np.shape(photos.people[0]["neutral"][0]["head"]) == (72, 3)


def test_webdataset_reads_the_shards(made):
    url = str(made / "shard-00002.tar")
    samples = list(WebDataset([url], shardshuffle=False))
    assert [s["__key__"] for s in samples] == ["0000022-00", "0000022-01"]
    ours = PhotoSet(made)[4]
    with Image.open(io.BytesIO(samples[0]["webp"])) as image:
        assert np.array_equal(np.array(image.convert("RGB")), ours.image)
    assert json.loads(samples[0]["json"]) == ours.record
    index = json.loads((made / "index.json").read_bytes())
    assert [shard["nsamples"] for shard in index["shardlist"]] == [2, 2, 2]


def test_captions_name_hair_and_scene_once(made):
    photos = PhotoSet(made)
    for i in range(len(photos)):
        record = photos.record(i)
        full = record["captions"][0]
        known = record["attributes"]
        assert full.startswith(STARTS[0] + "a")
        assert full.count("hair") == (known["style"] != "bald")
        assert known["hair"] in full or known["style"] == "bald"
        assert known["garment_colour"] == known["hair"] or known["garment_colour"] not in full


def test_the_command_draws_a_sheet_and_names_what_it_does_not_know(tmp_path, caplog):
    assert main(["sheet", str(tmp_path), "nobody"]) == 1
    assert "no sheet nobody" in caplog.text
    assert main(["sheet", str(tmp_path), "ages", "--size", "24", "--landmarks"]) == 0
    with Image.open(tmp_path / "ages.png") as image:
        assert image.size == (5 * 24, 5 * 24)
