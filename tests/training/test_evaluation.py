"""Evidence: the painter paints what the nodes paint, effects are found, one command does it all."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from host_pack import ROOT
from tiny_training import (
    FACE,
    GRID,
    HELD_OUT,
    make_run,
    make_set,
    tiny_config,
    tiny_flashface,
    tiny_latents,
)
from torch import Tensor

from training import evaluate, flashface, text
from training.config import Config, ConfigError, Evaluate
from training.evaluation import (
    claims,
    conditions,
    faces,
    judging,
    painter,
    painting,
    results,
    sheets,
    statistics,
    through_nodes,
)
from training.evaluation.people import HeldOut, Person
from training.steps import torch_random_of

OWN = Evaluate(steps=2, cfg=3.0, strength=0.9, launch=600, batch=6, repeat_to=2, references=2)
ATTRIBUTES = {"sex": "female", "age_class": "young", "hair": "red", "style": "long",
              "glasses": "round", "scene": "park", "garment": "shirt"}  # fmt: skip


class PixelJudges:
    """Tells people by their pictures' very colours, and reads all attributes off the brightness."""

    def __init__(self) -> None:
        self.classes = {"age_class": ["child", "middle-aged", "old", "young"],
                        "glasses": ["none", "round", "square"]}  # fmt: skip

    def embed(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        assert boxes.shape == (len(pictures), 4)
        return F.normalize(self._small(pictures).flatten(1), dim=1)

    def identity(self, pictures: Tensor, boxes: Tensor) -> Tensor:
        return self._small(pictures).mean((2, 3))

    def attributes(self, pictures: Tensor) -> dict[str, Tensor]:
        bright = self._small(pictures).mean((1, 2, 3)) + 0.5
        return {name: (bright * len(own)).long().clamp(0, len(own) - 1)
                for name, own in self.classes.items()}  # fmt: skip

    def _small(self, pictures: Tensor) -> Tensor:
        planes = pictures.float().permute(0, 3, 1, 2)
        planes = planes / 255 if pictures.dtype == torch.uint8 else planes
        return F.interpolate(planes, (8, 8), mode="area") - 0.5


def sitters(people: int = 2) -> painter.Sitters:
    random = torch_random_of(5)
    region = torch.zeros(people, 1, GRID, GRID)
    region[..., 2:6, 1:5] = 1
    return painter.Sitters(
        noise=torch.randn(people, 4, GRID, GRID, generator=random),
        region=region,
        faces=torch.randn(people, OWN.references, 4, FACE, FACE, generator=random),
        prompts={kind: [f"a {kind} {i}" for i in range(people)] for kind in ("own", "child")},
    )


def test_the_nodes_paint_the_same(tmp_path):
    model = text.Captioned(tiny_flashface(), text.Words(text.tokenize("a child")))
    file = tmp_path / "tiny.safetensors"
    flashface.export(file, model)
    start = conditions.start(OWN)
    varied = [
        start,
        dataclasses.replace(start, name="none", references=0),
        dataclasses.replace(start, name="one", references=1, strength=1.3, launch=1000),
        dataclasses.replace(start, name="c", guidance=0.0, region=False, prompt="child"),
    ]
    given = sitters()
    painted = painter.paint(model, given, varied, OWN)
    for condition, latents in zip(varied, painted, strict=True):
        wanted = through_nodes.latents_through_nodes(file, model.words, given, condition, OWN)
        assert wanted.std() > 0.1
        assert (latents - wanted).abs().max() < 1e-4 * wanted.abs().max(), condition.name


def test_what_was_kept_is_known_by_all_that_is_painted():
    start, given = conditions.start(OWN), sitters()
    prompts = given.prompts
    key = painting.part_key("network", [start], given, OWN)
    others = [
        ("another", [start], given, OWN),
        ("network", [dataclasses.replace(start, strength=0.5)], given, OWN),
        ("network", [start], given, dataclasses.replace(OWN, cfg=2.0)),
        *(
            ("network", [start], dataclasses.replace(given, **change), OWN)
            for change in (
                {"noise": given.noise + 1},
                {"region": 1 - given.region},
                {"faces": given.faces.flip(1)},
                {"prompts": {**prompts, "own": ["a new caption", *prompts["own"][1:]]}},
            )
        ),
    ]
    keys = {painting.part_key(*one) for one in others}
    assert len(keys) == len(others) and key not in keys
    unused = dataclasses.replace(given, prompts={**prompts, "child": ["another", "other"]})
    assert painting.part_key("network", [start], unused, OWN) == key


def test_planted_effects_are_found_and_others_are_not():
    random = np.random.default_rng(0)
    people = random.normal(0, 1, 60)  # how people differ stays out of paired differences
    noise = random.normal(0, 0.1, (60, 5))
    rising = people[:, None] + 0.05 * np.arange(5) + noise
    slope = statistics.slopes(rising, np.arange(5))
    mean = statistics.mean_of(slope)
    assert mean.low < 0.05 < mean.high and mean.low > 0.03 and mean.n == 60
    assert statistics.sign_flip(slope) < 1e-3
    assert statistics.sign_flip(noise[:, 0]) > 0.05
    assert statistics.sign_flip(np.zeros(9)) == 1
    known = statistics.mean_of(np.array([1.0, np.nan, 1.0]))
    assert (known.value, known.low, known.n) == (1, 1, 2)
    assert statistics.auc(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == 0.875


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(1)
    drawn = [statistics.mean_of(random.normal(0, 1, 40), 500) for _ in range(300)]
    held = np.mean([mean.low <= 0 <= mean.high for mean in drawn])
    assert 0.90 < held < 0.98


def test_found_boxes_become_the_renders():
    true = torch.tensor([[20.0, 10, 60, 70], [30, 30, 70, 90]])
    found = [[25.0, 22, 55, 58], [35.0, 42, 65, 78]]  # each moved by a part of its sides
    fit = faces.Fit(found, true)
    assert torch.allclose(fit.boxes(found, torch.zeros(2, 4)), true, atol=1e-4)
    assert faces.overlaps([*found[:1], None], true)[1] == 0
    assert torch.equal(fit.boxes([None, found[1]], true)[0], true[0])


def tiny_run(folder: Path, *changes: str) -> tuple[Config, Path]:
    """A run that can be evaluated: four held-out people, all alike but for their pictures."""
    config = tiny_config(
        "run=tiny", "network.multipliers=[1,2,2,2]", "evaluate.people=4", "evaluate.map_people=2",
        "evaluate.references=2", "evaluate.steps=2", "evaluate.batch=32",
        "evaluate.strengths=[1.0]", "evaluate.guidances=[0.0,1.0]", "evaluate.launches=[500]",
        *changes,
    )  # fmt: skip
    runs = folder / "runs"
    held_out = tiny_latents(4, 6, HELD_OUT)
    run = make_run(runs, config, tiny_latents(2, 2), held_out)
    words = text.Words(held_out.tokens.unique().tolist())
    flashface.export(run / flashface.EXPORT, text.Captioned(tiny_flashface(), words))
    about = {"age": 30.0, "attributes": ATTRIBUTES}
    make_set(runs / config.data.held_out[0], 4, 6, 64, HELD_OUT, about)
    return config, run


def test_one_command_paints_judges_and_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path))
    monkeypatch.setattr(evaluate, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(evaluate, "_outside", PixelJudges)
    config, _ = tiny_run(tmp_path, "evaluate.people=3")
    folder = evaluate.evaluate(config, PixelJudges(), docs=True, command="the command")
    found = json.loads((folder / "results.json").read_text(), parse_constant=pytest.fail)
    assert found["conditions"]["N = 0"]["shown"]["embedding"] == [None] * 3
    assert [claim["number"] for claim in found["claims"]] == [
        "identity",
        "prompt",
        "1",
        "2",
        "3",
        "6",
    ]  # age words have a claim of their own
    assert found["levels"]["embedding"]["same"] < 1 and set(found["levels"]) == {
        "embedding", "numbers", "dlib"}  # fmt: skip
    start, none = (found["conditions"][name] for name in ("start", "N = 0"))
    assert start["target"]["embedding"] != none["target"]["embedding"]
    assert len(start["target"]["embedding"]) == 3
    assert len(found["conditions"]["child s 1 c 1 launch 500"]["people"]) == 2
    page = (tmp_path / "docs" / "EVIDENCE.md").read_text()
    assert "**Rendered people only" in page and "FAILED" in page and "the command" in page
    assert "Not run" not in page and "By eye" not in page
    for link in ("references", "prompts", "likeness", "age-child", "age-old"):
        assert f"(images/evidence_{link}.webp)" in page
        assert (tmp_path / "docs" / "images" / f"evidence_{link}.webp").stat().st_size < 300_000
    monkeypatch.setattr(painting, "paint", None)  # all of it was kept
    studio = painting.open_studio(config)
    kept = {own.condition.name: own for own in painting.paint_all(studio, folder)}
    assert list(kept) == list(found["conditions"])
    assert kept["start"].latents.shape == (3, 4, GRID, GRID)
    monkeypatch.setattr(painting, "open_studio", lambda _: studio)
    few = dataclasses.replace(config.evaluate, claims=())
    assert evaluate.through_nodes(dataclasses.replace(config, evaluate=few), 1) < 1e-4


def test_without_adults_the_claim_about_ages_is_left_out(caplog):
    own = Evaluate(claims=(6,), references=1)
    child = Person(HELD_OUT, target=0, shown=(1,), rest=(), adult=False)
    held_out = HeldOut([], [], tiny_latents(1, 2, HELD_OUT), [child], 64)
    found = results.Results(held_out, own, 0, {}, ["age_class"])
    value = {"embedding": np.array([0.5])}
    verdicts = judging.Verdicts(value, value, value, {"age_class": ["child"]})
    for condition in conditions.main_conditions(own):
        found.painted[condition.name] = results.Judged(condition, [0], verdicts)
    assert [claim.number for claim in claims.all_claims(found)] == ["identity"]
    assert "Claim 6 is left out" in caplog.text and "none of the 1 people" in caplog.text


def test_sheets_hide_who_is_who(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHFACE_CACHE", str(tmp_path))
    config, run = tiny_run(tmp_path, "evaluate.steps=1")
    studio = painting.open_studio(config)
    key = sheets.make_sheets(studio, run / "sheets", 3)
    answers = json.loads(key.read_text())
    assert len(list((run / "sheets").glob("*.png"))) == len(answers) == 3
    for answer in answers.values():
        assert len(set(answer["rows"])) == 4
    shown = {i for person in studio.held_out.people for i in person.shown}
    unseen = {i for person in studio.held_out.people for i in person.unseen}
    assert not shown & unseen
    own = [answer["own"] for answer in answers.values()]
    wrong = "A" if own[0] != "A" else "B"
    found = sheets.score(key, [wrong, *(row.lower() for row in own[1:])])
    assert found == {"right": 2, "sheets": 3, "rows": 4, "wrong": ["sheet-01"]}
    assert sheets.read_score(run) == found
    with pytest.raises(ValueError, match="there are 3 sheets"):
        sheets.score(key, own[:2])


def test_settings_are_those_of_the_start_template():
    nodes = json.loads((ROOT / "workflows" / "1_start_here.json").read_text())["nodes"]
    set_to = {node["type"]: node.get("widgets_values") for node in nodes}
    own = Evaluate()
    strength, reference_guidance = set_to["FlashFaceApply"][0], own.reference_guidance
    launch_percent = conditions.start(own).schedule().launch_percent
    before, rescale = own.strength_before_launch, own.rescale
    assert set_to["FlashFaceGuidance"] == [reference_guidance, launch_percent, before, rescale]
    assert set_to["FlashFaceEncodeReference"] == [own.repeat_to] and strength == own.strength
    assert set_to["KSampler"][2:4] == [own.steps, own.cfg]
    assert set_to["FlashFaceDemoPerson"][1] == own.references


def test_nothing_needs_comfyui_before_it_is_entered():
    script = "import sys, training.evaluation.gather, training.evaluation.sheets as s\n"
    script += "import training.evaluation.report, training.evaluation.claims\n"
    script += "assert 'comfy' not in sys.modules and s.main"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_settings_that_cannot_be_are_said():
    for change, says in (({"steps": 7}, "divides 1000"), ({"claims": (5,)}, "claims are of")):
        with pytest.raises(ConfigError, match=says):
            conditions.main_conditions(dataclasses.replace(OWN, **change))
