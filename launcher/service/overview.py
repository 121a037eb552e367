"""The rows of `top` about services: what the front door counted between two readings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launcher.codec import written
from launcher.door.door import door_of
from launcher.door.runtime import Counters, Totals
from launcher.errors import DeployError
from launcher.instance.store import instance_dir
from launcher.lifecycle import InstanceState
from launcher.observe.overview import Overview
from launcher.service.figures import answers_of, failures_of
from launcher.service.payloads import ReplicaStatus, ServiceCondition
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir


@dataclass(frozen=True)
class ReplicaLoad:
    """One replica at the front door; `share` is its part of the traffic by weight, 0 to 1.

    `answers` and `failed` are counted since the door's worker started, `latency_seconds` is the
    mean duration of its newest answers (1,024 at most), None without any.
    """

    name: str
    state: InstanceState
    share: float
    answers: int = 0
    failed: int = 0
    requests_per_second: float | None = None
    latency_seconds: float | None = None
    running: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class ServiceLoad:
    """One service of `top`, as its front door counts it, with the answers that it gives itself.

    `error_share` is 0 to 1, of the answers since the look before (at first of all).
    `latency_seconds` and `first_byte_seconds` are means of the newest answers. Since the door's
    worker started: `retries` were sent again, `cut` streams were broken off by a replica, `left` by
    the client.
    """

    name: str
    condition: ServiceCondition
    revision: str | None
    ready: int
    replicas: int
    url: str | None
    requests_per_second: float | None = None
    error_share: float | None = None
    latency_seconds: float | None = None
    first_byte_seconds: float | None = None
    retries: int = 0
    cut: int = 0
    left: int = 0
    running: int = 0
    waiting: int = 0
    members: tuple[ReplicaLoad, ...] = ()
    note: str | None = field(default=None, metadata=written(omit=True))


@dataclass(frozen=True)
class OverviewWithServices(Overview):
    """`top --once` where there are services; their instances have rows of their own too."""

    services: tuple[ServiceLoad, ...] = ()


@dataclass(frozen=True)
class _Reading:
    """What a front door had counted at a moment; nothing where it could not be asked."""

    at: float
    totals: Totals | None = None

    @property
    def servers(self) -> Mapping[str, Counters]:
        return self.totals.servers if self.totals is not None else {}


class ServiceObserver:
    """Reads services again and again; rates are those between the newest two readings."""

    def __init__(self) -> None:
        """Nothing is asked before the first look."""
        self._before: dict[str, _Reading] = {}

    def look(self, services: Sequence[ServiceDir]) -> list[ServiceLoad]:
        """A row for each service; of one whose state is damaged the reason."""
        return [self._row(service) for service in services]

    def _row(self, service: ServiceDir) -> ServiceLoad:
        try:
            row = describe_service(service)
        except DeployError as error:
            return ServiceLoad(service.name, "down", None, 0, 0, None, note=str(error))
        now = _read(service)
        before = self._before.get(service.name)
        self._before[service.name] = now
        members = tuple(_replica(one, before, now) for one in row.members)
        load = ServiceLoad(
            name=row.name,
            condition=row.condition,
            revision=row.revision,
            ready=row.ready,
            replicas=row.replicas,
            url=row.url,
            running=sum(one.running for one in members),
            waiting=sum(one.waiting for one in members),
            members=members,
            note=None if row.condition == "serving" else row.message,
        )
        return _with_totals(load, before, now)


def _read(service: ServiceDir) -> _Reading:
    totals = None
    with contextlib.suppress(DeployError):
        totals = door_of(instance_dir(service.door_instance)).totals()
    return _Reading(time.monotonic(), totals)


def _with_totals(load: ServiceLoad, before: _Reading | None, now: _Reading) -> ServiceLoad:
    """The row with what the door counted as a whole: also what it answered without a replica."""
    if now.totals is None:
        return load
    front, back = now.totals.frontend, now.totals.backend
    old = before.totals.frontend if before is not None and before.totals is not None else None
    if old is not None and answers_of(old) > answers_of(front):
        old = None  # a new worker counts from 0
    answers = answers_of(front) - (answers_of(old) if old else 0)
    failed = _failed(front) - (_failed(old) if old else 0)
    return replace(
        load,
        requests_per_second=_rate(old, front, before, now),
        error_share=round(failed / answers, 4) if answers else None,
        latency_seconds=back.total_average / 1000 if answers_of(back) else None,
        first_byte_seconds=back.first_byte_average / 1000 if answers_of(back) else None,
        retries=back.retries + back.redispatches,
        cut=back.server_aborts,
        left=back.client_aborts,
    )


def _failed(front: Counters) -> int:
    return front.classes.get("5xx", 0)


def _replica(row: ReplicaStatus, before: _Reading | None, now: _Reading) -> ReplicaLoad:
    counters = now.servers.get(row.name)
    load = ReplicaLoad(row.name, row.state, row.share, running=row.sessions or 0)
    if counters is None:
        return load
    old = before.servers.get(row.name) if before is not None else None
    answers = answers_of(counters)
    return replace(
        load,
        answers=answers,
        failed=failures_of(counters),
        requests_per_second=_rate(old, counters, before, now),
        latency_seconds=counters.total_average / 1000 if answers else None,
        waiting=counters.queued,
    )


def _rate(
    old: Counters | None, new: Counters, before: _Reading | None, now: _Reading
) -> float | None:
    """Answers per second between two readings; None without an earlier one."""
    if before is None or old is None or now.at <= before.at:
        return None
    return round(max(0, answers_of(new) - answers_of(old)) / (now.at - before.at), 3)
