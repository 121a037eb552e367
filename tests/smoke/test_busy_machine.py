"""A machine short of processors, or a server busy with others, never bends a verdict."""

from __future__ import annotations

import pytest

from launcher.smoke import session as sessions
from launcher.smoke.run.suite import smoke
from tests.smoke.defects import DEFECTS
from tests.smoke.rows import only
from tests.smoke.servers import Body, Defect, Server, serve
from tests.smoke.targets import target_of


@pytest.fixture
def starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request costs this side an hour of waiting for a processor."""
    clock = {"now": 0.0}

    def waited() -> float:
        clock["now"] += 3600.0
        return clock["now"]

    monkeypatch.setattr(sessions, "waited", waited)


@pytest.mark.usefixtures("starved")
def test_chunks_that_were_read_late_are_no_failure() -> None:
    with serve(DEFECTS["generated-then-sent"]) as server:
        check = only(smoke(target_of(server), names=["stream-timing"]))
    assert check["verdict"] == "inconclusive"
    assert "waited for a processor" in check["message"]


@pytest.mark.usefixtures("starved")
def test_a_limit_broken_by_our_own_waiting_is_no_failure() -> None:
    section = {"thresholds": {"chat": {"latency": "1ms"}}}
    with serve() as server:
        check = only(smoke(target_of(server, smoke=section), names=["chat"]))
    assert check["verdict"] == "inconclusive"
    assert "waited for a processor" in check["message"]


def test_a_server_whose_queue_is_long_is_not_told_from_one_that_sends_at_once() -> None:
    def queued(server: Server, body: Body) -> None:
        server.hang.wait(0.6)

    quick = Defect("queue", "stream-timing", request=queued, pause=lambda position: 0.0005)
    with serve(quick) as server:
        check = only(smoke(target_of(server), names=["stream-timing"]))
    assert check["verdict"] in ("inconclusive", "pass"), check["message"]
