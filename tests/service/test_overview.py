"""The rows of `top` about services, by what a front door counted at two moments."""

import time
from pathlib import Path
from typing import Any

import pytest

from launcher.door.runtime import Counters, Totals
from launcher.errors import PreconditionError
from launcher.lifecycle import InstanceState
from launcher.service import overview
from launcher.service.overview import ServiceLoad, ServiceObserver
from launcher.service.payloads import ReplicaStatus, ServiceStatus
from launcher.service.store import ServiceDir

ROW = ServiceStatus(
    name="shop", condition="serving", revision="1a2b3c", replicas=1, ready=1, url="http://x/v1",
    engine="e", release="1", door_state=InstanceState.READY,
    members=(ReplicaStatus("shop-1", "1a2b3c", InstanceState.READY, 256, 1.0, "up", 2),),
)  # fmt: skip


def counted(ok: int, failed: int = 0, **more: Any) -> Counters:
    numbers = dict.fromkeys(
        (
            "requests", "connect_errors", "response_errors", "retries", "redispatches",
            "client_aborts", "server_aborts", "sessions", "queued", "first_byte_average",
            "total_average",
        ),
        0,
    )  # fmt: skip
    return Counters(name="x", classes={"2xx": ok, "5xx": failed}, **{**numbers, **more})


class Door:
    """A front door whose counters a test sets; None: it cannot be asked."""

    def __init__(self) -> None:
        self.now: Totals | None = None
        self.time = 100.0

    def totals(self) -> Totals:
        if self.now is None:
            raise PreconditionError.of("door-not-running", "it does not run")
        return self.now


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    door = Door()
    monkeypatch.setattr(overview, "door_of", lambda instance: door)
    monkeypatch.setattr(overview, "describe_service", lambda service: ROW)
    monkeypatch.setattr(time, "monotonic", lambda: door.time)
    return door


def look(observer: ServiceObserver) -> ServiceLoad:
    (row,) = observer.look([ServiceDir(Path("/nowhere/shop"))])
    return row


def test_rates_are_those_between_two_looks(door: Door) -> None:
    observer = ServiceObserver()
    server = counted(100, 2, total_average=1500, queued=1)
    back = counted(100, 2, total_average=1500, first_byte_average=40, retries=2, redispatches=1,
                   server_aborts=3, client_aborts=4)  # fmt: skip
    door.now = Totals(counted(100, 10), back, {"shop-1": server})
    first = look(observer)
    assert (first.requests_per_second, first.error_share) == (None, round(10 / 110, 4))
    assert (first.latency_seconds, first.first_byte_seconds) == (1.5, 0.04)
    assert (first.retries, first.cut, first.left) == (3, 3, 4)
    assert (first.running, first.waiting) == (2, 1)
    door.time += 2.0
    door.now = Totals(counted(140, 10), back, {"shop-1": counted(120, 2)})
    second = look(observer)
    assert (second.requests_per_second, second.error_share) == (20.0, 0.0)
    assert second.members[0].requests_per_second == 10.0


def test_answers_without_a_replica_are_failures_of_the_service(door: Door) -> None:
    observer = ServiceObserver()
    door.now = Totals(counted(10), counted(10), {})
    look(observer)
    door.time += 1.0
    door.now = Totals(counted(10, 10), counted(10), {})
    row = look(observer)
    assert (row.requests_per_second, row.error_share) == (10.0, 1.0)


def test_a_new_worker_counts_from_the_beginning(door: Door) -> None:
    observer = ServiceObserver()
    door.now = Totals(counted(1000, 500), counted(1000), {})
    look(observer)
    door.time += 1.0
    door.now = Totals(counted(4, 1), counted(4), {})
    assert look(observer).error_share == 0.2


def test_a_door_that_cannot_be_asked_has_no_figures(door: Door) -> None:
    row = look(ServiceObserver())
    assert (row.requests_per_second, row.error_share, row.latency_seconds) == (None, None, None)
    assert row.members[0].running == 2
