"""One command for a machine that is lent for minutes: python -m training.slices RECIPE OUT

Draws the recipe's sets in the background, runs the stages one after the other, stops them in time,
and packs what they made into pieces under OUT. Called again on the same machine it goes on from
the full state; elsewhere, with the pieces of an earlier slice (--from), from their weights with a
fresh optimiser. How long each stage runs is the recipe's: `minutes` of its stages. SIGTERM and
Ctrl-C end a slice as its time does: the stage saves, and what there is is packed. For Linux:
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
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
ENDING = 5.0  # that what runs beside the stages may take to end
POLL = 0.2


def main() -> int:
    """Run a slice; the exit status is that of the stage that failed, 0 where none did."""
    options = parse()
    config = load_config(options.config, options.changes)
    run = host.runs_folder() / config.run
    if options.pieces and not run.exists():  # else it is older than what is there
        pieces.unpack(options.pieces, run)
    end, told = time.monotonic() + 60 * options.minutes - PACKING - SAVING, checkpoint.stop_asked()

    def over() -> bool:
        return told() or time.monotonic() > end

    beside = [Chain(commands) for commands in drawn(config, options)]
    try:
        wait_for_shards(config, beside, over)
        return run_stages(commands_of(options, run), over)
    finally:
        for chain in beside:
            chain.end()
        pieces.pack(run, options.out, options.piece)


class Chain(threading.Thread):
    """Commands that run one after the other beside the stages; one that fails ends them."""

    def __init__(self, commands: Sequence[Sequence[str]]) -> None:
        super().__init__(daemon=True)
        self.commands, self.ended = commands, False
        self.process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()  # or one could start that `end` does not see
        self.start()

    def run(self) -> None:
        """Run them; what a thread does."""
        for command in self.commands:
            with self._starting:
                if self.ended:
                    return
                self.process = subprocess.Popen(command, cwd=PROJECT, start_new_session=True)
            if self.process.wait():
                return

    def end(self) -> None:
        """Stop the command that runs, and its processes, and wait for them; start none any more."""
        with self._starting:
            self.ended = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            self.join(ENDING)
            if not self.is_alive():
                return

    def _signal(self, number: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.process.pid, number)


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


def wait_for_shards(config: Config, beside: Sequence[Chain], over: Callable[[], bool]) -> None:
    """Wait until every set has something to begin with, nobody draws any more, or all is over."""
    folders = resolve((*config.data.train, *config.data.held_out), host.runs_folder())
    while not over() and any(chain.is_alive() for chain in beside):
        if all(list(folder.glob("shard-*.json")) for folder in folders):
            return
        time.sleep(POLL)


def commands_of(options: argparse.Namespace, run: Path) -> Iterator[list[str]]:
    """The stages' commands, each made when it is its turn.

    Photos drawn meanwhile are encoded before they are needed.
    """
    for stage in (name for chosen in options.stages for name in NEEDS[chosen]):
        changes = [*options.changes, *start_of(stage, run)]
        yield [sys.executable, "-m", f"training.{stage}", str(options.config), *changes]


def start_of(stage: str, run: Path) -> list[str]:
    """The change that lets a stage go on from its weights, where its state is not at hand."""
    export = run / f"{stage}.safetensors"
    if export.exists() and not checkpoint.finished(run / stage):
        return [f"{stage}.start={export}"]
    return []


def run_stages(commands: Iterable[Sequence[str]], over: Callable[[], bool]) -> int:
    """Run stages until one fails or all is over; the status of the one that failed, otherwise 0."""
    for command in commands:
        if over():
            break
        if status := run_until(over, command):
            return status
    return 0


def run_until(over: Callable[[], bool], command: Sequence[str]) -> int:
    """Run a stage, and have it save and stop when all is over; its exit status."""
    process = subprocess.Popen(command, cwd=PROJECT)
    while process.poll() is None and not over():
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(SAVING)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
