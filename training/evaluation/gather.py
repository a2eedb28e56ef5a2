"""Brings everything that was painted, and photos beside it, before the judges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from . import conditions, faces
from .judging import EMBEDDING, Bench, Judges, Outside
from .painting import Pictures, Studio, decoded
from .results import Found, Judged, Results

LOOKED_AT = (conditions.START, conditions.NO_REGION)


def judge_all(
    studio: Studio, judges: Judges, painted: list[Pictures], outside: Outside | None = None
) -> Results:
    """Verdicts on everything that was painted, and on photos."""
    held_out, own = studio.held_out, studio.config.evaluate
    bench = Bench(judges, held_out, outside)
    levels = {name: bench.levels(name) for name in bench.known}
    results = Results(held_out, own, studio.config.seed, levels, bench.told)
    boxes = held_out.boxes([person.target for person in held_out.people])
    finder = Finder(bench, boxes) if 2 in own.claims else None
    on_map = {condition.name for condition in conditions.map_conditions(own)}
    for one in painted:
        name, pictures = one.condition.name, decoded(studio, one.latents)
        count, mapped = one.condition.references, name in on_map
        verdicts = bench.judge(pictures, boxes[one.people], one.people, count, not mapped)
        results.painted[name] = Judged(one.condition, one.people, verdicts)
        if finder and name in LOOKED_AT:
            results.faces[name] = finder.look(pictures)
    if finder:
        results.faces["photos"] = finder.photos
    _judge_photos(studio, bench, results)
    return results


def _judge_photos(studio: Studio, bench: Bench, results: Results) -> None:
    """The same figures of photos: what nothing that is painted can be better than."""
    held_out = studio.held_out
    everybody = list(range(len(held_out.people)))
    of = {
        "the target": [person.target for person in held_out.people],
        "another photo": [person.shown[0] for person in held_out.people],
    }
    for name, photos in of.items():
        boxes, latents = held_out.boxes(photos), held_out.latents.targets[torch.tensor(photos)]
        versions = {name: held_out.pictures(photos), f"{name}, decoded": decoded(studio, latents)}
        for kind, pictures in versions.items():
            results.originals[kind] = bench.judge(pictures, boxes, everybody, 0)


class Finder:
    """Looks for faces; how its boxes differ from the renders' is learned from the targets' photos.

    photos: what it finds there. boxes: (P, 4) of the targets.
    """

    def __init__(self, bench: Bench, boxes: Tensor) -> None:
        self._bench, self._boxes = bench, boxes
        photos = bench.held_out.pictures([person.target for person in bench.held_out.people])
        found = faces.find_faces(photos)
        self._fit = faces.Fit(found, boxes)
        self.photos = self._judged(photos, found)

    def look(self, pictures: Tensor) -> Found:
        """The faces of a picture of everybody."""
        return self._judged(pictures, faces.find_faces(pictures))

    def _judged(self, pictures: Tensor, found: Sequence[list[float] | None]) -> Found:
        seen = np.array([float(face is not None) for face in found])
        own = self._fit.boxes(found, self._boxes)
        iou = faces.overlaps(own.tolist(), self._boxes) * seen
        verdicts = self._bench.judge(pictures, own, list(range(len(own))), 0, False)
        return Found(iou, verdicts.target[EMBEDDING], seen)
