"""One command for a machine that is lent for minutes: python -m training.slices RECIPE OUT

Draws the recipe's sets in the background, runs the stages one after the other, stops them in time,
and packs what they made into pieces under OUT. Called again on the same machine it goes on from
the full state; elsewhere, with the pieces of an earlier slice (--from), from their weights with a
fresh optimiser. How long each stage runs is the recipe's: `minutes` of its stages. For Linux:
processes are stopped by signals.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from . import checkpoint, host, pieces
from .config import Config, load_config
from .places import PROJECT
from .shards import resolve

NEEDS = {
    "autoencoder": ("autoencoder",),
    "base": ("latents", "base"),
    "flashface": ("latents", "flashface"),
}
SAVING = 20.0  # seconds that a stage may take to save when it is stopped
PACKING = 15.0


def main() -> int:
    """Run a slice; the exit status is that of the stage that failed, 0 where none did."""
    options = parse()
    config = load_config(options.config, options.changes)
    run = host.runs_folder() / config.run
    if options.pieces and not run.exists():  # else it is older than what is there
        pieces.unpack(options.pieces, run)
    end = time.monotonic() + 60 * options.minutes - PACKING
    beside = [Chain(commands) for commands in drawn(config, options)]
    status = 0
    try:
        wait_for_shards(config, beside, end)
        for stage in in_order(options.stages):
            changes = [*options.changes, *start_of(stage, run)]
            status = run_until(end, stage, [str(options.config), *changes])
            if status or time.monotonic() > end - SAVING:
                break
    finally:
        for chain in beside:
            chain.end()
        pieces.pack(run, options.out, options.piece)
    return status


class Chain(threading.Thread):
    """Commands that run one after the other beside the stages; one that fails ends them."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        super().__init__(daemon=True)
        self.commands, self.ended = commands, False
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def run(self) -> None:
        """Run them; what a thread does."""
        for command in self.commands:
            if self.ended:
                return
            self.process = subprocess.Popen(command, cwd=PROJECT, start_new_session=True)
            if self.process.wait():
                return

    def end(self) -> None:
        """Stop the command that runs, and its processes."""
        self.ended = True
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)


def in_order(stages: Sequence[str]) -> list[str]:
    """The commands of some stages; photos drawn meanwhile are encoded before they are needed."""
    return [name for stage in stages for name in NEEDS[stage]]


def parse() -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m training.slices", description=__doc__)
    parser.add_argument("config", type=Path, help="a recipe, such as configs/people-gpu.toml")
    parser.add_argument("out", type=Path, help="folder for the pieces")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the whole slice")
    parser.add_argument("--piece", type=float, default=15.0, help="MB of a piece at most")
    parser.add_argument("--from", dest="pieces", type=Path, help="folder of another slice's pieces")
    parser.add_argument("--stages", nargs="+", choices=NEEDS, default=list(NEEDS))
    parser.add_argument("--people", type=int, default=3000, help="to draw; 0: those there are")
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--judges", type=int, default=0, help="people to train judges on")
    parser.add_argument("--processes", type=int, default=max((os.cpu_count() or 2) - 3, 1))
    return parser.parse_intermixed_args()


def drawn(config: Config, options: argparse.Namespace) -> list[list[list[str]]]:
    """Chains of commands that draw the recipe's sets, the judges' after those to train on.

    The judges are trained at the end of theirs, beside the stage that runs then.
    """

    def sets(split: str, names: Sequence[str], people: int, processes: int) -> list[list[str]]:
        if not people:
            return []
        command = [sys.executable, "-m", "training.people", "set", "--split", split]
        command += ["--people", str(people), "--size", str(config.data.size)]
        command += ["--processes", str(processes)]
        return [[*command, str(folder)] for folder in resolve(names, host.runs_folder())]

    many = options.processes
    chain = sets("train", config.data.train, options.people, many)
    if options.judges:
        own, few = config.judges, max(options.judges // 5, 2)
        chain += sets("judges", own.train, options.judges, many)
        chain += sets("judges-held-out", own.held_out, few, many)
        recipe = [str(options.config), *options.changes]
        chain.append([sys.executable, "-m", "training.judges", *recipe])
    return [chain, sets("held-out", config.data.held_out, options.held_out, 1)]


def wait_for_shards(config: Config, beside: Sequence[Chain], end: float) -> None:
    """Wait until every set has something to begin with, nobody draws any more, or time is over."""
    folders = resolve((*config.data.train, *config.data.held_out), host.runs_folder())
    while time.monotonic() < end and any(chain.is_alive() for chain in beside):
        if all(list(folder.glob("shard-*.json")) for folder in folders):
            return
        time.sleep(0.5)


def start_of(stage: str, run: Path) -> list[str]:
    """The change that lets a stage go on from its weights, where its state is not at hand."""
    export = run / f"{stage}.safetensors"
    if export.exists() and not checkpoint.finished(run / stage):
        return [f"{stage}.start={export}"]
    return []


def run_until(end: float, stage: str, arguments: Sequence[str]) -> int:
    """Run a stage, and have it save and stop in time; its exit status."""
    process = subprocess.Popen([sys.executable, "-m", f"training.{stage}", *arguments], cwd=PROJECT)
    try:
        return process.wait(max(end - SAVING - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(SAVING)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
