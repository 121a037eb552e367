"""Long drills: 200 without a leftover, and overload that is never called a stall (`make soak`).

`ERNIE_DRILL_ROUNDS` is how many of the 200 each release gets (67).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.drill.load import Load
from launcher.drill.scenario import false_alarm
from launcher.drill.subject import Subject
from launcher.instance.store import InstanceDir
from launcher.keeper.events import read_events
from tests.drill.targets import REAL, TWINS, Target, drill, running

DEATHS = ("kill-main", "kill-worker", "kill-keeper", "term-ready", "memory-killer", "port-taken")
"""Scenarios that end an engine within seconds: each is a chance to leave something."""
COMPRESSION = 10
"""Samples are taken so many times more often: 6 minutes hold the 720 samples of an hour."""
LIVENESS = {"interval": 5 / COMPRESSION, "stall-after": 8, "compute-stall-after": 80}
"""A stall is called after 8 s instead of 30 s: that is the harder test (a canary needs 8 s)."""
OVERLOAD = 3600.0 / COMPRESSION
"""Seconds."""
BUSY_LOOPS = 2
CLIENTS = 24


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", TWINS, ids=lambda one: one.title)
def test_200_drills_leave_nothing(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drills = int(os.environ.get("ERNIE_DRILL_ROUNDS", "67"))
    names = [word for name in DEATHS for word in ("--scenario", name)]
    with running(target, tmp_path) as (home, name):
        run = drill(home, name, "--rounds", str(-(-drills // len(DEATHS))), *names)
    results = run["scenarios"]
    left = [item for one in results for item in one["measured"]["leftovers"]]
    missed = [miss["message"] for one in results for miss in one["misses"]]
    with capsys.disabled():
        print(f"\n{target.title}: {len(results)} drills, {len(left)} leftovers, missed: {missed}")
    assert len(results) >= drills
    assert not left


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", [*TWINS, *REAL], ids=lambda one: one.title)
def test_every_bar_is_met(target: Target, tmp_path: Path) -> None:
    """On a machine that has nothing else to do."""
    with running(target, tmp_path) as (home, name):
        run = drill(home, name)
    assert not [one for one in run["scenarios"] if one["misses"]]


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """As many processes that use a core each."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", TWINS[-1:], ids=lambda one: one.title)
def test_an_hour_of_overload_is_never_called_a_stall(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time is compressed, see `LIVENESS`; the work and its machine are not."""
    with running(target, tmp_path, liveness=LIVENESS) as (home, name), busy_loops(BUSY_LOOPS):
        instance = InstanceDir(home / "instances" / name)
        subject = Subject.of(instance)
        load, began = Load(subject.plan, None, CLIENTS, deadline=600.0), time.time()
        load.start()
        threading.Event().wait(OVERLOAD)
        load.stop(600.0)
        counts = load.counts(began)
        events = [one for one in read_events(instance.folder) if float(str(one["time"])) >= began]
    alarms = [text for one in events if (text := false_alarm(one))]
    with capsys.disabled():
        print(
            f"\n{target.title}: {OVERLOAD:.0f} s of overload, {COMPRESSION} times as many samples"
        )
        print(f"as by default: {counts.answered} answered, {len(alarms)} false verdicts")
    assert counts.answered > 100
    assert counts.hung == 0
    assert alarms == []
