"""A deadline is over at its moment, not at the next look after it: every wait, on a still clock."""

import io
import queue
import socket
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.environments import progress as install_progress
from launcher.files import wait_until_ready
from launcher.host import interpreter
from launcher.keeper import cleanup, control, guard, loop
from launcher.keeper.state import State
from launcher.probe import http
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.outcome import Outcome
from launcher.smoke.run import liveness
from launcher.smoke.run.liveness import Box, Liveness
from launcher.smoke.target import Target
from tests.smoke.test_no_answer import deaf
from tests.support.clock import StillClock


def test_the_loop_waits_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    StillClock(monkeypatch, loop)
    assert not loop.Loop().run_until(lambda: False, 0)


def test_a_timer_fires_at_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, fired = StillClock(monkeypatch, loop), []
    events = loop.Loop()
    events.call_later(2.0, lambda: fired.append(clock.now))
    clock.now += 2.0
    assert events.run_until(lambda: bool(fired), 1.0)
    assert fired == [1002.0]


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A guard whose keeper died at this moment; `strays` are left of the engine, `killed` when."""
    clock = StillClock(monkeypatch, guard)
    rig = SimpleNamespace(clock=clock, strays=[], stubborn=False, killed=[], state=State("one", ""))

    def kill(strays: list[object]) -> list[Any]:
        rig.killed.append(clock.now)
        if not rig.stubborn:
            rig.strays = []
        return strays if rig.stubborn else []

    monkeypatch.setattr(guard, "LOOK", 0.25)
    monkeypatch.setattr(cleanup, "strays", lambda state: list(rig.strays))
    monkeypatch.setattr(cleanup, "kill", kill)
    return rig


def test_the_guard_is_done_once_it_was_quiet_for_its_time(guarded: SimpleNamespace) -> None:
    assert guard.end_engine(guarded.state, guarded.clock.now, 0.0) == (0, 0)
    assert guarded.clock.now == 1000.0 + guard.QUIET


def test_the_guard_kills_an_engine_that_has_no_grace_at_once(guarded: SimpleNamespace) -> None:
    guarded.strays = ["one", "two"]
    assert guard.end_engine(guarded.state, guarded.clock.now, 5.0) == (2, 0)
    assert guarded.killed == [1000.0]


def test_the_guard_kills_a_ready_engine_when_its_grace_is_over(guarded: SimpleNamespace) -> None:
    guarded.strays, guarded.state.ready_at = ["one"], 900.0
    assert guard.end_engine(guarded.state, guarded.clock.now, 5.0) == (1, 0)
    assert guarded.killed == [1005.0]


def test_the_guard_never_lives_longer_than_its_longest(guarded: SimpleNamespace) -> None:
    guarded.strays, guarded.stubborn = ["one"], True
    assert guard.end_engine(guarded.state, guarded.clock.now, 0.0) == (0, 1)
    assert guarded.clock.now == 1000.0 + guard.LONGEST + guard.LOOK


@pytest.fixture
def client() -> Any:
    """A client of a keeper that says nothing."""
    ours, theirs = socket.socketpair()
    one = control.Client.__new__(control.Client)
    one._socket, one._buffer = ours, b""
    yield one
    ours.close()
    theirs.close()


def test_events_time_out_at_their_moment(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    StillClock(monkeypatch, control)
    with pytest.raises(TimeoutError):
        next(client.events(timeout=0.0))


def test_a_busy_keeper_is_asked_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tries = StillClock(monkeypatch, control), []

    class Busy:
        def connect(self, address: str) -> None:
            tries.append(clock.now)
            raise BlockingIOError

    one = control.Client.__new__(control.Client)
    one._socket = Busy()  # type: ignore[assignment]
    with pytest.raises(TimeoutError, match="no more clients"):
        one._connect("/control", clock.now)
    assert tries == [1000.0, 1000.0 + control.CONNECT_RETRY]


def test_a_long_stage_of_an_install_shows_a_line_at_its_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, out = StillClock(monkeypatch, install_progress), io.StringIO()
    progress = install_progress.Progress(out)
    progress.stage("downloading")
    clock.now += install_progress.PLAIN_INTERVAL
    progress.tick()
    progress.tick()
    assert len(out.getvalue().splitlines()) == 2


def test_an_answer_is_not_read_past_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StillClock(monkeypatch, http)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with pytest.raises(TimeoutError):
            http._Answer(ours, clock.now)._read()


def test_an_interpreter_is_not_read_past_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "print('late', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert wait_until_ready(process.stdout.fileno(), 60)
        StillClock(monkeypatch, interpreter)
        assert interpreter._read(process, 0.0) == (b"", False)
        process.communicate(b"\n")


def watch(url: str, budget: float) -> Liveness:
    target = Target(url, "url", Endpoint(f"{url}/v1", "m"), "m", request_timeout=60)
    return Liveness(target, Transcript(()), budget)


def test_a_budget_ends_a_smoke_run_at_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    StillClock(monkeypatch, liveness)
    one = watch("http://127.0.0.1:1", 0.0)
    box: Box = queue.SimpleQueue()
    with one.announce(box):
        one._watch()
    assert one.stopped == "budget"
    outcome = box.get_nowait()
    assert isinstance(outcome, Outcome)
    assert outcome.verdict == "could not check"


def test_a_question_of_a_smoke_run_is_unanswered_at_its_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with deaf() as url:
        StillClock(monkeypatch, liveness)
        assert not watch(url, 0.0)._is_alive()
