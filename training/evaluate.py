"""Shows what a trained network can do: python -m training.evaluate RECIPE [KEY=VALUE ...]

Held-out people are painted under paired conditions, judged and counted: results.json, EVIDENCE.md,
curves and grids in RUNS/<run>/evaluation. What was painted is kept, so a second call goes on.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config, ConfigError, load_config
from .places import PROJECT, set_up

FOLDER = "evaluation"
DOCS = PROJECT / "docs"
QUALITY, LARGEST = 82, 300_000  # of pictures on the page: bytes

log = logging.getLogger(__name__)


def evaluate(config: Config, judges: Any = None, docs: bool = False, command: str = "") -> Path:
    """Paint, judge and write; the folder with everything.

    judges: other ones than the recipe's. docs: write docs/EVIDENCE.md and its pictures too.
    """
    from . import record
    from .evaluation import claims, gather, grids, painting, report, sheets

    studio = painting.open_studio(config)
    folder = studio.run / FOLDER
    judges = judges or _load_judges(config, studio.run)
    painted = painting.paint_all(studio, folder)
    results = gather.judge_all(studio, judges, painted, _outside())
    found = claims.all_claims(results)
    pictures = grids.grids_of(studio, painted) | report.charts_of(results)
    by_eye = sheets.read_score(folder)
    page = report.as_page(results, found, [f"{name}.png" for name in pictures], command, by_eye)
    numbers = record.as_json_has_it(report.as_numbers(results, found))
    report.save_all(folder, numbers, page, pictures)
    if docs:
        names = [_save_small(DOCS / "images" / f"evidence_{n}", p) for n, p in pictures.items()]
        links = [f"images/{name}" for name in names]
        text = report.as_page(results, found, links, command, by_eye)
        (DOCS / "EVIDENCE.md").write_text(text, encoding="utf-8")
    for claim in found:
        log.info("%s  %s %s", "holds " if claim.passed else "FAILED", claim.number, claim.says)
        for name, value in claim.figures.items():
            log.info("          %s: %s", name, value)
    return folder


def through_nodes(config: Config, count: int) -> float:
    """The largest difference of latents between this and the nodes, in fp32; logged by condition.

    In standard deviations of the latents, which are about 1 where a network has been trained.
    count: people of whom every condition is painted both ways.
    """
    from . import flashface
    from .evaluation import conditions, painting
    from .evaluation.painter import paint
    from .evaluation.through_nodes import latents_through_nodes

    studio = painting.open_studio(config)
    own = config.evaluate
    sitters = painting.sitters_of(studio, studio.held_out.people[:count])
    listed = [*conditions.main_conditions(own), *conditions.age_conditions(own)]
    largest = 0.0
    for condition, mine in zip(listed, paint(studio.model, sitters, listed, own), strict=True):
        file = studio.run / flashface.EXPORT
        theirs = latents_through_nodes(file, studio.model.words, sitters, condition, own)
        found = float((mine - theirs).abs().max() / theirs.std())
        log.info("%s: %d pictures, latents differ by %.2g", condition.name, len(mine), found)
        largest = float(np.maximum(largest, found))  # which keeps nan
    return largest


def _load_judges(config: Config, run: Path) -> Any:
    from .judges.judge import load_judges

    own = config.evaluate.judges
    folder = Path(own).expanduser() if own else run / "judges"
    return load_judges(run.parent / folder, config.device)


def _outside() -> Any:
    """dlib's encoder where it is installed (requirements-judges.txt), or None."""
    from .judges.outside import load_dlib

    try:
        return load_dlib()
    except ImportError:
        return None


def _save_small(path: Path, image: Any) -> str:
    """Write a picture as webp with few enough bytes; its file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path = path.with_suffix(".webp")
    for quality in (QUALITY, 65, 50, 35):
        image.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size < LARGEST:
            break
    return path.name


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("config", type=Path, help="a recipe, such as training/configs/smoke.toml")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="evaluate.people=20")
    parser.add_argument("--docs", action="store_true", help="write docs/EVIDENCE.md too")
    parser.add_argument(
        "--through-nodes", type=int, metavar="N", default=0,
        help="only compare N pictures a condition with those that the nodes paint",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    show_progress()
    command = " ".join(["python -m training.evaluate", _shown(given.config), *given.changes])
    no_set_up = set_up("environment").SetupError
    try:
        config = load_config(given.config, given.changes)
        if given.through_nodes:
            return int(not through_nodes(config, given.through_nodes) <= 1e-4)
        log.info("%s", evaluate(config, docs=given.docs, command=command))
    except (ConfigError, FileNotFoundError, ValueError, no_set_up) as error:
        log.error("error: %s", error)
        return 1
    return 0


def show_progress() -> None:
    """Log what this room says, and of others only what is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for name in ("training", "__main__"):
        logging.getLogger(name).setLevel(logging.INFO)


def _shown(path: Path) -> str:
    whole = path.resolve()
    return str(whole.relative_to(PROJECT)) if whole.is_relative_to(PROJECT) else path.name


if __name__ == "__main__":
    sys.exit(main())
