"""The rows of `top` about services: what the front door counted between two readings."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launcher.codec import written
from launcher.door.runtime import Counters
from launcher.errors import DeployError
from launcher.lifecycle import InstanceState
from launcher.observe.overview import Overview
from launcher.service.figures import answers_of, failures_of
from launcher.service.payloads import ReplicaStatus, ServiceCondition
from launcher.service.status import describe_service
from launcher.service.store import ServiceDir
from launcher.service.traffic import Traffic


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
    """One service of `top`: all its replicas together; `error_share` is 0 to 1, of the answers."""

    name: str
    condition: ServiceCondition
    revision: str | None
    ready: int
    replicas: int
    url: str | None
    requests_per_second: float | None = None
    error_share: float | None = None
    latency_seconds: float | None = None
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
    at: float
    counters: Mapping[str, Counters]


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
            counters = Traffic(service).counters(service.read())
        except DeployError as error:
            return ServiceLoad(service.name, "down", None, 0, 0, None, note=str(error))
        now = _Reading(time.monotonic(), counters)
        before = self._before.get(service.name)
        self._before[service.name] = now
        rates = {name: _rate(name, before, now) for name in counters}
        members = tuple(
            _replica(one, counters.get(one.name), rates.get(one.name)) for one in row.members
        )
        known = [rate for rate in rates.values() if rate is not None]
        answers, failed = _rises(before, now)
        timed = [one for one in members if one.latency_seconds is not None]
        weight = sum(one.answers for one in timed)
        return ServiceLoad(
            name=row.name,
            condition=row.condition,
            revision=row.revision,
            ready=row.ready,
            replicas=row.replicas,
            url=row.url,
            requests_per_second=round(sum(known), 3) if known else None,
            error_share=round(failed / answers, 4) if answers else None,
            latency_seconds=round(
                sum((one.latency_seconds or 0.0) * one.answers for one in timed) / weight, 4
            )
            if weight
            else None,
            running=sum(one.running for one in members),
            waiting=sum(one.waiting for one in members),
            members=members,
            note=None if row.condition == "serving" else row.message,
        )


def _replica(row: ReplicaStatus, counters: Counters | None, rate: float | None) -> ReplicaLoad:
    load = ReplicaLoad(row.name, row.state, row.share, running=row.sessions or 0)
    if counters is None:
        return load
    answers = answers_of(counters)
    return replace(
        load,
        answers=answers,
        failed=failures_of(counters),
        requests_per_second=rate,
        latency_seconds=counters.total_average / 1000 if answers else None,
        waiting=counters.queued,
    )


def _rate(name: str, before: _Reading | None, now: _Reading) -> float | None:
    """Answers per second of one replica; None without an earlier reading."""
    if before is None or name not in before.counters or now.at <= before.at:
        return None
    rise = answers_of(now.counters[name]) - answers_of(before.counters[name])
    return round(max(0, rise) / (now.at - before.at), 3)


def _rises(before: _Reading | None, now: _Reading) -> tuple[int, int]:
    """Answers and failed ones between two readings; without an earlier one since the beginning."""
    answers = failed = 0
    for name, newest in now.counters.items():
        old = before.counters.get(name) if before is not None else None
        if old is not None and answers_of(old) > answers_of(newest):
            old = None  # a new worker counts from 0
        answers += answers_of(newest) - (answers_of(old) if old else 0)
        failed += failures_of(newest) - (failures_of(old) if old else 0)
    return answers, max(0, failed)
