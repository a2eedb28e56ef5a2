"""Writes FaceSnap's page of evidence: python -m training.facesnap.report RUN [--docs]

From `evidence.json`, the networks' reports and the grid of a run's folder, as it lies there.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from PIL import Image

from .. import host
from ..places import PROJECT
from .evidence import verdicts_of
from .painting import BLACK, NOBODY, OTHER, OWN, PLAIN

PAGE, PICTURE = "EVIDENCE_FACESNAP.md", "images/evidence_facesnap.webp"
ABOUT = (
    "**Rendered people only, and small networks**, on the plain base of the embedded model. "
    "Everybody here is drawn by this project; nothing of this says how well photos of real people "
    "are met, and no result of the paper was reproduced."
)
VERDICTS = {True: "holds", False: "**FAILED**", None: ""}
NAMES = {
    OWN: "the person's own reference",
    OTHER: "another person's reference, with that one's shape",
    NOBODY: "identity strength 0",
    BLACK: "own reference, black landmark picture",
    PLAIN: "without FaceSnap",
}
ROWS = (
    "target (whose pose and prompt), reference, landmarks that were asked for, another person; "
    "then painted: own, other, identity strength 0, black landmark picture, without FaceSnap"
)


def page(found: dict[str, Any], networks: dict[str, Any]) -> str:
    """The whole page in Markdown. networks: the reports of `landmarks` and `encoder`."""
    model, own = found["model"], found["settings"]
    lines = [
        "# Evidence for FaceSnap",
        "",
        ABOUT,
        "",
        f"Made by `python -m training.facesnap`: {model['pictures']} pictures of {model['people']} "
        f"held-out people under each condition, {model['seeds']} seeds, {own['steps']} steps, cfg "
        f"{own['cfg']:g}; the same prompts and noise everywhere. Intervals: 95 %, over people.",
        "",
        "## Claims",
        "",
        "| claim | | figures |",
        "|---|---|---|",
        *(
            f"| {name} | {VERDICTS[claim['holds']]} | {claim['found']} |"
            for name, claim in verdicts_of(model).items()
        ),
        "",
        "## What was painted",
        "",
        "*cosine*: to the mean of the person's photos, by judges trained on other drawn people; "
        "*rank*: of the right person among all; *points*: mean error in % of the eyes' distance, "
        "by the landmark network, in the wanted face's square. Words: told right by the judges.",
        "",
        *_table(model),
        "",
        *_ablations(found["ablations"]),
        *_networks(networks),
        "## Pictures",
        "",
        f"![The grid]({PICTURE})",
        "",
        f"Rows: {ROWS}.",
    ]
    return "\n".join(lines) + "\n"


def _table(model: dict[str, Any]) -> list[str]:
    words = list(model[OWN]["words"])
    head = f"| | cosine | rank | points | {' | '.join(words)} |", "|---" * (4 + len(words)) + "|"
    return [*head] + [_row(NAMES[name], model[name], words) for name in NAMES if name in model]


def _row(name: str, one: dict[str, Any], words: list[str]) -> str:
    told = " | ".join(f"{one['words'][word]['mean']:.2f}" for word in words)
    figures = _said(one["cosine"], 3), _said(one["rank"], 1), _said(one["landmark error"], 1)
    return f"| {name} | {' | '.join(figures)} | {told} |"


def _ablations(found: dict[str, Any]) -> list[str]:
    lines = ["## Ablations", ""]
    if not found:
        return [*lines, "Not trained yet: each needs the control stage again.", ""]
    lines += ["| | own above another's, share | gap | points |", "|---|---|---|---|"]
    for name, one in found.items():
        gap = one["own above other"]
        points = _said(one[OWN]["landmark error"], 1)
        lines.append(f"| {name} | {gap['share']:.1%} | {_said(gap, 3)} | {points} |")
    return [*lines, ""]


def _networks(networks: dict[str, Any]) -> list[str]:
    points, faces = networks["landmarks"], networks["encoder"]
    swap = points["swapped"] / points["copied"]
    same, nearest = points["same_nearer"], faces["nearest_is_right"]
    rows = [
        ("points of held-out faces, % of the eyes' distance", points["nme"], 4.0),
        ("the same for another's shape in this pose", points["swapped"], ""),
        ("of the error when the driver's points are copied", swap, 0.5),
        ("a photo's shape is nearer to one of the same person", same, 0.95),
        ("face encoder: photos of one person above two people's (AUC)", faces["auc"], ""),
        ("face encoder: the nearest of all people is right", nearest, ""),
    ]
    return [
        "## Landmark network and face encoder",
        "",
        "| | found | wanted |",
        "|---|---|---|",
        *(f"| {what} | {value:.2f} | {wanted} |" for what, value, wanted in rows),
        "",
    ]


def _said(stated: dict[str, float], digits: int) -> str:
    mean, low, high = (f"{stated[name]:.{digits}f}" for name in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.facesnap.report", description=__doc__)
    parser.add_argument("run", help="a run's name, such as facesnap-people")
    parser.add_argument("--docs", action="store_true", help="write docs/ too")
    options = parser.parse_args()
    run = host.runs_folder() / options.run
    try:
        found = json.loads((run / "evidence.json").read_bytes())
        networks = {
            name: json.loads((run / name / "report.json").read_bytes())
            for name in ("landmarks", "encoder")
        }
    except FileNotFoundError as error:
        sys.stderr.write(f"error: {error}: run python -m training.facesnap first.\n")
        return 1
    for folder in (run, *([PROJECT / "docs"] if options.docs else [])):
        (folder / PAGE).write_text(page(found, networks), encoding="utf-8", newline="\n")
        (folder / "images").mkdir(exist_ok=True)
        with Image.open(run / "grid.png") as grid:
            small = grid.resize((grid.width // 2, grid.height // 2), Image.Resampling.BOX)
            small.save(folder / PICTURE, quality=82, method=6)
    sys.stdout.write(f"{run / PAGE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
