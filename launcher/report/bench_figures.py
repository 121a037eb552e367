"""The plots of a bench run: throughput against latency, distributions, time lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from launcher.bench.result import BenchRun, Distribution, Estimate, Level, Sample
from launcher.report.bench_units import MILLISECONDS, metric_of, number
from launcher.report.plots.figure import Figure, Series, Span

LATENCIES = ("ttft", "ttfa", "tpot", "itl", "e2e")
"""Metrics that are plotted against throughput, the first two that a run has."""
DISTRIBUTIONS = ("ttft", "ttfa", "itl", "e2e")
MOST_CURVES = 8
"""Levels in a plot of distributions: of more, those that lie evenly among them."""
MOST_SAMPLES = 1500
"""Points of a time line: of more, every second one, or every third."""
NARROWEST = 0.05
"""Share of a time line that a level takes at least to be named there."""
GIB = 1024**3
SHARES = tuple(float(share) for share in range(101))


def figures(run: BenchRun) -> list[Figure]:
    """Every plot of a run that its data allow."""
    plotted = [name for name in LATENCIES if _has(run, name)][:2]
    drawn = [throughput((("", run),), name) for name in plotted]
    drawn += [distributions(run, name) for name in DISTRIBUTIONS if _has(run, name)]
    return [*drawn, *timelines((("", run),))]


def _has(run: BenchRun, name: str) -> bool:
    return any(name in level.latencies.by_name() for level in run.levels)


def throughput(runs: Sequence[tuple[str, BenchRun]], name: str) -> Figure:
    """Latency (p50 and p99) against output tokens per second, a point for each level.

    `runs` are named; the name is empty where there is one.
    """
    series: list[Series] = []
    sentences: list[str] = []
    for side, (label, run) in enumerate(runs):
        for loop in ("closed", "open"):
            levels = [one for one in run.levels if one.loop == loop and _distribution(one, name)]
            if not levels:
                continue
            several = len({one.loop for one in run.levels}) > 1
            prefix = " ".join(filter(None, (label, f"{loop} loop," if several else "")))
            for dash, (word, pick) in enumerate((("p50", _p50), ("p99", _p99))):
                # Two runs are told apart by colour, one run's percentiles too.
                look = side if len(runs) > 1 else dash + (2 if loop == "open" else 0)
                line = _points(f"{prefix} {word}".strip(), levels, name, pick)
                series.append(replace(line, look=look, dash=dash + (2 if loop == "open" else 0)))
            sentences.append(_describe(prefix, levels, name))
    title = metric_of(runs[0][1], name).title
    return Figure(
        f"throughput-{name}", f"{title} against throughput", "output tokens/s (all users)",
        f"{title.lower()} (ms)", tuple(series), " ".join(sentences),
        scale_y="log" if _spread(series) > 20 else "linear",
    )  # fmt: skip


def _points(
    label: str,
    levels: Sequence[Level],
    name: str,
    pick: Callable[[Distribution], Estimate],
) -> Series:
    estimates = [pick(one) for level in levels if (one := _distribution(level, name))]
    bounded = all(one.low is not None and one.high is not None for one in estimates)
    return Series(
        label,
        tuple(level.rates.output_tokens.value for level in levels),
        tuple(one.value * MILLISECONDS for one in estimates),
        tuple((one.low or 0.0) * MILLISECONDS for one in estimates) if bounded else (),
        tuple((one.high or 0.0) * MILLISECONDS for one in estimates) if bounded else (),
        tuple(f"{level.value:g}" for level in levels),
    )


def _describe(prefix: str, levels: Sequence[Level], name: str) -> str:
    first, last = levels[0], levels[-1]
    parts = [
        f"{level.label}: {number(level.rates.output_tokens.value)} tokens/s, "
        f"p50 {number(one.p50.value, 's')} ms, p99 {number(one.p99.value, 's')} ms"
        for level in ((first, last) if last is not first else (first,))
        if (one := _distribution(level, name))
    ]
    return f"{prefix.rstrip(',').capitalize() or 'Levels'}: {'; '.join(parts)}."


def distributions(run: BenchRun, name: str) -> Figure:
    """The share of values below each value, a curve for each level."""
    levels = [one for one in run.levels if _distribution(one, name)]
    chosen = _evenly(levels, MOST_CURVES)
    pairs = [(level.label, _distribution(level, name)) for level in chosen]
    return curves(run, name, [(label, one) for label, one in pairs if one is not None])


def curves(run: BenchRun, name: str, pairs: Sequence[tuple[str, Distribution]]) -> Figure:
    """The distributions of one metric as curves, named."""
    metric = metric_of(run, name)
    series = tuple(
        Series(
            label, tuple(value * MILLISECONDS for value in one.quantiles), SHARES, look=look,
            kind="curve",
        )
        for look, (label, one) in enumerate(pairs)
        if len(one.quantiles) == len(SHARES)
    )  # fmt: skip
    values = [value for one in series for value in one.x if value is not None]
    sentences = (
        f"{label}: half below {number(one.p50.value, 's')} ms, 99 % below "
        f"{number(one.p99.value, 's')} ms."
        for label, one in pairs
    )
    logarithmic = bool(values) and min(values) > 0 and max(values) / min(values) > 20
    return Figure(
        f"distribution-{name}", f"Distribution: {metric.title.lower()}",
        f"{metric.title.lower()} (ms)", "requests below (%)", series, " ".join(sentences),
        scale_x="log" if logarithmic else "linear",
    )  # fmt: skip


def timelines(runs: Sequence[tuple[str, BenchRun]]) -> Iterator[Figure]:
    """Queue, KV cache and memory over time, as far as they were sampled."""
    spans = _spans(runs[0][1]) if len(runs) == 1 else ()
    queue: list[Series] = []
    kv: list[Series] = []
    memory: list[Series] = []
    for side, (name, run) in enumerate(runs):
        samples = run.timeline[:: 1 + len(run.timeline) // MOST_SAMPLES]
        prefix = f"{name} " if name else ""
        several = len(runs) > 1

        def line(
            label: str,
            value: Callable[[Sample], float | None],
            dash: int = 0,
            *,
            samples: Sequence[Sample] = samples,
            prefix: str = prefix,
            look: int | None = side if several else None,
        ) -> list[Series]:
            values = tuple(value(one) for one in samples)
            if all(one is None for one in values):
                return []
            at = tuple(one.at for one in samples)
            return [
                Series(
                    prefix + label, at, values, look=dash if look is None else look, dash=dash,
                    kind="steps",
                )
            ]  # fmt: skip

        queue += line("running", lambda one: one.running)
        queue += line("waiting", lambda one: one.waiting, 1)
        kv += line("KV cache", lambda one: _percent(one.kv_use))
        memory += line("server", lambda one: _gib(one.server_memory))
        for card in range(max((len(one.gpu_memory) for one in samples), default=0)):
            memory += line(f"GPU {card}", _card_memory(card), 1 + card)
    plots = (
        ("timeline-queue", "Requests in the server", "requests", queue, " requests"),
        ("timeline-kv", "KV cache in use", "KV cache in use (%)", kv, " %"),
        ("timeline-memory", "Memory in use", "memory (GiB)", memory, " GiB"),
    )
    for key, title, label, series, unit in plots:
        if series:
            text = " ".join(f"{one.label}: at most {_highest(one)}{unit}." for one in series)
            yield Figure(key, title, _axis(spans), label, tuple(series), text, spans=spans)


def _axis(spans: Sequence[Span]) -> str:
    label = "seconds since the run began"
    return f"{label} (parts: levels)" if spans else label


def _card_memory(card: int) -> Callable[[Sample], float | None]:
    def memory(sample: Sample) -> float | None:
        return _gib(sample.gpu_memory[card]) if card < len(sample.gpu_memory) else None

    return memory


def _spans(run: BenchRun) -> tuple[Span, ...]:
    """The levels of a run, one after the other; a name only where there is room for it."""
    merged: list[Span] = []
    for one in run.phases:
        if merged and merged[-1].label == one.level:
            merged[-1] = Span(merged[-1].begin, one.end, one.level)
        else:
            merged.append(Span(one.begin, one.end, one.level))
    total = sum(one.end - one.begin for one in merged)
    names = {level.key: f"{level.value:g}" for level in run.levels}
    return tuple(
        Span(one.begin, one.end, names.get(one.label, one.label))
        if one.end - one.begin > NARROWEST * total
        else Span(one.begin, one.end, "")
        for one in merged
    )


def _highest(series: Series) -> str:
    return number(max(value for value in series.y if value is not None))


def _percent(value: float | None) -> float | None:
    return None if value is None else value * 100


def _gib(value: int | None) -> float | None:
    return None if value is None else value / GIB


def _distribution(level: Level, name: str) -> Distribution | None:
    return level.latencies.by_name().get(name)


def _p50(one: Distribution) -> Estimate:
    return one.p50


def _p99(one: Distribution) -> Estimate:
    return one.p99


def _spread(series: Sequence[Series]) -> float:
    values = [value for one in series for value in one.y if value is not None and value > 0]
    return max(values) / min(values) if values else 1.0


def _evenly(levels: Sequence[Level], most: int) -> list[Level]:
    if len(levels) <= most:
        return list(levels)
    step = (len(levels) - 1) / (most - 1)
    return [levels[round(index * step)] for index in range(most)]
