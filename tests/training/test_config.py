"""Settings: every recipe loads, and a slip is an error that says what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_training import SMOKE

from training import host, places
from training.config import ConfigError, load_config
from training.facesnap.settings import FaceSnapConfig

RECIPES = sorted(Path(SMOKE).parent.glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads(path):
    if path.stem.startswith("facesnap"):
        assert load_config(path, (), FaceSnapConfig).run == path.stem
        return
    found = load_config(path)
    assert found.run == path.stem
    for stage in (found.base, found.flashface):
        assert stage.batch % stage.share == 0


def test_changes_win_over_the_recipe():
    changes = ["base.steps=7", 'data.train=["a", "b"]', "run=try", "flashface.lr=1"]
    found = load_config(SMOKE, changes)
    assert (found.base.steps, found.data.train, found.run) == (7, ("a", "b"), "try")
    assert found.flashface.lr == 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("base.step=7", "no setting base.step; the nearest is base.steps"),
        ("precison=fp32", "the nearest is precision"),
        ("base.steps=many", "base.steps is of the kind of 50000, got 'many'"),
        ("base.steps=true", "got True"),
        ("base=7", "base is a group of settings"),
        ("base.steps", "no KEY=VALUE"),
        ("data.train=[1]", "data.train"),
        ("run.name=try", "'run.name=try': run is a setting, and none lies below it"),
        ("base.steps.of=7", "steps is a setting"),
        ("network.init=half", "network.init is one of copy, zero, got 'half'"),
        ("precision=fp16", "precision is one of fp32, bf16, got 'fp16'"),
        ("base.lr=NaN", "base.lr is a finite number, got nan"),
        ("base.lr=-Infinity", "base.lr is a finite number, got -inf"),
        ("base.lr=1" + "0" * 400, "base.lr is a finite number"),
        ("log_every=0", "log_every is 1 or more, got 0"),
        ("network.multipliers=[1, 0]", "network.multipliers is 1 or more"),
        ("seed=-1", "seed is 0 or more"),
    ],
)
def test_what_is_unknown_or_of_another_kind_is_an_error(change, said):
    with pytest.raises(ConfigError, match=said):
        load_config(SMOKE, [change])


def test_a_recipe_that_cannot_be_read_is_an_error(tmp_path):
    path = tmp_path / "broken.toml"
    for content in (b"run = ", 'run = "caf\u00e9"'.encode("latin-1"), None):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"broken\.toml cannot be read"):
            load_config(path)


def test_a_set_up_that_fails_is_a_sentence(monkeypatch, capsys):
    def stage(_config):
        raise places.set_up("environment").SetupError("No ComfyUI: set COMFYUI_PATH.")

    monkeypatch.setattr("sys.argv", ["training", str(SMOKE)])
    assert host.run_stage("base", "", stage) == 1
    assert capsys.readouterr().err == "error: No ComfyUI: set COMFYUI_PATH.\n"
