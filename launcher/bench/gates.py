"""Gates: the objectives of a profile (`slo:`), and a baseline that may not be fallen behind.

An objective is missed by the figure itself. A regression is one that the noise does not explain:
Welch's t test on the logarithms of the repetitions' figures, corrected for the number of figures
(Holm), p at most 5 %, and a change of more than the tolerance. No verdict is given where the
machine of the load generator was too busy, or where two runs did not measure the same thing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from launcher import files
from launcher.bench.metrics import BY_NAME, LATENCIES, RequestLimits
from launcher.bench.result import BenchRun, Gate, Level, decode_run
from launcher.bench.scenario import Scenario, with_load
from launcher.bench.statistics import holm, separate_change
from launcher.codec import DecodeError
from launcher.errors import UsageError
from launcher.json_values import JsonObject, number_at, object_at
from launcher.numbers import short

ALPHA = 0.05
TOLERANCE = 0.05
"""The change that is never called a regression, as a share."""
LEAST_REPETITIONS = 3
MOST_BASELINE = 256 * 1024 * 1024
"""Bytes of a baseline file; a run of an hour has 2 MiB."""
COMPARED = ("ttft.p50", "ttft.p90", "ttfa.p50", "tpot.p50", "e2e.p50", "e2e.p90", "tokens_rate")
"""What a baseline is held against; a median says more than the p99 of few requests."""
_FLOORS = (
    ("output-tokens-per-second", "tokens_rate"),
    ("requests-per-second", "requests_rate"),
)


def request_limits(slo: JsonObject) -> RequestLimits:
    """What a request has to meet to count for goodput; empty without `slo.request`."""
    limits = {name: number_at(slo, "request", name) for name in LATENCIES}
    return {name: float(value) for name, value in limits.items() if value is not None}


def with_slo_level(scenario: Scenario, slo: JsonObject) -> Scenario:
    """The scenario with the level that the objectives are about, if it is not among its own."""
    at_once, rate = number_at(slo, "concurrency"), number_at(slo, "rate")
    load = scenario.load
    closed, opened = set(load.closed), set(load.open)
    if at_once is not None:
        closed.add(int(at_once))
    if rate is not None:
        opened.add(float(rate))
    if (closed, opened) == (set(load.closed), set(load.open)):
        return scenario
    return with_load(scenario, closed=tuple(sorted(closed)), open=tuple(sorted(opened)))


def slo_gates(run: BenchRun, slo: JsonObject, where: str) -> list[Gate]:
    """The verdicts on the objectives; `where` is their place in the profile."""
    at_once, rate = number_at(slo, "concurrency"), number_at(slo, "rate")
    meant = [
        level
        for level in run.levels
        if (at_once is None and rate is None)
        or (level.loop == "closed" and level.value == at_once)
        or (level.loop == "open" and level.value == rate)
    ]
    gates = [
        gate for level in meant for gate in _objectives(level, slo, where, run.generator.problem)
    ]
    if not meant:
        level = f"c{at_once:g}" if at_once is not None else f"r{rate:g}" if rate else ""
        for name, limit, unit in _limits(slo):
            reason = f"the level was not measured: {run.stopped or 'it is not in the scenario'}"
            gates.append(Gate(name, level, "slo", "missed", where, limit, None, unit, reason))
    return gates


def _limits(slo: JsonObject) -> list[tuple[str, float, str]]:
    """Every objective: its figure, limit and unit."""
    limits = []
    for metric in LATENCIES:
        for percentile, value in object_at(slo, metric).items():
            if isinstance(value, (int, float)):
                limits.append((f"{metric}.{percentile}", float(value), "s"))
    for key, name in _FLOORS:
        value = number_at(slo, key)
        if value is not None:
            limits.append((name, float(value), BY_NAME[name].unit))
    for key, name in (("error-rate", "error_rate"), ("good-requests", "goodput_share")):
        value = number_at(slo, key)
        if value is not None:
            limits.append((name, float(value), "ratio"))
    return limits


def _objectives(level: Level, slo: JsonObject, where: str, busy: str | None) -> list[Gate]:
    gates = []
    for name, limit, unit in _limits(slo):
        actual = figure(level, name)
        gate = Gate(name, level.key, "slo", "met", where, limit, actual, unit, "")
        if actual is None:
            reason = "no request has this figure"
            if name == "goodput_share":
                reason = "the profile has no `slo.request` that says which requests are good"
            gates.append(replace(gate, verdict="missed", reason=reason))
            continue
        is_floor = BY_NAME[name.partition(".")[0]].better == "higher"
        is_met = actual >= limit if is_floor else actual <= limit
        text = f"{_value(actual, unit)}, {'at least' if is_floor else 'at most'} "
        text += f"{_value(limit, unit)} is the objective"
        if busy is not None and name != "error_rate":
            gates.append(replace(gate, verdict="refused", reason=busy))
        else:
            verdict: Literal["met", "missed"] = "met" if is_met else "missed"
            gates.append(replace(gate, verdict=verdict, reason=text))
    return gates


def figure(level: Level, name: str) -> float | None:
    """A figure of a level by its name, as in `Repetition.figures`; None where there is none."""
    rates = {
        "tokens_rate": level.rates.output_tokens,
        "requests_rate": level.rates.requests,
        "total_rate": level.rates.total_tokens,
        "error_rate": level.rates.error_rate,
        "goodput": level.rates.goodput,
        "goodput_share": level.rates.goodput_share,
    }
    if name in rates:
        rate = rates[name]
        return None if rate is None else rate.value
    metric, _, statistic = name.partition(".")
    one = level.latencies.by_name().get(metric)
    return None if one is None else float(getattr(one, statistic).value)


def read_baseline(path: Path) -> BenchRun:
    """The run in a file of `bench --output`.

    Raises:
        UsageError: `bad-baseline`.
    """
    try:
        data = files.read_input(path, MOST_BASELINE, 10.0)
        if len(data) > MOST_BASELINE:
            raise ValueError(f"it has more than {MOST_BASELINE} bytes")
        return decode_run(json.loads(data))
    except (OSError, ValueError, RecursionError, DecodeError) as error:
        raise UsageError.of(
            "bad-bench-baseline", f"the baseline cannot be used: {error}", str(path),
            "`ernie-deploy bench TARGET --output FILE` writes one",
        ) from None  # fmt: skip


def baseline_gates(
    run: BenchRun, baseline: BenchRun, path: str, tolerance: float = TOLERANCE
) -> list[Gate]:
    """The verdicts against a baseline: one for each figure and level that both runs have."""
    problem = _incomparable(run, baseline)
    busy = run.generator.problem or (
        f"the baseline: {baseline.generator.problem}" if baseline.generator.problem else None
    )
    before = {level.key: level for level in baseline.levels}
    gates: list[Gate] = []
    p_values: list[float | None] = []
    changes: list[float] = []
    for level in run.levels:
        old = before.get(level.key)
        for name in COMPARED if old is not None else ():
            assert old is not None  # noqa: S101
            was, now = _values(old, name), _values(level, name)
            if not was or not now:
                continue
            change, p = separate_change(was, now)
            gates.append(
                Gate(
                    name, level.key, "baseline", "met", path, _mean(was), _mean(now),
                    BY_NAME[name.partition(".")[0]].unit, "",
                )
            )  # fmt: skip
            p_values.append(p)
            changes.append(change.value)
    judged = [
        _judge(gate, p, size, tolerance, problem or busy)
        for gate, p, size in zip(gates, holm(p_values), changes, strict=True)
    ]
    if not judged:
        reason = problem or "the two runs have no level in common"
        judged.append(Gate("levels", "", "baseline", "refused", path, 0.0, None, "", reason))
    return judged


def _judge(
    gate: Gate, p: float | None, change: float, tolerance: float, problem: str | None
) -> Gate:
    if problem is not None:
        return replace(gate, verdict="refused", reason=problem)
    if p is None:
        reason = f"a test needs {LEAST_REPETITIONS} repetitions of both runs (`--repetitions`)"
        return replace(gate, verdict="refused", reason=reason)
    is_worse = change > 0 if BY_NAME[gate.name.partition(".")[0]].better == "lower" else change < 0
    size = f"{change:+.1%} against the baseline, p {p:.3g}"
    if is_worse and abs(change) > tolerance and p <= ALPHA:
        reason = f"{size}: worse by more than the noise and by more than {tolerance:.0%}"
        return replace(gate, verdict="missed", reason=reason, p_value=p)
    reason = f"{size}: no regression larger than the noise and {tolerance:.0%}"
    return replace(gate, reason=reason, p_value=p)


def _incomparable(run: BenchRun, baseline: BenchRun) -> str | None:
    """Why the two runs cannot be held against each other; None where they can."""
    differences = [
        (what, str(before), str(now))
        for what, before, now in (
            _first_difference("scenario", _load_of(baseline), _load_of(run)),
            ("generator", baseline.generator.version, run.generator.version),
            ("processor", baseline.machine.cpu, run.machine.cpu),
            ("cores", baseline.machine.cores, run.machine.cores),
            ("GPUs", baseline.machine.gpus, run.machine.gpus),
        )
        if before != now
    ]
    if not differences:
        return None
    what, before, now = differences[0]
    return f"the runs do not measure the same: {what} {_short(before)} then, {_short(now)} now"


def _first_difference(path: str, before: object, now: object) -> tuple[str, object, object]:
    """Where two documents differ first, by the path of the key, and both values there."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in (*before, *(key for key in now if key not in before)):
            if before.get(key) != now.get(key):
                return _first_difference(f"{path}: {key}", before.get(key), now.get(key))
    return path, before, now


def _load_of(run: BenchRun) -> Mapping[str, object]:
    """What of a scenario has to be equal: all but the levels and their number."""
    document = dict(run.scenario.document)
    load = dict(object_at(document, "load"))
    for name in ("closed", "open", "repetitions"):
        load.pop(name, None)
    return {**document, "load": load, "title": ""}


def _values(level: Level, name: str) -> list[float]:
    """The figure of each repetition; a logarithm needs it above 0."""
    values = [one.figures.get(name) for one in level.repetitions]
    return [value for value in values if value is not None and value > 0]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _value(value: float, unit: str) -> str:
    return f"{value:.2%}" if unit == "ratio" else f"{short(value)} {unit}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
