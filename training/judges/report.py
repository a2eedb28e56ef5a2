"""How good the judges are: python -m training.judges.report RECIPE [KEY=VALUE ...] [OPTIONS]

On people whom no judge has seen; as they were drawn, softened by half, and through the run's own
autoencoder where there is one. Prints, and writes report.json beside the judges.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import autoencoder, host, record, shards
from ..config import Config, ConfigError, load_config
from .judge import Judges, load_judges
from .measures import accuracy, auc, correlations, nearest_right, pairs_of
from .outside import DlibJudge, load_dlib
from .photos import MEASURED, TRAINED, Photos, read_photos, targets_of
from .views import as_pictures, softened

log = logging.getLogger(__name__)
SOFT = 2.0
MOST = 150  # people; of all pairs of more photos, some millions are sorted for each figure
ALIKE = ("sex", "ancestry", "age_class")


def write_report(
    config: Config, folder: Path, also: Sequence[str] = (), outside: DlibJudge | None = None
) -> dict[str, Any]:
    """Measure the judges of a folder on the recipe's held-out people, and on other sets."""
    judges, runs = load_judges(folder, config.device), folder.parents[1]
    measured = read_photos(shards.resolve(config.judges.held_out, runs), MEASURED)
    report = {"judges-held-out": report_on(judges, measured, config, folder.parent, outside)}
    for name in also:
        photos = read_photos(shards.resolve([name], runs))
        if bool(((photos.people >= TRAINED.start) & (photos.people < TRAINED.stop)).any()):
            raise ValueError(f"The judges may have been trained on people of {name}: take others.")
        report[name] = report_on(judges, photos, config, folder.parent, outside)
    numbers = json.dumps(record.as_json_has_it(report), indent=1)
    (folder / "report.json").write_text(numbers, encoding="utf-8")
    sys.stdout.write(as_text(report) + "\n")
    return report


def report_on(
    judges: Judges, photos: Photos, config: Config, run: Path, outside: DlibJudge | None
) -> dict[str, Any]:
    """The figures on some photos, in each of their versions."""
    photos = photos.of_first(MOST)
    planes = as_pictures(photos.pictures, photos.pictures.shape[1])
    versions = {"drawn": planes, "softened": softened(planes, SOFT).clamp(0, 1)}
    path = run / autoencoder.EXPORT
    if path.exists():
        net = autoencoder.load_autoencoder(path).to(config.device)
        with torch.no_grad():
            parts = [net.decode(net.encode(p.to(config.device))).cpu() for p in planes.split(16)]
        versions["autoencoder"] = torch.cat(parts).clamp(0, 1)
    report: dict[str, Any] = {"people": len(photos.people.unique()), "photos": len(planes)}
    for name, version in versions.items():
        pictures = version.permute(0, 2, 3, 1)
        report[name] = figures(judges, photos, pictures)
        if outside:
            report[name]["dlib"] = apart(outside.embed(pictures, photos.boxes), photos)
    return report


def figures(judges: Judges, photos: Photos, pictures: Tensor) -> dict[str, Any]:
    """What the judges make of one version of the photos."""
    numbers = judges.identity(pictures, photos.boxes)
    deviations = (numbers - judges.face.mean.cpu()) / judges.face.spread.cpu()
    follows = correlations(numbers, photos.identities).nan_to_num(0)
    found, true = judges.attributes(pictures), targets_of(photos, judges.classes)
    groups = [name.split("/")[0] if "/" in name else "other" for name in judges.names]
    return {
        "embedding": apart(judges.embed(pictures, photos.boxes), photos),
        "identity": apart(deviations, photos)
        | {"correlation": float(follows.mean())}
        | {f"correlation {g}": _mean_of(follows, groups, g) for g in sorted(set(groups))},
        "attributes": {n: accuracy(found[n], true[n], len(w)) for n, w in judges.classes.items()},
    }


def apart(vectors: Tensor, photos: Photos) -> dict[str, float]:
    """How well vectors tell people apart: all pairs, and only those that are not easy.

    Of one age: the same person's photos at one age only. Alike: and strangers of one sex, ancestry
    and class of age only.
    """
    cosines, which, same = pairs_of(vectors, photos.people)
    ages = photos.ages.numpy()[which]
    words = [" ".join(own.get(name, "") for name in ALIKE) for own in photos.attributes]
    kinds = np.unique(words, return_inverse=True)[1][which]
    of_one_age, alike = ages[0] == ages[1], kinds[0] == kinds[1]
    return {
        "auc": auc(cosines[same], cosines[~same]),
        "auc of one age": auc(cosines[same & of_one_age], cosines[~same]),
        "auc alike": auc(cosines[same & of_one_age], cosines[~same & alike]),
        "nearest": nearest_right(vectors, photos.people),
        "nearest by chance": 1 / len(photos.people.unique()),
        "cosine same": float(cosines[same].mean()),
        "cosine strangers": float(cosines[~same].mean()),
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as lines for people."""
    lines = []
    for source, about in report.items():
        lines.append(f"{source}: {about['people']} people, {about['photos']} photos")
        versions = [name for name in about if isinstance(about[name], dict)]
        lines.append(_line("", *versions))
        for part in (part for part in about["drawn"] if part != "attributes"):
            for name in about["drawn"][part]:
                values = (f"{about[v][part][name]:.3f}" for v in versions)
                lines.append(_line(f"{part}: {name}", *values))
        lines.append("attributes: accuracy (commonest) / mean of classes (chance)")
        for name in about["drawn"]["attributes"]:
            values = (_accuracy_text(about[v]["attributes"][name]) for v in versions)
            lines.append(_line(name, *values))
    return "\n".join(lines)


def _accuracy_text(found: dict[str, float]) -> str:
    keys = ("accuracy", "commonest", "balanced", "chance")
    return "{:.2f} ({:.2f}) / {:.2f} ({:.2f})".format(*(found[key] for key in keys))


def _line(first: str, *rest: str) -> str:
    return f"{first:32}" + "".join(f"{value:>30}" for value in rest)


def _mean_of(values: Tensor, groups: list[str], group: str) -> float:
    return float(values[torch.tensor([own == group for own in groups])].mean())


def main() -> int:
    """Report on what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.judges.report", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("config", type=Path, help="a recipe")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--also", nargs="+", default=[], metavar="SET", help="more sets to judge")
    parser.add_argument("--dlib", action="store_true", help="dlib too: 0.13 CPU s a picture")
    given = parser.parse_args()
    try:
        config = load_config(given.config, given.changes)
        host.start(config.threads)
        outside = load_dlib() if given.dlib else None
        write_report(config, host.runs_folder() / config.run / "judges", given.also, outside)
    except (ConfigError, FileNotFoundError, ImportError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
