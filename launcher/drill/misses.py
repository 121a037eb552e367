"""What was measured, compared with a bar."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.drill.bar import Bar, Miss
from launcher.drill.payloads import Measured


def misses(bar: Bar, measured: Measured, *, restarts: bool) -> Iterator[Miss]:
    """Each value of `measured` that `bar` does not allow.

    `restarts`: whether the instance is to come back by itself; else its restart is not judged.
    """
    yield from _time("detection", bar.detection, measured.detection, "it was not noticed")
    if restarts:
        yield from _time("restart", bar.restart, measured.restart, "it did not come back by itself")
    requests = measured.requests
    yield from _count("failed", bar.failed, requests.failed, "requests failed")
    yield from _count("hung", bar.hung, requests.hung, "requests had no answer in time")
    false, left = measured.false_verdicts, measured.leftovers
    yield from _count("false_verdicts", bar.false_verdicts, len(false), "; ".join(false))
    yield from _count("leftovers", bar.leftovers, len(left), ", ".join(left))


def _time(name: str, bar: float | None, value: float | None, never: str) -> Iterator[Miss]:
    if bar is None:
        return
    if value is None:
        yield Miss(name, bar, None, f"{name}: {never} (bar: {bar:g} s)")
    elif value > bar:
        yield Miss(name, bar, value, f"{name}: {value:.3f} s (bar: {bar:g} s)")


def _count(name: str, bar: int | None, value: int, what: str) -> Iterator[Miss]:
    if bar is not None and value > bar:
        yield Miss(name, bar, value, f"{name}: {value}, {what} (bar: {bar})")
