"""A comparison of two bench runs as one HTML page: what differs first, then both sides."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.bench.comparison import change_text
from launcher.bench.result import BenchComparison, BenchRun, ComparedFigure
from launcher.errors import Problem
from launcher.report import bench_parts as parts
from launcher.report.bench_figures import DISTRIBUTIONS, LATENCIES, curves, throughput, timelines
from launcher.report.bench_units import number, shown_unit
from launcher.report.escape import html as escape
from launcher.report.page import data_table, mark_as, page
from launcher.report.plots.figure import Figure
from launcher.report.plots.plotter import draw
from launcher.result import Result

VERDICTS = {
    "worse": ("fail", "WORSE"),
    "better": ("pass", "BETTER"),
    "refused": ("doubt", "REFUSED"),
    "no difference shown": ("none", "NO DIFFERENCE"),
}
"""Verdict of a figure to its style and label, what needs a reader first."""


def render_noted(result: Result[BenchComparison]) -> tuple[str, Problem | None]:
    """The whole page, and why it has no plots (None: it has them)."""
    data = result.payload
    plots = figures(data)
    drawn, problem = draw(plots)
    text = f"{problem.message}; {problem.remedy}." if problem else None
    body = "\n".join(
        (
            _header(data),
            _cards((("A", data.a), ("B", data.b))),
            "<main>",
            _figures(data.figures),
            parts.plots(plots, drawn, text),
            _side("A", data.a),
            _side("B", data.b),
            parts.formulas(data.a),
            "</main>",
        )
    )
    return page(f"Bench: {_name(data.a)} and {_name(data.b)}", body), problem


def figures(data: BenchComparison) -> list[Figure]:
    """Both sides in one plot each; distributions are those of the highest level of both."""
    sides = (("A", data.a), ("B", data.b))
    both = [
        name
        for name in LATENCIES
        if all(any(name in one.latencies.by_name() for one in run.levels) for _, run in sides)
    ]
    drawn = [throughput(sides, name) for name in both[:2]]
    keys = {one.key for one in data.b.levels}
    common = [one for one in data.a.levels if one.key in keys]
    if common:
        highest = common[-1]
        partner = next(one for one in data.b.levels if one.key == highest.key)
        for name in DISTRIBUTIONS:
            pairs = [
                (f"{letter}, {level.label}", one)
                for letter, level in (("A", highest), ("B", partner))
                if (one := level.latencies.by_name().get(name)) is not None
            ]
            if len(pairs) == 2:
                drawn.append(curves(data.a, name, pairs))
    return [*drawn, *timelines(sides)]


def _name(run: BenchRun) -> str:
    return " ".join(filter(None, (run.target.name, run.target.engine_text)))


def _header(data: BenchComparison) -> str:
    counts = {word: sum(one.verdict == word for one in data.figures) for word in VERDICTS}
    style = next((VERDICTS[word][0] for word, count in counts.items() if count), "none")
    if reason := data.problem or _common_refusal(data.figures):
        style, verdict = "doubt", f"every verdict is refused: {reason}"
    else:
        texts = (f"{word}: {count}" for word, count in counts.items() if count)
        verdict = f"B against A: {', '.join(texts) or 'nothing to compare'}"
    order = "taken in turns" if data.interleaved else "taken one after the other"
    facts = (data.started, f"{data.seconds:.0f} s", f"repetitions {order}", data.test)
    return (
        f'<header class="{style}"><h1>Bench: two runs compared</h1>'
        f'<div class="verdict">{escape(verdict)}</div>'
        f'<div class="dim facts">{" &middot; ".join(map(escape, facts))}</div></header>'
    )


def _common_refusal(every: Sequence[ComparedFigure]) -> str | None:
    """The one reason why no figure has a verdict; None where some have, or there are several."""
    reasons = {one.reason if one.verdict == "refused" else "" for one in every}
    return reasons.pop() or None if len(reasons) == 1 else None


def _cards(sides: Sequence[tuple[str, BenchRun]]) -> str:
    items = "".join(
        f"<li><b>{letter}</b> <b>{escape(run.target.name)}</b><br>"
        f'<span class="dim">{escape(run.target.model)} at {escape(run.target.url)}<br>'
        f"{escape(run.target.engine_text or 'unknown engine')}, scenario "
        f"{escape(run.scenario.name)}, {escape(run.started)}</span></li>"
        for letter, run in sides
    )
    return f'<ul class="cards">{items}</ul>'


def _figures(every: Sequence[ComparedFigure]) -> str:
    """What matters comes first: a narrow screen shows no more without being moved."""
    order = list(VERDICTS)
    # A reason of another verdict says again what change and p say; one of all is the page's head.
    common = _common_refusal(every)
    why = not common and any(one.verdict == "refused" for one in every)
    rows = [
        (
            mark_as(*VERDICTS[one.verdict]),
            f"<b>{escape(one.metric)}</b> {escape(one.level)}",
            escape(change_text(one.change)),
            escape(f"{number(one.a, one.unit)} {shown_unit(one.unit)}"),
            escape(f"{number(one.b, one.unit)} {shown_unit(one.unit)}"),
            "" if one.p_value is None else f"{one.p_value:.3g}",
            *([escape(one.reason if one.verdict == "refused" else "")] if why else []),
        )
        for one in sorted(every, key=lambda one: order.index(one.verdict))
    ]
    heads = ("verdict", "figure", "change", "A", "B", "p", *(["why"] if why else []))
    return parts.section("figures", "What differs", data_table(heads, rows), len(rows))


def _side(letter: str, run: BenchRun) -> str:
    inside = parts.levels(run) + parts.details(run) + parts.measured(run)
    for name in ("levels", "details", "measured"):
        inside = inside.replace(f'<section id="{name}">', f'<section id="{letter}-{name}">')
    return (
        f'<details class="side"><summary><b>{letter}</b> {escape(_name(run))}: levels, '
        f"distributions, exact profile, versions and host</summary>"
        f'<div class="inside">{inside}</div></details>'
    )
