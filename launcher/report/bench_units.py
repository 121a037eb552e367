"""How figures of a bench are shown: their numbers, units and intervals."""

from __future__ import annotations

from launcher.bench.result import BenchRun, Distribution, Estimate, Metric
from launcher.numbers import short

MILLISECONDS = 1000.0
NONE = "-"
TITLES = {
    "ttft": "Time to first token",
    "ttfa": "Time to first answer token",
    "itl": "Inter-token latency",
    "tpot": "Time per output token",
    "e2e": "End-to-end latency",
    "queue": "Time in the queue",
    "user_rate": "Output tokens/s per user",
    "input_tokens": "Input tokens",
    "output_tokens": "Output tokens",
}
"""Titles of metrics where a run does not have them."""
UNITS = {"user_rate": "tokens/s", "input_tokens": "tokens", "output_tokens": "tokens"}
"""Units of metrics that are not times, where a run does not have them."""


def metric_of(run: BenchRun, name: str) -> Metric:
    """The metric as the run describes it, else as it is known here."""
    for one in run.metrics:
        if one.name == name:
            return one
    unit = UNITS.get(name, "s")
    better = "higher" if name == "user_rate" else "lower"
    return Metric(name, TITLES.get(name, name), unit, better, "")  # type: ignore[arg-type]


def shown_unit(unit: str) -> str:
    """The unit in which values of `unit` are shown."""
    return {"s": "ms", "1/s": "per s", "ratio": "%"}.get(unit, unit)


def scaled(value: float, unit: str) -> float:
    """The value in its shown unit."""
    return value * {"s": MILLISECONDS, "ratio": 100.0}.get(unit, 1.0)


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits, and no fewer than the whole part has: `1234`, `12.3`, `0.0123`."""
    if value is None:
        return NONE
    return short(scaled(value, unit), 3)


def interval(one: Estimate | None, unit: str = "") -> str:
    """`120 (115 to 127)`: the value and its 95 % confidence interval, where there is one."""
    if one is None:
        return NONE
    if one.low is None or one.high is None:
        return number(one.value, unit)
    return f"{number(one.value, unit)} ({number(one.low, unit)} to {number(one.high, unit)})"


def percentiles(one: Distribution | None, unit: str = "") -> str:
    """`p50 / p90 / p99` of a distribution."""
    if one is None:
        return NONE
    return " / ".join(number(each.value, unit) for each in (one.p50, one.p90, one.p99))
