"""python -m training.people sheet OUT [NAMES] | set OUT: sheets to look at, sets to train on."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from .dataset import SetSettings, render_set
from .plan import SPLITS
from .sheet import SHEETS, draw_sheet
from .shot import KINDS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="python -m training.people", description=__doc__)
    commands = main.add_subparsers(dest="command", required=True)
    sheet = commands.add_parser("sheet", help="draw contact sheets as PNG files")
    sheet.add_argument("out", type=Path, help="a folder")
    sheet.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SHEETS)}; or all")
    sheet.add_argument("--size", type=int, default=160, help="pixels of a photo")
    sheet.add_argument("--landmarks", action="store_true", help="draw landmarks and boxes")
    photos = commands.add_parser("set", help="draw a set in shards; start again to go on")
    photos.add_argument("out", type=Path, help="a folder")
    default = SetSettings()
    photos.add_argument("--kind", choices=list(KINDS), default=default.kind)
    photos.add_argument("--split", choices=list(SPLITS), default=default.split)
    photos.add_argument("--first", type=int, default=default.first, help="person of the split")
    photos.add_argument("--people", type=int, default=default.people)
    photos.add_argument("--photos", type=int, default=default.photos, help="of each person")
    photos.add_argument("--size", type=int, default=default.size, help="pixels of a photo")
    photos.add_argument("--people-per-shard", type=int, default=default.people_per_shard)
    photos.add_argument("--processes", type=int, default=1)
    photos.add_argument("--most", type=int, metavar="N", help="draw at most N shards this time")
    return main


def main(arguments: list[str] | None = None) -> int:
    """Draw what the command line asks for."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = vars(parser().parse_args(arguments))
    command, out = options.pop("command"), options.pop("out")
    try:
        (_set if command == "set" else _sheets)(out, **options)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: the wheel, in words
        logging.error("%s", error)
        return 1
    return 0


def _set(out: Path, processes: int, most: int | None, **settings: Any) -> None:
    render_set(out, SetSettings(**settings), processes, most)


def _sheets(out: Path, names: list[str], size: int, landmarks: bool) -> None:
    if unknown := set(names) - set(SHEETS):
        raise ValueError(f"no sheet {', '.join(sorted(unknown))}; there are {', '.join(SHEETS)}")
    out.mkdir(parents=True, exist_ok=True)
    for name in names or SHEETS:
        draw_sheet(name, size, out / f"{name}.png", landmarks)
        logging.info("%s", out / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
