"""A smoke run as one HTML page: the causes first, then every check with its transcript.

A cause is shown once with the checks that it hit, checks stand in the order of their verdicts,
each has an address in the page, and each recorded request a command line that repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.report.causes import Cause, group_by_cause
from launcher.report.escape import html as escape
from launcher.report.html_check import render_check
from launcher.report.page import Anchors, filters, mark, page
from launcher.report.smoke_text import ended_early, summary
from launcher.report.verdict import LABELS, count_verdicts, verdict_of
from launcher.result import Result
from launcher.smoke.run.results import Difference, SmokeRun
from launcher.smoke.target import TargetFacts


def render(result: Result[SmokeRun]) -> str:
    """The whole page."""
    data = result.payload
    checks = data.checks
    anchors = Anchors()
    names = {id(one): anchors.new("check", one.name, one.client) for one in checks}
    causes = group_by_cause(checks)
    counts = count_verdicts(checks)
    choices = {
        "client": sorted({one.client for one in checks}),
        "tag": sorted({tag for one in checks for tag in one.check.tags}),
    }
    first = {id(cause.checks[0]) for cause in causes if cause.verdict in ("fail", "inconclusive")}
    sections = "".join(
        f'<section data-section id="{_section(verdict)}"><h2>{escape(LABELS[verdict].title)} '
        f'<span class="count">{number}</span></h2>'
        + "".join(
            render_check(one, names[id(one)], anchors, is_open=id(one) in first)
            for one in checks
            if verdict_of(one) == verdict
        )
        + "</section>"
        for verdict, number in counts.items()
        if number
    )
    body = "\n".join(
        (
            _header(data),
            _counts(counts),
            _causes(causes, names),
            _differences(data.differences),
            filters(counts, {k: v for k, v in choices.items() if len(v) > 1}),
            f"<main>{sections}</main>",
        )
    )
    return page(f"Smoke: {data.target.name}", body)


def describe_target(target: TargetFacts) -> str:
    """The engine and its release, or that they are unknown."""
    return target.engine_text or "unknown engine"


def _header(data: SmokeRun) -> str:
    target = data.target
    style = LABELS[data.verdict].style if data.verdict in LABELS else "none"
    facts = (
        f"{escape(target.model)} at {escape(target.url)}",
        escape(describe_target(target)),
        f"clients: {escape(', '.join(data.clients))}",
        escape(data.started),
        f"ernie-deploy {escape(data.version)}",
    )
    notes = "".join(f'<p class="dim">{escape(note)}</p>' for note in target.notes)
    if ended := ended_early(data.stopped):
        notes += f'<p class="doubt">{escape(ended)}</p>'
    return (
        f'<header class="{style}"><h1>Smoke: {escape(target.name)}</h1>'
        f'<div class="verdict">{escape(summary(data))}</div>'
        f'<div class="dim facts">{" &middot; ".join(facts)}</div>{notes}</header>'
    )


def _counts(counts: Mapping[str, int]) -> str:
    items = "".join(
        f'<li><a href="#{_section(verdict)}"><b class="{LABELS[verdict].style}">{number}</b>'
        f"{escape(LABELS[verdict].title)}</a></li>"
        for verdict, number in counts.items()
        if number
    )
    return f'<ul class="counts">{items}</ul>'


def _causes(causes: Sequence[Cause], names: Mapping[int, str]) -> str:
    cards = "".join(
        f'<div class="cause {LABELS[cause.verdict].style}">{mark(cause.verdict)} '
        f'<span class="text">{escape(cause.text)}</span>'
        + (f' <code class="dim">{escape(cause.code)}</code>' if cause.code else "")
        + (f' <span class="dim">{len(cause.checks)} checks</span>' if cause.checks[1:] else "")
        + f'<ul class="hits">{_hits(cause, names)}</ul></div>'
        for cause in causes
    )
    if not cards:
        return ""
    return f'<h2>Causes <span class="count">{len(causes)}</span></h2>{cards}'


def _hits(cause: Cause, names: Mapping[int, str]) -> str:
    several = len({one.client for one in cause.checks} - {"http"}) > 1
    return "".join(
        f'<li><a href="#{names[id(one)]}">{escape(one.name)}</a>'
        + (f' <span class="dim">{escape(one.client)}</span>' if several else "")
        + "</li>"
        for one in cause.checks
    )


def _differences(differences: Sequence[Difference]) -> str:
    items = "".join(
        f"<li><b>{escape(one.check)}</b>: "
        + ", ".join(f"{escape(c)} {escape(v)}" for c, v in one.verdicts.items())
        + (' <span class="known">(known deviation)</span>' if one.is_known else "")
        + "</li>"
        for one in differences
    )
    return f"<h2>What the clients see differently</h2><ul>{items}</ul>" if items else ""


def _section(verdict: str) -> str:
    return "verdict-" + verdict.replace(" ", "-")
