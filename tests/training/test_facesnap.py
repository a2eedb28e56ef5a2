"""FaceSnap's training: from drawn photos to a file that the pack loads, in small."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flashface_core.faces.align import align_face
from flashface_core.facesnap.landmark_file import load_landmark_model
from flashface_core.facesnap.landmark_model import Face, Pose, procrustes
from flashface_core.facesnap.prediction import predict
from flashface_core.files.weights import open_source
from training import config, host
from training.facesnap import control, course, embed, landmarks, pairs, shapes, views
from training.facesnap.photos import read_photos
from training.facesnap.settings import FaceSnapConfig
from training.judges.train import train as train_judges
from training.people.dataset import SetSettings, render_set

SIZE, PHOTOS = 64, 4
SMOKE = Path(config.__file__).with_name("configs") / "facesnap-smoke.toml"
SHORT = (
    *("landmarks.steps=4", "landmarks.batch=4", "encoder.steps=4", "encoder.batch=4"),
    *("control.steps=3", "control.batch=4", "ablations.steps=1", "painting.pictures=4"),
    *(
        'ablations.names=["whole", "no CrossAttn"]',
        "painting.steps=2",
        "painting.judges=judged/judges",
    ),
)


def small(*changes: str) -> FaceSnapConfig:
    return config.load_config(SMOKE, (*SHORT, *changes), FaceSnapConfig)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder with small sets, drawn once."""
    folder = tmp_path_factory.mktemp("facesnap")
    sets = folder / "runs/people"
    for split, people in (("train", 3), ("held-out", 2)):
        settings = SetSettings("poses", split, people=people, photos=PHOTOS, size=SIZE)
        render_set(sets / "poses-128" / split, settings)
    for split, people in (("judges", 8), ("judges-held-out", 4)):
        settings = SetSettings("portraits", split, people=people, photos=PHOTOS, size=SIZE)
        render_set(sets / "smoke" / split, settings)
    return folder


@pytest.fixture
def here(cache, monkeypatch):
    monkeypatch.setenv("FLASHFACE_CACHE", str(cache))
    threads = torch.get_num_threads()
    host.enter()
    yield cache / "runs"
    torch.set_num_threads(threads)


@pytest.fixture
def photos(here):
    return read_photos([here / "people/poses-128/train"], training=True)


@pytest.fixture(scope="module")
def run(cache):
    """A run through every stage."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASHFACE_CACHE", str(cache))
        threads = torch.get_num_threads()
        judged = config.load_config(
            SMOKE.with_name("smoke.toml"),
            ["run=judged", "judges.steps=2", "judges.picture_steps=2"],
        )
        train_judges(judged)
        course.run_stages(small(), list(course.STAGES))
        torch.set_num_threads(threads)
    return cache / "runs/facesnap-smoke"


def test_every_stage_leaves_what_the_pack_loads(run, tmp_path):
    from flashface_core.facesnap.model import load_facesnap

    found = json.loads((run / "evidence.json").read_bytes())
    assert set(found["model"]) >= {"own", "other", "nobody", "black hint", "without FaceSnap"}
    assert found["model"]["people"] == 2 and len(found["claims"]) == 4
    assert set(found["ablations"]) == {"whole", "no-CrossAttn"}
    assert Image.open(run / "grid.png").width == 2 * SIZE * 4
    file = load_landmark_model(run / landmarks.EXPORT)
    assert file.net is not None and file.model.mean.shape == (72, 3)
    model = load_facesnap(str(run / control.EXPORT))
    assert model.null_tokens().shape == (1, 4, 768)


def test_the_packs_networks_give_the_trainings_numbers(run, cache, here):
    from flashface_core.facesnap.identity import Identity
    from flashface_core.facesnap.model import load_facesnap

    settings = small()
    known = course.Course(settings)
    net = control.load_fidelity(run / control.EXPORT, settings, known.base, known.tested)
    model = load_facesnap(str(run / control.EXPORT))
    bank, ones = known.tested, torch.ones(1)
    for identity, wanted in ((ones, None), (0 * ones, model.null_tokens())):
        mixed = net.tokens(bank.f_id[0, :1], bank.f_clip[0, :1], identity, control.Variant())
        crops = torch.zeros(1, 112, 112, 3, dtype=torch.uint8)
        person = Identity(model.encoders, bank.f_id[0, 0], bank.f_clip[0, 0], crops)
        found = model.tokens(person) if wanted is None else wanted
        assert (mixed - found).abs().max() < 1e-5 * mixed.abs().max()
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([500.0])
    hint = control.hints(bank, torch.tensor([0]), torch.tensor([1]), ones, ones)
    ours = net.residuals(x, t, hint, mixed)
    theirs = model.control.control_model(x, hint.permute(0, 3, 1, 2), t, mixed)
    for name, parts in ours.items():
        assert all(torch.equal(a, b) for a, b in zip(parts, theirs[name], strict=True))


def test_a_run_is_embedded_in_half_precision(run, cache, here, tmp_path):
    embed.embed(small(), tmp_path)
    for name in embed.SOURCES:
        source = open_source(tmp_path / name)
        floats = [t for t in source.load(list(source.shapes)).values() if t.ndim]
        assert {t.dtype for t in floats} == {torch.float16}
    assert load_landmark_model(tmp_path / "facesnap-landmarks.npz").net is not None


def test_a_stopped_stage_goes_on_as_if_it_had_not(here, photos):
    def trained(run: str, *steps: int) -> dict[str, torch.Tensor]:
        for count in steps:
            settings = small(f"run={run}", f"landmarks.steps={count}", "save_every=1")
            course.run_stages(settings, ["landmarks"])
        source = open_source(here / run / landmarks.EXPORT)
        return source.load(list(source.shapes))

    # The rate falls by the step's share of all steps, so both are told the same number.
    whole, stopped = trained("whole", 4), trained("stopped", 4, 4)
    assert all(torch.equal(tensor, stopped[name]) for name, tensor in whole.items())


def test_what_is_true_of_a_photo_says_where_its_points_are(photos):
    model, about = shapes.fit_landmark_model(photos, (32, 32))
    truth = shapes.truth_of(photos, model, mirrored=True)
    assert about["shape_variance"] > 0.99 and about["left_over"] < 0.01
    for i in (0, 5, len(photos) + 3):
        pose = Pose(truth.rotation[i], float(truth.scale[i]), truth.shift[i])
        said = pose.place(model.points(truth.alpha[i], truth.beta[i]))
        # The camera's perspective is no scaled orthographic one.
        assert np.abs(said - truth.points[i])[:, :2].max() < 0.12 * truth.scale[i]
        best = procrustes(model.points(truth.alpha[i], truth.beta[i]), truth.points[i])
        assert np.allclose(best.rotation, pose.rotation) and np.allclose(best.shift, pose.shift)


def test_crops_are_the_packs(photos):
    five = photos.five[:3]
    crops = views.aligned(views.planes(photos.pictures[:3]), five)
    for picture, points, crop in zip(photos.pictures, five, crops, strict=False):
        wanted = align_face(Image.fromarray(picture.numpy()), (points - 0.5).tolist())
        assert (255 * crop.permute(1, 2, 0) - wanted).abs().max() < 0.51


def test_hints_are_predicted_as_the_node_predicts_them(run, here):
    settings = small()
    known = course.Course(settings)
    bank, model = known.tested, load_landmark_model(run / landmarks.EXPORT).model

    def face(row: int) -> Face:
        rotation, shift, scale = bank.rotation[row], bank.shift[row], float(bank.scale[row])
        pose = Pose(rotation.double().numpy(), scale, shift.double().numpy())
        codes = (getattr(bank, n)[row].double().numpy() for n in ("alpha", "beta", "detail"))
        alpha, beta, detail = codes
        return Face(alpha, beta, pose, detail, np.zeros((72, 3)), SIZE, SIZE)

    points = bank.predicted(torch.tensor([0]), torch.tensor([5]))[0].numpy()
    wanted = predict(model, face(0), face(5), SIZE, SIZE)[:, :2]
    assert np.abs(points - wanted).max() < 1e-3


def test_references_are_other_photos_of_the_same_person():
    people = pairs.People(torch.tensor([0, 0, 1, 1, 1, 2]))
    random = np.random.default_rng(0)
    rows = people.draw(random, 400)
    others = people.other(random, rows)
    assert (people.owners[rows] == people.owners[others]).all()
    assert ((rows == others) == (rows == 5)).all() and set(rows) == set(range(6))


def test_held_out_people_are_refused(here):
    with pytest.raises(ValueError, match="held out"):
        read_photos([here / "people/poses-128/held-out"], training=True)


def test_an_unknown_ablation_is_named(here, run):
    settings = small()
    short = dataclasses.replace(settings.ablations, names=("no mixer",))
    with pytest.raises(ValueError, match="no ablation 'no mixer'"):
        course.run_stages(dataclasses.replace(settings, ablations=short), ["ablations"])
