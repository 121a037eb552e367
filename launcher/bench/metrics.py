"""The metrics, their formulas, and a level computed from the records of its requests.

The formulas are ours, so that they do not change with the generator's release; they are printed
with every result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from launcher.bench.records import Record
from launcher.bench.result import (
    Estimate,
    Latencies,
    Level,
    Metric,
    Rates,
    Repetition,
    RequestCounts,
)
from launcher.bench.statistics import distribution, mean_estimate, quantile, share_estimate

METRICS = (
    Metric("ttft", "Time to first token", "s", "lower",
           "first chunk with a token (reasoning or answer) - request sent"),
    Metric("ttfa", "Time to first answer token", "s", "lower",
           "first chunk with answer text or a tool call, after reasoning - request sent"),
    Metric("itl", "Inter-token latency", "s", "lower",
           "a chunk with tokens - the one before it, over all chunks of all requests"),
    Metric("tpot", "Time per output token", "s", "lower",
           "(last chunk - first chunk) / (output tokens - 1), per request"),
    Metric("e2e", "End-to-end latency", "s", "lower", "last chunk with a token - request sent"),
    Metric("queue", "Wait in the generator", "s", "lower", "request sent - request due"),
    Metric("user_rate", "Output tokens per second and user", "tokens/s", "higher",
           "output tokens / end-to-end latency, per request"),
    Metric("input_tokens", "Input tokens", "tokens", "lower", "usage.prompt_tokens"),
    Metric("output_tokens", "Output tokens", "tokens", "higher", "usage.completion_tokens"),
    Metric("requests_rate", "Requests per second", "1/s", "higher",
           "successful requests / (last chunk of all - first request sent), per repetition"),
    Metric("tokens_rate", "Output tokens per second", "tokens/s", "higher",
           "output tokens of successful requests / the same time"),
    Metric("total_rate", "Tokens per second", "tokens/s", "higher",
           "input and output tokens of successful requests / the same time"),
    Metric("error_rate", "Error rate", "ratio", "lower",
           "failed requests / (successful + failed); requests cut off at the end count nowhere"),
    Metric("goodput", "Goodput", "1/s", "higher",
           "successful requests within every limit of slo.request / the same time"),
    Metric("goodput_share", "Good requests", "ratio", "higher",
           "successful requests within every limit of slo.request / (successful + failed)"),
)  # fmt: skip
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
LATENCIES = ("ttft", "ttfa", "itl", "tpot", "e2e")
"""What an SLO can bound."""
_PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))

RequestLimits = Mapping[str, float]
"""What a request has to meet to be good: metric (`ttft`, `tpot`, `e2e` ...) to seconds."""


@dataclass(frozen=True)
class Pass:
    """The records of one level in one repetition; `begin` is when the run began (monotonic)."""

    records: tuple[Record, ...]
    begin: float


def values_of(records: Sequence[Record]) -> dict[str, list[float]]:
    """The values of every metric that is one per request or chunk, of successful requests."""
    values: dict[str, list[float]] = {}
    readers: dict[str, Callable[[Record], float | None]] = {
        "ttft": lambda one: one.ttft,
        "ttfa": lambda one: one.ttfa,
        "tpot": lambda one: one.tpot,
        "e2e": lambda one: one.e2e,
        "queue": lambda one: one.queue,
        "user_rate": lambda one: one.user_rate,
        "input_tokens": lambda one: one.input_tokens,
        "output_tokens": lambda one: one.output_tokens,
    }
    successes = [one for one in records if one.is_success]
    for name, read in readers.items():
        values[name] = [value for one in successes if (value := read(one)) is not None]
    values["itl"] = [gap for one in successes for gap in one.gaps]
    return values


def is_good(record: Record, limits: RequestLimits) -> bool:
    """True where a request succeeded within every limit; `itl` bounds its longest gap."""
    if not record.is_success:
        return False
    for name, limit in limits.items():
        actual = max(record.gaps, default=0.0) if name == "itl" else getattr(record, name)
        if actual is None or actual > limit:
            return False
    return True


def figures_of(records: Sequence[Record], limits: RequestLimits) -> dict[str, float]:
    """The figures of one repetition, by `metric.statistic` or the name of a rate."""
    figures: dict[str, float] = {}
    for name, values in values_of(records).items():
        if values:
            ordered = sorted(values)
            figures[f"{name}.mean"] = sum(values) / len(values)
            for label, share in _PERCENTILES:
                figures[f"{name}.{label}"] = quantile(ordered, share)
    successes = [one for one in records if one.is_success]
    failed = sum(one.error is not None for one in records)
    if successes or failed:
        figures["error_rate"] = failed / (len(successes) + failed)
    if successes:
        seconds = max(max(one.chunks) for one in successes) - min(one.begin for one in records)
        if seconds > 0:
            out = sum(one.output_tokens or 0 for one in successes)
            figures["requests_rate"] = len(successes) / seconds
            figures["tokens_rate"] = out / seconds
            figures["total_rate"] = (
                out + sum(one.input_tokens or 0 for one in successes)
            ) / seconds
    if limits and (successes or failed):
        within = sum(is_good(one, limits) for one in successes)
        figures["goodput_share"] = within / (len(successes) + failed)
        if "requests_rate" in figures:
            figures["goodput"] = figures["requests_rate"] * within / len(successes)
    return figures


def make_level(
    loop: Literal["closed", "open"],
    value: float,
    passes: Sequence[Pass],
    limits: RequestLimits,
    overload: str | None = None,
) -> Level:
    """A level from the records of all its repetitions."""
    repetitions = []
    for one in passes:
        measured = [record for record in one.records if not record.is_warm_up]
        begin = min((record.begin for record in measured), default=one.begin) - one.begin
        end = max((record.end for record in measured), default=one.begin) - one.begin
        repetitions.append(Repetition(round(begin, 3), round(end, 3), figures_of(measured, limits)))
    every = [record for one in passes for record in one.records]
    measured = [record for record in every if not record.is_warm_up]
    successes = [record for record in measured if record.is_success]
    failures = Counter(record.error for record in measured if record.error is not None)
    failed = failures.total()
    within = sum(is_good(record, limits) for record in successes)

    def rate(name: str) -> Estimate:
        values = [one.figures[name] for one in repetitions if name in one.figures]
        return mean_estimate(values) if values else Estimate(0.0)

    return Level(
        loop,
        value,
        RequestCounts(
            sent=len(measured),
            succeeded=len(successes),
            failed=failed,
            cut=sum(record.is_cut and record.error is None for record in measured),
            warm_up=len(every) - len(measured),
        ),
        Rates(
            requests=rate("requests_rate"),
            output_tokens=rate("tokens_rate"),
            total_tokens=rate("total_rate"),
            error_rate=share_estimate(failed, failed + len(successes)),
            goodput=rate("goodput") if limits else None,
            goodput_share=share_estimate(within, failed + len(successes)) if limits else None,
        ),
        Latencies(**{name: distribution(one) for name, one in values_of(measured).items()}),
        tuple(repetitions),
        dict(failures.most_common(10)),
        overload=overload,
    )


def find_overload(level: Level, error_rate: float, ttft_p90: float) -> str | None:
    """Why no higher level makes sense after this one; None where one does."""
    rates, first = level.rates, level.latencies.ttft
    if level.counts.succeeded == 0:
        return "no request succeeded"
    if rates.error_rate.value > error_rate:
        failed = f"{rates.error_rate.value:.1%} of the requests failed"
        return f"{failed} (stop.error-rate {error_rate:.0%})"
    if first is not None and first.p90.value > ttft_p90:
        return f"TTFT p90 is {first.p90.value:.2f} s (stop.ttft-p90 {ttft_p90:g} s)"
    if level.loop == "open" and rates.requests.value < 0.8 * level.value and level.counts.cut:
        return f"{rates.requests.value:.2f} requests per second were finished, {level.value:g} came"
    return None
