"""The parts of a bench page: header, gates, plots, tables, formulas, what exactly was measured."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from launcher.bench.result import BenchRun, Estimate, Gate, Level
from launcher.json_values import JsonValue
from launcher.numbers import short
from launcher.report.bench_units import (
    interval,
    metric_of,
    number,
    percentiles,
    shown_unit,
)
from launcher.report.escape import html as escape
from launcher.report.page import data_table, facts_table, mark_as
from launcher.report.plots.figure import Figure

COLUMNS = ("ttft", "ttfa", "itl", "tpot", "e2e", "queue", "user_rate")
"""Metrics that have a column in the table of levels."""
GIB = 1024**3
VERDICTS = {
    "met": ("pass", "MET"),
    "missed": ("fail", "MISSED"),
    "refused": ("doubt", "REFUSED"),
    "none": ("none", "NO GATES"),
}
"""Verdict of gates to its style and label."""


def header(run: BenchRun, title: str) -> str:
    """What was measured, and the verdict of its gates."""
    style, _ = VERDICTS[run.verdict]
    met = sum(gate.verdict == "met" for gate in run.gates)
    texts = {
        "met": f"all {len(run.gates)} gates are met",
        "missed": f"gates missed: {sum(g.verdict == 'missed' for g in run.gates)}, met: {met}",
        "refused": f"verdicts refused: {run.generator.problem or 'see the gates'}",
        "none": "measured without gates",
    }
    facts = (
        f"{run.target.model} at {run.target.url}", run.target.engine_text or "unknown engine",
        f"scenario {run.scenario.name}", run.started, f"{run.seconds:.0f} s",
        f"{run.generator.name} {run.generator.version}",
    )  # fmt: skip
    notes = "".join(f'<p class="dim">{escape(note)}</p>' for note in run.notes)
    if run.generator.problem and run.verdict != "refused":
        notes += f'<p class="doubt">Not to be believed: {escape(run.generator.problem)}</p>'
    if run.stopped:
        notes += f'<p class="doubt">Ended early: {escape(run.stopped)}</p>'
    return (
        f'<header class="{style}"><h1>{escape(title)}</h1>'
        f'<div class="verdict">{escape(texts[run.verdict])}</div>'
        f'<div class="dim facts">{" &middot; ".join(map(escape, facts))}</div>{notes}</header>'
    )


def gates(every: Sequence[Gate]) -> str:
    """The gates, those that were missed first."""
    if not every:
        return ""
    order = {"missed": 0, "refused": 1, "met": 2}
    rows = [
        (
            mark_as(*VERDICTS[gate.verdict]),
            f"<b>{escape(gate.name)}</b> {escape(gate.level)}",
            escape(f"{number(gate.limit, gate.unit)} {shown_unit(gate.unit)}"),
            escape(f"{number(gate.actual, gate.unit)} {shown_unit(gate.unit)}"),
            escape(gate.reason) + f' <span class="dim">{escape(gate.source)}</span>',
        )
        for gate in sorted(every, key=lambda one: order[one.verdict])
    ]
    heads = ("verdict", "figure", "limit", "measured", "why")
    return section("gates", "Gates", data_table(heads, rows), len(every))


def plots(figures: Sequence[Figure], drawn: Mapping[str, str], problem: str | None) -> str:
    """The plots, each with what it shows in words; or why there are none."""
    if not figures:
        return ""
    if problem is not None:
        note = f'<p class="doubt">{escape(problem)} Every number is in the tables below.</p>'
        return section("plots", "Plots", note)
    items = "".join(
        f'<figure id="{escape(one.name)}"><figcaption>{escape(one.title)}</figcaption>'
        f'<div class="plot">{drawn[one.name]}</div>'
        f"<details><summary>In words</summary><p>{escape(one.text)}</p></details></figure>"
        for one in figures
        if one.name in drawn
    )
    return section("plots", "Plots", f'<div class="plots">{items}</div>')


def levels(run: BenchRun) -> str:
    """Every level with its rates and the p50, p90 and p99 of its latencies."""
    present = [
        name for name in COLUMNS if any(name in one.latencies.by_name() for one in run.levels)
    ]
    heads = ["level", "requests", "failed", "requests/s", "output tokens/s", "errors (%)"]
    has_goodput = any(one.rates.goodput is not None for one in run.levels)
    heads += ["goodput (requests/s)", "within SLO (%)"] if has_goodput else []
    units = {name: metric_of(run, name).unit for name in present}
    heads += [f"{metric_of(run, n).title} ({shown_unit(units[n])})" for n in present]
    rows = []
    for one in run.levels:
        rates = one.rates
        row = [
            escape(one.label), str(one.counts.succeeded), _failed(one), _interval(rates.requests),
            _interval(rates.output_tokens), _interval(rates.error_rate, "ratio"),
        ]  # fmt: skip
        if has_goodput:
            row += [_interval(rates.goodput), _interval(rates.goodput_share, "ratio")]
        values = one.latencies.by_name()
        row += [
            f'<span class="n">{escape(percentiles(values.get(name), units[name]))}</span>'
            for name in present
        ]
        rows.append(row)
    note = (
        '<p class="dim">Below a figure: its 95 % confidence interval. Latencies: p50 / p90 / p99. '
        "A level is the number of requests at a time (closed loop) or started per second (open "
        "loop).</p>"
    )
    overloads = "".join(
        f'<p class="doubt">{escape(one.label)}: {escape(one.overload)}</p>'
        for one in run.levels
        if one.overload
    )
    return section("levels", "Levels", data_table(heads, rows) + overloads + note, len(rows))


def _interval(one: Estimate | None, unit: str = "") -> str:
    """The value, and its interval in a line below."""
    text = (
        escape(interval(one, unit)).replace(" (", '<br><span class="dim">').replace(")", "</span>")
    )
    return f'<span class="n">{text}</span>'


def _failed(level: Level) -> str:
    text = str(level.counts.failed)
    if level.counts.failed:
        text = f'<span class="fail">{text}</span>'
    if level.counts.cut:
        text += f' <span class="dim">({level.counts.cut} cut)</span>'
    errors = ", ".join(f"{name}: {count}" for name, count in level.errors.items())
    return text + (f'<br><span class="dim">{escape(errors)}</span>' if errors else "")


def details(run: BenchRun) -> str:
    """Each level's distributions with their intervals, and the server's figures beside them."""
    text = ""
    for one in run.levels:
        rows = []
        for name, values in one.latencies.by_name().items():
            metric = metric_of(run, name)
            cells = [escape(metric.title), escape(shown_unit(metric.unit)), str(values.count)]
            cells += [
                _interval(each, metric.unit)
                for each in (values.mean, values.p50, values.p90, values.p99)
            ]
            cells += [number(values.minimum, metric.unit), number(values.maximum, metric.unit)]
            rows.append(cells)
        heads = ("metric", "unit", "count", "mean", "p50", "p90", "p99", "least", "most")
        inside = data_table(heads, rows) + _server(one) + _cost(one)
        text += (
            f'<details class="level" data-print><summary><b>{escape(one.label)}</b> '
            f'<span class="dim">{one.counts.sent} requests, and {one.counts.warm_up} before them '
            f'to warm up</span></summary><div class="inside">{inside}</div></details>'
        )
    return section("details", "Each level", text) if text else ""


def _server(level: Level) -> str:
    if not level.server:
        return ""
    rows = [
        (
            escape(one.name), escape(f"{number(one.client, one.unit)} {shown_unit(one.unit)}"),
            escape(f"{number(one.server, one.unit)} {shown_unit(one.unit)}"),
            (mark_as("doubt", "DISAGREE") + " " if one.is_disputed else "")
            + escape(one.reason or ""),
        )
        for one in level.server
    ]  # fmt: skip
    heads = ("figure", "client", "server (/metrics)", "")
    return f"<h3>Client and server</h3>{data_table(heads, rows)}"


def _cost(level: Level) -> str:
    cost = level.cost
    if cost is None:
        return ""
    lines = []
    if cost.worked is not None:
        lines.append(f"${cost.worked.per_million:.4g} per million tokens")
        lines += [cost.worked.formula, cost.worked.worked]
    if cost.problem:
        lines.append(f"no cost: {cost.problem}")
    if cost.listed is not None:
        lines.append(
            f"hosted list price: ${cost.listed.input:g} in, ${cost.listed.output:g} out per "
            f"million ({cost.listed.provider})"
        )
    return f"<h3>Cost</h3><pre>{escape(chr(10).join(lines))}</pre>"


def formulas(run: BenchRun) -> str:
    """What each figure is."""
    rows = [
        (f"<b>{escape(one.title)}</b>", escape(one.name), escape(shown_unit(one.unit)),
         escape(one.formula), escape(f"{one.better} is better"))
        for one in run.metrics
    ]  # fmt: skip
    if not rows:
        return ""
    heads = ("metric", "name", "unit", "formula", "")
    return section("formulas", "Formulas", data_table(heads, rows))


def measured(run: BenchRun, title: str = "What was measured") -> str:
    """Profile, scenario, versions, host and generator, each exactly."""
    machine, generator = run.machine, run.generator
    rows: list[tuple[str, str]] = [(name, version) for name, version in run.versions.items()]
    load = f"{_loads(machine.load_before)} before, {_loads(machine.load_after)} after"
    busiest = "" if generator.busiest is None else f"{generator.busiest:.0%} of a core"
    late = (
        ""
        if generator.late_p99 is None
        else f", timer late by {short(generator.late_p99 * 1e3, 3)} ms"
    )
    rows += [
        ("host", f"{machine.name}, {machine.system}"),
        ("processor", f"{machine.cpu}, {machine.cores:g} cores, {machine.memory / GIB:.0f} GiB"),
        ("GPUs", ", ".join(machine.gpus) or "none"),
        ("load average", load),
        ("generator", f"{generator.name} {generator.version}: {busiest}{late} (p99)"),
        ("server", "on the same host" if machine.is_local else "on another host"),
        ("scenario", f"{run.scenario.title}, {run.scenario.path}, digest {run.scenario.digest}"),
    ]
    rows += [("file", path) for path in run.files]
    body = facts_table(rows)
    body += _document("Scenario", run.scenario.document) + _document("Profile", run.profile)
    return section("measured", title, body)


def _loads(values: Iterable[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def _document(title: str, values: Mapping[str, JsonValue]) -> str:
    if not values:
        return ""
    text = json.dumps(values, ensure_ascii=False, indent=1)
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>"


def section(name: str, title: str, body: str, count: int | None = None) -> str:
    """A part of the page with its heading."""
    number_of = "" if count is None else f' <span class="count">{count}</span>'
    return f'<section id="{name}"><h2>{escape(title)}{number_of}</h2>{body}</section>'
