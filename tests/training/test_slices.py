"""A slice that is told to stop lets its stage save, and starts nothing any more."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from training import checkpoint, slices

pytestmark = pytest.mark.skipif(os.name != "posix", reason="slices stop processes by signals")

STAGE = """
import signal, time
def save(*_):
    time.sleep(0.2)
    open("{folder}/saved", "w")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, save)
runs = open("{folder}/runs", "w", buffering=1)
runs.write("yes\\n")
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def runs(tmp_path) -> Path:
    """What STAGE writes to as long as it runs."""
    os.mkfifo(tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def after(tmp_path) -> list[str]:
    """A command that leaves the file `after`."""
    return python(f"open({str(tmp_path / 'after')!r}, 'w')")


def python(script: str) -> list[str]:
    return [sys.executable, "-S", "-c", script]


def test_a_slice_that_is_told_to_stop_waits_for_its_stage_and_starts_no_other(
    tmp_path, runs, after
):
    told = checkpoint.stop_asked()

    def tell() -> None:
        with open(runs) as file:
            file.readline()
        os.kill(os.getpid(), signal.SIGTERM)

    teller = threading.Thread(target=tell)
    teller.start()
    assert slices.run_stages([python(STAGE.format(folder=tmp_path)), after], told) == 0
    teller.join()
    assert (tmp_path / "saved").exists() and not (tmp_path / "after").exists()
    assert slices.run_stages([after], told) == 0
    assert not (tmp_path / "after").exists()


def test_a_stage_that_fails_ends_the_slice_with_its_status(tmp_path, after):
    assert slices.run_stages([python("raise SystemExit(3)"), after], lambda: False) == 3
    assert not (tmp_path / "after").exists()


def test_what_runs_beside_ends_with_all_its_processes(tmp_path, runs, after):
    inner = python(STAGE.format(folder=tmp_path))
    chain = slices.Chain([python(f"import subprocess; subprocess.run({inner!r})"), after])
    with open(runs) as file:
        assert file.readline() == "yes\n"
        chain.end()
        assert not file.read()  # which waits for whoever could write
    assert not chain.is_alive() and not (tmp_path / "after").exists()


def test_a_chain_that_was_ended_starts_nothing(tmp_path, after):
    chain = slices.Chain([])
    chain.join()
    chain.commands = [after]
    chain.end()
    chain.run()
    assert not (tmp_path / "after").exists()
