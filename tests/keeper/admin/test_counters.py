"""What is counted from the events of an instance."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.keeper.admin.counters import Counters


class Bench:
    """Counters with a clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0
        self.counters = Counters(lambda: self.now)

    def tell(self, kind: str, after: float = 0.0, /, **fields: Any) -> None:
        """An event, `after` seconds after the one before."""
        self.now += after
        self.counters.observe({"time": 0.0, "event": kind, **fields})

    def enter(self, *states: str, after: float = 0.0) -> None:
        for state in states:
            self.tell("state", after, state=state)

    def start(self) -> None:
        """A start in 30 s, of which the weights take 20."""
        self.enter("starting", "loading")
        self.tell("phase", phase="import", new=True, percent=None)
        self.tell("phase", 10, phase="weights", new=True, percent=None)
        self.tell("phase", 5, phase="weights", new=False, percent=50)
        self.enter("ready", after=15)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_start_is_measured_by_phases(bench: Bench) -> None:
    bench.start()
    bench.now += 1000
    assert bench.counters.phase_seconds() == {"import": 10, "weights": 20}
    assert bench.counters.ready_seconds == 30
    assert bench.counters.unavailable_seconds() == 0, "it was not ready before"


def test_the_current_phase_is_measured_up_to_now(bench: Bench) -> None:
    bench.enter("starting", "loading")
    bench.tell("phase", phase="import", new=True)
    bench.now += 7
    assert bench.counters.phase_seconds() == {"import": 7}
    assert bench.counters.ready_seconds is None
    bench.enter("stopping", "failed", after=1)
    bench.now += 50
    assert bench.counters.phase_seconds() == {"import": 8}


def test_a_phase_that_comes_back_goes_on(bench: Bench) -> None:
    bench.enter("loading")
    for phase in ("import", "weights", "import"):
        bench.tell("phase", phase=phase, new=True)
        bench.now += 3
    assert bench.counters.phase_seconds() == {"import": 6, "weights": 3}


def test_a_restart_begins_the_phases_anew_and_its_outage_is_counted(bench: Bench) -> None:
    bench.start()
    bench.tell("failure", 60, code="engine-died", message="x")
    bench.enter("stopping", "died", after=1)
    bench.tell("restart", number=1, delay=4)
    bench.enter("starting")
    bench.enter("loading", after=4)
    bench.tell("phase", phase="import", new=True)
    assert bench.counters.phase_seconds() == {"import": 0}
    assert bench.counters.ready_seconds == 30, "of the last that got there"
    bench.enter("ready", after=10)
    assert bench.counters.ready_seconds == 10
    assert bench.counters.unavailable_seconds() == 1 + 4 + 10, "from the end of ready to ready"
    assert (bench.counters.restarts, dict(bench.counters.failures)) == (1, {"engine-died": 1})


def test_time_in_a_bad_verdict_is_not_available(bench: Bench) -> None:
    bench.start()
    for verdict, seconds in (
        ("busy", 100), ("stalled", 30), ("idle", 100), ("paused", 7), ("busy", 100), ("dead", 2),
    ):  # fmt: skip
        bench.tell("liveness", verdict=verdict, previous=None, since=0.0, reasons=["x"])
        bench.now += seconds
    assert bench.counters.unavailable_seconds() == 39
    assert bench.counters.verdicts == {"idle": 1, "busy": 2, "stalled": 1, "dead": 1, "paused": 1}


def test_a_verdict_on_an_earlier_run_says_nothing_of_the_next(bench: Bench) -> None:
    bench.start()
    bench.tell("liveness", verdict="stalled", previous=None, since=0.0, reasons=[])
    bench.enter("stopping", "died", "starting", "loading", "ready", after=1)
    bench.now += 1000
    assert bench.counters.unavailable_seconds() == 5


def test_incidents_are_counted_by_kind_and_other_events_not(bench: Bench) -> None:
    bench.tell("incident", id="1", kind="stall", folder="/x")
    bench.tell("incident", id="2", kind="stall", folder="/x")
    bench.tell("warning", message="x")
    bench.tell("state", state="a state of a later release")
    assert bench.counters.incidents["stall"] == bench.counters.incidents.total() == 2
    assert bench.counters.verdicts["stalled"] == 0


def test_notifications_are_counted_by_outcome(bench: Bench) -> None:
    assert bench.counters.notifications == {"sent": 0, "failed": 0}
    for ok in (True, False, False):
        bench.tell("notification", target="pager", state="died", ok=ok, message="x", failures=0)
    assert bench.counters.notifications == {"sent": 1, "failed": 2}


def test_the_recent_restarts_are_those_that_the_policy_counts(bench: Bench) -> None:
    """The time in which an engine loads does not count; see `restart_policy.decide`."""
    bench.start()
    bench.tell("restart", 60, number=1, delay=0)
    bench.enter("stopping", "died", "starting", "loading")
    bench.now += 5000
    assert bench.counters.recent_restarts(600) == 1, "it loads"
    bench.enter("ready")
    bench.tell("restart", 590, number=2, delay=0)
    assert bench.counters.recent_restarts(600) == 2
    bench.now += 20
    assert bench.counters.recent_restarts(600) == 1
    bench.now += 600
    assert bench.counters.recent_restarts(600) == 0
