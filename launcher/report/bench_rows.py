"""The table of a benchmark as rows of short texts: the same for text, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.bench.result import BenchRun, ComparedFigure, Distribution, Estimate, Level
from launcher.numbers import short

LATENCIES = ("ttft", "ttfa", "itl", "tpot", "e2e")
HEADINGS = ("level", "answers", "failed", "tokens/s", "requests/s", "good", *LATENCIES)


def rows(run: BenchRun) -> list[tuple[str, ...]]:
    """One row for each level: rates, and p50 / p90 / p99 of each latency in milliseconds."""
    return [_row(level) for level in run.levels]


def _row(level: Level) -> tuple[str, ...]:
    rates, counts = level.rates, level.counts
    by_name = level.latencies.by_name()
    share = rates.goodput_share
    return (
        level.label,
        str(counts.succeeded),
        str(counts.failed),
        with_noise(rates.output_tokens),
        with_noise(rates.requests),
        "" if share is None else f"{share.value:.0%}",
        *(_percentiles(by_name.get(name)) for name in LATENCIES),
    )


def compared(one: ComparedFigure) -> tuple[str, ...]:
    """Level, figure, both values with their unit (seconds as ms), and the change."""
    factor, unit = (1000, "ms") if one.unit == "s" else (1, one.unit)
    return (
        one.level,
        one.metric,
        f"{short(one.a * factor)} {unit}",
        f"{short(one.b * factor)} {unit}",
        f"{one.change.value:+.1%}",
    )


def with_noise(one: Estimate) -> str:
    """`64.2 ±3.1`: half of the 95 % interval behind the value."""
    if one.low is None or one.high is None:
        return short(one.value)
    return f"{short(one.value)} ±{short((one.high - one.low) / 2, 2)}"


def _percentiles(one: Distribution | None) -> str:
    if one is None:
        return ""
    return " / ".join(short(value.value * 1000) for value in (one.p50, one.p90, one.p99))


def figures(run: BenchRun) -> Iterator[tuple[str, str, str, Estimate, int]]:
    """Every figure with its interval: level, metric, statistic, estimate, number of values."""
    for level in run.levels:
        for name, one in level.latencies.by_name().items():
            for statistic in ("mean", "p50", "p90", "p99"):
                yield level.key, name, statistic, getattr(one, statistic), one.count
        rates = level.rates
        counted = level.counts.succeeded + level.counts.failed
        for name, rate in (
            ("requests_rate", rates.requests),
            ("tokens_rate", rates.output_tokens),
            ("total_rate", rates.total_tokens),
            ("error_rate", rates.error_rate),
            ("goodput", rates.goodput),
            ("goodput_share", rates.goodput_share),
        ):
            if rate is not None:
                yield level.key, name, "value", rate, counted
