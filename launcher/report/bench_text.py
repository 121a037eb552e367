"""Text of `bench`, `bench compare` and `bench tune`."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.bench.result import BenchComparison, BenchRun, Gate, Level, Tuning
from launcher.numbers import short
from launcher.report.bench_rows import HEADINGS, compared, rows
from launcher.result import Result

VERDICTS = {"met": "PASS", "missed": "MISS", "refused": "NONE"}


def bench(result: Result[BenchRun]) -> str:
    """The levels, what the server says differently, the gates, and the formulas."""
    run = result.payload
    lines = [
        f"{run.target.name}: {run.scenario.title}, {run.seconds:.0f} s, {run.generator.name}"
        f" {run.generator.version}, load {run.machine.load_before[0]:.1f} before and"
        f" {run.machine.load_after[0]:.1f} after",
        *table([HEADINGS, *rows(run)]),
        "latencies: p50 / p90 / p99 in ms; ± is half of the 95 % interval over the repetitions",
    ]
    lines += _remarks(run)
    lines += _gates(run.gates)
    lines += ["formulas:"]
    named = {name for level in run.levels for name in level.latencies.by_name()}
    for metric in run.metrics:
        if metric.name in named or metric.name.endswith(("_rate", "goodput", "_share")):
            lines.append(f"  {metric.name:<13}  {metric.formula}")
    lines += [f"written: {path}" for path in run.files]
    return "\n".join(lines)


def table(every: Sequence[Sequence[str]]) -> list[str]:
    """Rows as columns of their widest value; a column without any value is left out."""
    filled = [i for i in range(len(every[0])) if any(row[i] for row in every[1:])]
    kept = [[row[i] for i in filled] for row in every]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    return [
        "  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip()
        for row in kept
    ]


def _remarks(run: BenchRun) -> list[str]:
    lines = [f"note: {note}" for note in run.notes]
    if run.stopped is not None:
        lines.append(f"stopped early: {run.stopped}")
    if run.generator.problem is not None:
        lines.append(f"not to be believed: {run.generator.problem}")
    for level in run.levels:
        lines += [
            f"errors at {level.label}: {count} times {text}" for text, count in level.errors.items()
        ]
        lines += [
            f"client and server disagree at {level.label}: {one.name} {one.client:.6g} here,"
            f" {one.server:.6g} there ({one.unit}): {one.reason}"
            for one in level.server
            if one.is_disputed and one.client is not None and one.server is not None
        ]
    return [*_while_it_ran(run), *lines, *_cost(run.levels)]


def _while_it_ran(run: BenchRun) -> list[str]:
    """The highest values of the time line, and where the generator was."""
    parts = []
    for title, name, scale, unit in (
        ("requests waiting", "waiting", 1, ""), ("KV cache", "kv_use", 100, " %"),
        ("engine's memory", "server_memory", 1 / 2**30, " GiB"),
    ):  # fmt: skip
        values = [value for one in run.timeline if (value := getattr(one, name)) is not None]
        if values:
            parts.append(f"{title} {short(max(values) * scale, 3)}{unit}")
    lines = [f"at most: {', '.join(parts)}"] if parts else []
    if run.machine.is_local:
        lines.append("the load generator ran on the server's machine and took some of it")
    return lines


def _cost(levels: Sequence[Level]) -> list[str]:
    lines = []
    for level in levels:
        cost = level.cost
        if cost is None or cost.worked is None:
            continue
        text = f"cost at {level.label}: {cost.worked.worked} per million output tokens"
        if cost.listed is not None:
            text += f"; {cost.listed.provider or 'a provider'} asks {cost.listed.output:g}"
        lines.append(text)
    return lines


def _gates(gates: Sequence[Gate]) -> list[str]:
    return [
        f"{VERDICTS[gate.verdict]}  {gate.kind} {gate.name} at {gate.level}: {gate.reason}"
        for gate in gates
    ]


def comparison(result: Result[BenchComparison]) -> str:
    """The figures side by side, with the verdict on each."""
    data = result.payload
    lines = [f"A {data.a.target.name}, B {data.b.target.name}: {data.a.scenario.title}"]
    every: list[tuple[str, ...]] = [("level", "figure", "A", "B", "change", "p", "verdict")]
    for one in data.figures:
        p = "" if one.p_value is None else f"{one.p_value:.3g}"
        every.append((*compared(one), p, one.verdict))
    lines += table(every) if len(every) > 1 else ["the two runs have no level in common"]
    reasons = {one.reason for one in data.figures if one.verdict == "refused"}
    lines += [f"refused: {reason}" for reason in sorted(reasons)]
    lines.append(f"{'taken in turns; ' if data.interleaved else ''}test: {data.test}")
    lines += [f"written: {path}" for path in data.files]
    return "\n".join(lines)


def tuning(result: Result[Tuning]) -> str:
    """The trials, and what was proved."""
    data = result.payload
    every = [("trial", "settings", "score", "")]
    for one in data.trials:
        settings = " ".join(f"{key}={value}" for key, value in one.settings.items())
        score = "" if one.score is None else short(abs(one.score))
        every.append((str(one.number), settings or "the profile's own", score, one.problem or ""))
    lines = [f"{data.target.name}: {data.objective}", *table(every), f"search: {data.search}"]
    lines += [f"tried: {key} {', '.join(map(str, one))}" for key, one in data.bounds.items()]
    for row in data.proof.figures if data.proof is not None else ():
        lines.append(f"proof: {row.metric} {row.verdict}: {row.reason}")
    if data.overlay is not None:
        lines.append(f"overlay: {data.overlay}")
    return "\n".join([*lines, data.conclusion])
