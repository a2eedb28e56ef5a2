"""python -m training.detector SET [SET ...] --out FILE: train the built-in detector's network."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from flashface_core.faces.detection.face_net import WEIGHTS

from .train import train


def main() -> None:
    """Train on the sets of `python -m training.people set` that the command line names."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m training.detector", description=__doc__)
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET", help="folders of drawn people")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the file of weights")
    parser.add_argument("--steps", type=int, default=5500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    train(given.sets, given.out, given.steps, given.seed, given.threads)


if __name__ == "__main__":
    main()
