"""Limits of time hold without a profile, can be set by one, and only the server's time counts."""

from __future__ import annotations

from email.message import Message

import pytest

from launcher.smoke.run.suite import smoke
from launcher.smoke.section import limits as section
from tests.smoke.rows import only
from tests.smoke.servers import Body, Defect, Event, Server, serve
from tests.smoke.targets import target_of

SHIPPED = section.DEFAULTS


def test_the_shipped_limits_are_below_what_nobody_waits_for() -> None:
    assert section.seconds(SHIPPED["health"]["latency"]) < 20
    for name in ("longest-gap", "tail"):
        assert section.seconds(SHIPPED["stream-timing"][name]) < 15


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits in seconds that a test can wait for."""
    limits = {"health": {"latency": "400ms"}, "stream-timing": {"longest-gap": "2s", "tail": "2s"}}
    monkeypatch.setattr(section, "DEFAULTS", limits)


def slow_health(server: Server, method: str, path: str, data: bytes, headers: Message) -> None:
    if path == "/health":
        server.hang.wait(0.5)


def tail(position: int) -> float:
    return 2.5 if position == LAST else 0.002


LAST = 60
"""The chunk with the end, or one of the last texts: a story has about ninety."""


def test_a_health_route_slower_than_the_limit_fails() -> None:
    with serve(Defect("slow", "health", route=slow_health)) as server:
        check = only(smoke(target_of(server), names=["health"]))
        lenient = {"thresholds": {"health": {"latency": "5s"}}}
        allowed = only(smoke(target_of(server, smoke=lenient), names=["health"]))
    assert [f["code"] for f in check["findings"]] == ["too-slow"], check["message"]
    assert allowed["verdict"] == "pass"


def test_a_stream_that_stands_still_near_its_end_fails() -> None:
    with serve(Defect("tail", "stream-timing", pause=tail)) as server:
        check = only(smoke(target_of(server), names=["stream-timing"]))
        lenient = {"thresholds": {"stream-timing": {"longest-gap": "9s", "tail": "9s"}}}
        allowed = only(smoke(target_of(server, smoke=lenient), names=["stream-timing"]))
    assert [f["code"] for f in check["findings"]] == ["too-slow"], check["message"]
    assert allowed["verdict"] == "pass"


def test_an_end_mark_long_after_the_last_text_fails() -> None:
    def late(server: Server, body: Body, events: list[Event]) -> list[Event]:
        server.memory["end"] = len(events) - 1
        return events

    with serve() as server:
        late_end = Defect(
            "late-end",
            "stream-timing",
            events=late,
            pause=lambda i: 2.5 if i == server.memory.get("end") else 0.0005,
        )
        server.defect = late_end
        check = only(smoke(target_of(server), names=["stream-timing"]))
    assert [f["code"] for f in check["findings"]] == ["too-slow"], check["message"]
    assert "tail" in check["message"]
