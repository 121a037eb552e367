"""An engine's own figures at one moment, and what two moments say together."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from launcher.codec import decode, written
from launcher.json_values import JsonObject, at, integer_at, list_at, text_at
from launcher.liveness.policy import Counters
from launcher.plan.figures import Figures
from launcher.probe.http import NotHttpError
from launcher.probe.prometheus import highest, sums
from launcher.probe.request import ask

LARGEST = 1e18
"""Values from which on a figure is none."""


@dataclass(frozen=True)
class Load:
    """What a server does now; what it does not tell is None.

    `waiting_estimated`: from the requests received and finished, because the release has no honest
    gauge. `tokens` were generated since the server started, `tokens_per_second` between two
    readings. `ttft_seconds` is the mean of the newest `ttft_requests` requests:
    those between two readings, or all since the server started where there is one reading.
    `kv_cache_usage` goes from 0 to 1.
    """

    running: int | None = None
    waiting: int | None = None
    waiting_estimated: bool = field(default=False, metadata=written(omit=True))
    tokens: int | None = None
    tokens_per_second: float | None = None
    ttft_seconds: float | None = None
    ttft_requests: int | None = None
    kv_cache_usage: float | None = None


@dataclass(frozen=True)
class Reading:
    """The values that an engine told at `at` (monotonic seconds); None: it did not tell them."""

    at: float
    running: float | None = None
    waiting: float | None = None
    received: float | None = None
    finished: float | None = None
    tokens: float | None = None
    ttft_sum: float | None = None
    ttft_count: float | None = None
    kv_usage: float | None = None

    @property
    def is_busy(self) -> bool:
        """True where a request is in work or waits."""
        return bool(self.running or self.waiting)

    @property
    def backlog(self) -> float | None:
        """Requests received and not finished; refused ones stay among them."""
        if self.received is None or self.finished is None:
            return None
        return max(0.0, self.received - self.finished)


@dataclass(frozen=True)
class Source:
    """Where an engine's figures are: a path on a port, and the names of its metrics."""

    port: str
    path: str
    counters: Counters
    figures: Figures


def source_of(plan: JsonObject) -> Source | None:
    """Where the figures of the engine of a plan in plain JSON are; None where it has none.

    Raises:
        ValueError: the plan is damaged.
    """
    port = text_at(plan, "liveness", "metrics_port")
    if not port:
        return None
    names = at(plan, "liveness", "counters")
    counters = decode(Counters, names, "plan.liveness.counters", tolerant=True)
    named = at(plan, "figures")
    figures = Figures()
    if named is not None:
        figures = decode(Figures, named, "plan.figures", tolerant=True)
    path = text_at(plan, "liveness", "metrics_path", default="/metrics")
    return Source(port, path, counters, figures)


def ask_figures(plan: JsonObject, timeout: float) -> Reading | None:
    """Ask the server of a plan in plain JSON; None where its engine has no figures.

    Raises:
        OSError: no whole answer within `timeout` seconds.
        ValueError: the plan is damaged.
    """
    source = source_of(plan)
    if source is None:
        return None
    use = next((use for use in list_at(plan, "ports") if at(use, "name") == source.port), None)
    number, address = integer_at(use, "number"), text_at(use, "address")
    if number is None or not address:
        return None
    answer = ask(address, number, source.path, timeout=timeout)
    if answer.status != 200:
        raise NotHttpError(f"answered {answer.status}")
    return reading(source, answer.body.decode(errors="replace"), time.monotonic())


def reading(source: Source, text: str, moment: float) -> Reading:
    """What the Prometheus text `text` says at `moment`."""
    counters, first = source.counters, source.figures.ttft
    histogram = {f"{first}_sum", f"{first}_count"} if first else set()
    values = sums(text, counters.names | histogram)
    # An exposition may hold +Inf where a figure never should.
    values = {name: value for name, value in values.items() if abs(value) < LARGEST}

    def total(some: tuple[str, ...]) -> float | None:
        present = [values[name] for name in some if name in values]
        return sum(present) if present else None

    usage = counters.kv_usage and highest(text, counters.kv_usage)
    return Reading(
        at=moment,
        running=total(counters.running),
        waiting=total(counters.waiting),
        # Where a gauge tells what waits, it is the better one.
        received=None if counters.waiting else values.get(counters.received or ""),
        finished=values.get(counters.finished or ""),
        tokens=values.get(counters.tokens or ""),
        ttft_sum=values.get(f"{first}_sum"),
        ttft_count=values.get(f"{first}_count"),
        kv_usage=usage if isinstance(usage, float) and abs(usage) < LARGEST else None,
    )


def load(newest: Reading, before: Reading | None = None, phantom: float = 0.0) -> Load:
    """What a server does now, by its newest reading and one `before` of the same run.

    `phantom` requests of the backlog do not exist: they were there when nothing ran.
    """
    waiting, is_estimated = newest.waiting, False
    backlog = newest.backlog
    if backlog is not None:
        waiting = 0.0
        if newest.running and backlog - phantom > newest.running:
            waiting, is_estimated = backlog - phantom - newest.running, True
    rate = None
    if not newest.is_busy:
        rate = 0.0 if newest.tokens is not None and newest.running is not None else None
    if before is not None and newest.at > before.at:
        rate = _rise(newest.tokens, before.tokens)
        rate = None if rate is None else rate / (newest.at - before.at)
    seconds, requests = _ttft(newest, before)
    return Load(
        running=_rounded(newest.running),
        waiting=_rounded(waiting),
        waiting_estimated=is_estimated,
        tokens=_rounded(newest.tokens),
        tokens_per_second=None if rate is None else round(rate, 2),
        ttft_seconds=None if seconds is None else round(seconds, 4),
        ttft_requests=requests,
        kv_cache_usage=None if newest.kv_usage is None else min(1.0, round(newest.kv_usage, 4)),
    )


def _ttft(newest: Reading, before: Reading | None) -> tuple[float | None, int | None]:
    seconds, count = newest.ttft_sum, newest.ttft_count
    if before is not None:
        recent = _rise(seconds, before.ttft_sum), _rise(count, before.ttft_count)
        if recent[1]:
            seconds, count = recent
    if seconds is None or not count:
        return None, _rounded(count)
    return seconds / count, _rounded(count)


def _rise(newest: float | None, before: float | None) -> float | None:
    """By how much a counter rose; None where it began anew or is not told."""
    if newest is None or before is None or newest < before:
        return None
    return newest - before


def _rounded(value: float | None) -> int | None:
    return None if value is None else max(0, round(value))
