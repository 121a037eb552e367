"""Silence is not a hang: only a tree that neither works nor speaks makes no progress."""

import pytest

from launcher.keeper import progress
from launcher.keeper.identity import Process
from launcher.keeper.progress import Progress
from launcher.plan.model import Deadlines

TREE = [Process(1, 1, 1, 1, "engine")]


class Machine:
    """A clock and a process that use what they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.seconds, self.bytes = 50.0, 7_000_000
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(progress, "usage", lambda pids: (self.seconds, self.bytes))

    def run(self, watched: Progress, seconds: int, share: float = 0.0, rate: int = 0) -> bool:
        """Pass time second by second; True as soon as the tree counts as stalled."""
        for _ in range(seconds):
            self.now += 1
            self.seconds += share
            self.bytes += rate
            if watched.stalled(TREE):
                return True
        return False


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def watched(machine: Machine) -> Progress:
    made = Progress(Deadlines(no_progress=60))
    machine.run(made, 1)  # the first look sees all that was used before
    return made


def test_nothing_at_all(machine: Machine, watched: Progress) -> None:
    assert not machine.run(watched, 59)
    assert machine.run(watched, 2)


def test_a_silent_load_that_computes(machine: Machine, watched: Progress) -> None:
    assert not machine.run(watched, 10_000, share=0.06)


def test_a_silent_load_that_reads(machine: Machine, watched: Progress) -> None:
    assert not machine.run(watched, 10_000, rate=progress.BUSY_BYTES)


def test_a_heartbeat_is_not_work(machine: Machine, watched: Progress) -> None:
    assert machine.run(watched, 61, share=0.04, rate=progress.BUSY_BYTES - 1)


def test_a_phase_line_is_progress(machine: Machine, watched: Progress) -> None:
    for _ in range(10):
        assert not machine.run(watched, 50)
        watched.note()
    assert machine.run(watched, 61)


def test_a_process_that_ends_is_news(machine: Machine, watched: Progress) -> None:
    """The sums fall when a process with much use ends."""
    assert not machine.run(watched, 50)
    machine.seconds -= 40
    assert not machine.run(watched, 50)
