"""Writes down what was found: results.json, a page with tables, curves and grids."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from . import conditions
from .charts import Curve, Point, draw_chart
from .claims import AGE_CLASSES, CLAIMS, Claim
from .conditions import AGES, START, map_name, with_references
from .judging import EMBEDDING, Verdicts
from .results import Results
from .statistics import DRAWS, Mean

ABOUT = (
    "**Rendered people only, and a small model.** Everybody here is drawn by this project; nothing "
    "of this says how well photos of real people are met. The judges are networks of this project "
    "too, trained on *other* rendered people."
)


def as_numbers(results: Results, claims: Sequence[Claim]) -> dict[str, Any]:
    """Everything as JSON: settings, claims, and each condition's figures a person."""
    people = results.held_out.people
    return {
        "settings": dataclasses.asdict(results.own) | {"seed": results.seed},
        "people": [person.number for person in people],
        "levels": {n: dict(zip(("same", "strangers", "auc"), v, strict=True))
                   for n, v in results.levels.items()},
        "claims": [dataclasses.asdict(claim) for claim in claims],
        "conditions": {
            name: {
                "settings": dataclasses.asdict(judged.condition),
                "people": judged.people,
                **_numbers(judged.verdicts),
                "right": {n: results.right(name, n).tolist() for n in results.told
                          if n in ("age_class", "scene") or judged.condition.prompt not in AGES},
            }
            for name, judged in results.painted.items()
        },
        "photos": {name: _numbers(own) for name, own in results.originals.items()},
        "faces": {n: {k: v.tolist() for k, v in vars(f).items()} for n, f in results.faces.items()},
    }  # fmt: skip


def as_page(
    results: Results,
    claims: Sequence[Claim],
    pictures: Sequence[str],
    about: str,
    by_eye: dict[str, Any] | None = None,
) -> str:
    """The whole page in Markdown. pictures: their paths from the page. about: the very command.

    by_eye: what sheets.score found, where the sheets were answered.
    """
    own, people = results.own, results.held_out.people
    adults = sum(person.adult for person in people)
    lines = [
        "# Evidence",
        "",
        ABOUT,
        "",
        f"Made by `{about}`. {len(people)} held-out people ({adults} adults), one picture of each "
        f"under every condition, with the same references, prompts and noise; seed {results.seed}, "
        f"{own.steps} steps, cfg {own.cfg:g}, strength {own.strength:g}, reference guidance "
        f"{own.reference_guidance:g} from timestep {own.launch} on, rescale {own.rescale:g}, "
        f"{own.references} references. Intervals are of 95 %, by {DRAWS:,} draws of people; p by "
        "the flip of signs, two-sided.",
        "",
        "## Claims",
        "",
        "| claim | | figures |",
        "|---|---|---|",
    ]
    for claim in claims:
        figures = "<br>".join(f"{name}: {value}" for name, value in claim.figures.items())
        passed = "holds" if claim.passed else "**FAILED**"
        lines.append(f"| **{claim.number}** {claim.says} | {passed} | {figures} |")
    if missing := [says for number, says in CLAIMS.items() if number not in own.claims]:
        lines += ["", f"**Not run**: {'; '.join(missing)}."]
    if by_eye:
        lines += ["", "## By eye", "", _by_eye(by_eye)]
    lines += ["", "## Likeness", "", *_likeness_table(results), "", "## Attributes", ""]
    lines += _attribute_table(results)
    if any(name.startswith(tuple(f"{age} s" for age in AGES)) for name in results.painted):
        lines += ["", "## Age against likeness", "", *_map_table(results)]
    lines += ["", *(f"![{Path(p).stem}]({p})\n" for p in pictures)]
    return "\n".join(lines).rstrip() + "\n"


def charts_of(results: Results) -> dict[str, Image.Image]:
    """Curves by name: likeness over references, and age against likeness."""
    own, found = results.own, {}
    same, strangers, _ = results.levels[EMBEDDING]
    if 1 in own.claims:
        means = [results.mean(results.likeness(with_references(n, own)))
                 for n in range(own.references + 1)]  # fmt: skip
        points = [(float(n), m.value, m.low, m.high) for n, m in enumerate(means)]
        levels = {"another photo": same, "a stranger": strangers}
        found["likeness"] = draw_chart(
            "Likeness over references", ("references", "SimTarget"),
            [Curve("painted", points)], levels,
        )  # fmt: skip
    for age in AGES if 6 in own.claims and "age_class" in results.told else ():
        curves = [
            Curve(f"c {c:g}, {launch}", *_over_strength(results, age, c, launch))
            for c in own.guidances
            for launch in (own.launches if c else own.launches[-1:])
        ]
        found[f"age-{age}"] = draw_chart(
            f'"{age}": age against likeness, over strength (beside the points)',
            ("likeness: 0 a stranger, 1 another photo", "told right"),
            curves, {"chance": 1 / AGE_CLASSES},
        )  # fmt: skip
    return found


def save_all(
    folder: Path, numbers: dict[str, Any], page: str, pictures: dict[str, Image.Image]
) -> None:
    """Write results.json, the page and its pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(numbers), encoding="utf-8")
    (folder / "EVIDENCE.md").write_text(page, encoding="utf-8")
    for name, image in pictures.items():
        image.save(folder / f"{name}.png")


def _by_eye(score: dict[str, Any]) -> str:
    wrong = f"; wrong were {', '.join(score['wrong'])}" if score["wrong"] else ""
    return (
        f"`python -m training.evaluation.sheets`: {score['sheets']} sheets, each with pictures of "
        f"one person, painted by prompts of age and sex alone, above {score['rows']} rows of "
        "photos, the person's own, which were not shown, and strangers' of the same sex and class "
        "of age where there are some. Answers were written down before the key was opened: "
        f"**{score['right']} of {score['sheets']} right** (by chance "
        f"{score['sheets'] / score['rows']:g}){wrong}."
    )


def _over_strength(
    results: Results, age: str, c: float, launch: int
) -> tuple[list[Point], list[str]]:
    points, labels = [], []
    for s in results.own.strengths:
        name = map_name(age, s, c, launch)
        if name in results.painted:
            right = results.mean(results.right(name, "age_class"))
            like = results.mean(results.calibrated(results.likeness(name)))
            points.append((like.value, right.value, right.low, right.high))
            labels.append(f"{s:g}")
    return points, labels


def _likeness_table(results: Results) -> list[str]:
    others = [name for name in results.levels if name != EMBEDDING]
    lines = [
        "SimTarget: cosine to the target's photo, which is not shown; SimRef: the largest to a "
        "reference; Paste: SimRef - SimTarget. *nearest*: how often nobody else's photos are "
        f"nearer, of {len(results.held_out.people)} people. Other witnesses beside: *numbers*, the "
        "renderer's numbers of a person as a head of the same network reads them; *dlib*, an "
        "encoder that others trained on photos of real people, where it is installed.",
        "",
        "| | people | SimTarget | 0 stranger, 1 same | SimRef | Paste | nearest |"
        + "".join(f" {name}: 0 stranger, 1 same | {name}: nearest |" for name in others),
        f"|---|---|---|---|---|---|---|{'---|---|' * len(others)}",
    ]
    rows = {name: own for name, own in results.originals.items() if "another" in name}
    rows |= {n: j.verdicts for n, j in results.painted.items() if " s " not in n}
    for name, own in rows.items():
        like = own.target[EMBEDDING]
        cells = [
            str(len(like)),
            str(results.mean(like)),
            f"{results.mean(results.calibrated(like)).value:.2f}",
            *(_known(results.mean(own.shown[EMBEDDING] - of)) for of in (0.0 * like, like)),
            str(results.mean(own.nearest[EMBEDDING])),
        ]
        for other in others:
            alike = results.calibrated(own.target[other], other)
            cells += [str(results.mean(alike)), str(results.mean(own.nearest[other]))]
        lines.append(f"| {_titled(name, results)} | {' | '.join(cells)} |")
    levels = ", ".join(
        f"{name} {auc:.3f} (same {same:.3f}, strangers {strangers:.3f})"
        for name, (same, strangers, auc) in results.levels.items()
    )
    return [*lines, "", f"The judges tell people apart on these photos with an AUC of: {levels}."]


def _attribute_table(results: Results) -> list[str]:
    names = results.told
    lines = [
        "How often the attribute judge reads what the prompt says; on photos its own accuracy.",
        "",
        f"| | {' | '.join(name.replace('_class', '') for name in names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for name in ("the target", "the target, decoded"):
        cells = (str(results.mean(results.right_of_originals(name, n))) for n in names)
        lines.append(f"| {name} (photo) | {' | '.join(cells)} |")
    for name, judged in results.painted.items():
        if " s " in name:
            continue
        told = [n for n in names if judged.condition.prompt not in AGES or n in _OF_AGES]
        cells = (str(results.mean(results.right(name, n))) if n in told else "" for n in names)
        lines.append(f"| {_titled(name, results)} | {' | '.join(cells)} |")
    return lines


_OF_AGES = ("age_class", "scene")


def _map_table(results: Results) -> list[str]:
    own = results.own
    lines = [
        "Told right / likeness (0 a stranger, 1 another photo) at strength s, reference guidance c "
        "and launch.",
        "",
        f"| | | {' | '.join(f's {s:g}' for s in own.strengths)} |",
        f"|---|---|{'---|' * len(own.strengths)}",
    ]
    for age in AGES:
        for c in own.guidances:
            for launch in own.launches if c else own.launches[-1:]:
                points, _ = _over_strength(results, age, c, launch)
                cells = " | ".join(f"{p[1]:.2f} / {p[0]:.2f}" for p in points)
                lines.append(f"| {age} | c {c:g}, launch {launch} | {cells} |")
    count = len(results.painted[map_name(AGES[0], own.strengths[0], own.guidances[0],
                                         own.launches[-1])].people)  # fmt: skip
    return [*lines, "", f"{count} adults a field."]


def _known(mean: Mean) -> str:
    return f"{mean.value:.3f}" if mean.n else ""


def _titled(name: str, results: Results) -> str:
    if name in results.originals:
        return f"{name} (photo)"
    titles = {
        START: f"N = {results.own.references}, start settings",
        conditions.ASKED: "hair, glasses, scene asked at random",
        conditions.CHILD: '"a child"',
        conditions.OLD: '"an old man" or "woman"',
    }
    return titles.get(name, name)


def _numbers(own: Verdicts) -> dict[str, Any]:
    kinds = {"target": own.target, "shown": own.shown, "nearest": own.nearest}
    plain = {kind: {n: v.tolist() for n, v in by.items()} for kind, by in kinds.items()}
    return plain | {"said": own.said}
