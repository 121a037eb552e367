"""A comparison as one HTML page: targets side by side, differences first, then speed and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from launcher.report.compare_text import NUMBERS, cost_lines, format_number
from launcher.report.escape import html as escape
from launcher.report.html import describe_target
from launcher.report.html_check import render_check
from launcher.report.page import Anchors, attribute, filters, mark, page
from launcher.report.smoke_text import ended_early
from launcher.report.verdict import LABELS, ORDER, letters
from launcher.result import Result
from launcher.smoke.comparison.payloads import ComparedCheck, Comparison, TargetColumn


def render(result: Result[Comparison]) -> str:
    """The whole page."""
    data = result.payload
    columns = data.targets
    names = letters(len(columns))
    anchors = Anchors()
    details, places = _details(names, columns, anchors)
    rows = sorted(data.checks, key=lambda r: (r.equal, min(map(_order, r.outcomes))))
    counts = {
        verdict: sum(verdict in row.outcomes for row in rows) for verdict in (*LABELS, "not run")
    }
    differing = sum(not row.equal for row in rows)
    heads = "".join(f'<th scope="col">{n}</th>' for n in names)
    body = "\n".join(
        (
            _header(data, differing),
            _cards(names, columns),
            _regressions(data),
            f'<h2>Checks <span class="count">{len(rows)}, {differing} differ</span></h2>',
            filters(counts, {"difference": ["differs", "same"]}),
            '<main><section data-section class="scroll"><table class="grid"><thead><tr>'
            f'<th scope="col">check</th>{heads}</tr></thead><tbody>'
            + "".join(_row(row, columns, places) for row in rows)
            + "</tbody></table></section>",
            _numbers(names, columns),
            _costs(names, columns),
            f"{details}</main>",
        )
    )
    return page(f"Compare: {', '.join(c.name for c in columns)}", body)


def _order(verdict: str) -> int:
    return ORDER.get(verdict, len(ORDER))


def _header(data: Comparison, differing: int) -> str:
    regressions = data.regressions
    if regressions:
        style, verdict = "fail", f"WORSE than {data.baseline}; regressions: {len(regressions)}"
    elif any(column.problem for column in data.targets):
        style, verdict = "doubt", "a target could not be checked"
    else:
        style = "doubt" if differing else "pass"
        verdict = f"checks that differ: {differing}" if differing else "no check differs"
        verdict += f"; no worse than {data.baseline}" if data.baseline else ""
    return (
        f'<header class="{style}"><h1>Compare {len(data.targets)} targets</h1>'
        f'<div class="verdict">{escape(verdict)}</div>'
        f'<div class="dim facts">{escape(data.started)} &middot; '
        f"ernie-deploy {escape(data.version)}</div></header>"
    )


def _cards(names: Sequence[str], columns: Sequence[TargetColumn]) -> str:
    items = ""
    for name, column in zip(names, columns, strict=True):
        target = column.target
        problem, ended = column.problem, ended_early(column.stopped)
        items += (
            f"<li><b>{name}</b> {mark(column.verdict)}<br><b>{escape(column.name)}</b><br>"
            f'<span class="dim">{escape(target.model)} at {escape(target.url)}<br>'
            f"{escape(describe_target(target))}</span>"
            + (f'<p class="fail">could not be checked: {escape(problem)}</p>' if problem else "")
            + (f'<p class="doubt">{escape(ended)}</p>' if ended and not problem else "")
            + "</li>"
        )
    return f'<ul class="cards">{items}</ul>'


def _regressions(data: Comparison) -> str:
    if not data.regressions:
        return ""
    rows = "".join(
        f"<tr><td>{escape(r.target)}</td><td><b>{escape(r.metric)}</b></td>"
        f'<td>{escape(r.before)}</td><td class="fail">{escape(r.after)}</td></tr>'
        for r in data.regressions
    )
    return (
        f'<h2>Worse than the baseline <span class="count">{len(data.regressions)}</span></h2>'
        '<div class="scroll"><table><tr><th>target</th><th>what</th><th>was</th><th>is</th></tr>'
        f"{rows}</table></div>"
    )


def _row(
    row: ComparedCheck, columns: Sequence[TargetColumn], places: Mapping[tuple[int, str], str]
) -> str:
    difference = "same" if row.equal else "differs"
    cells = ""
    for number, (column, verdict) in enumerate(zip(columns, row.outcomes, strict=True)):
        anchor = places.get((number, row.check))
        label = f'<a href="#{anchor}">{mark(verdict)}</a>' if anchor else mark(verdict)
        message = "" if verdict == "pass" and row.equal else column.messages.get(row.check)
        message_html = f'<span class="said">{escape(message)}</span>' if message else ""
        cells += f"<td>{label}{message_html}</td>"
    return (
        f'<tr class="{difference}" data-item data-difference="{difference}" '
        f'data-verdicts="{attribute(row.outcomes)}">'
        f'<th scope="row">{escape(row.check)}</th>{cells}</tr>'
    )


def _numbers(names: Sequence[str], columns: Sequence[TargetColumn]) -> str:
    rows = ""
    for number in NUMBERS:
        values = [number.value(column) for column in columns]
        numbers = [v for v in values if v is not None]
        best = number.best(numbers) if number.best and len(set(numbers)) > 1 else None
        cells = "".join(
            f"<td{' class=best' if v is not None and v == best else ''}>"
            f"{escape(format_number(number, v))}</td>"
            for v in values
        )
        rows += f'<tr><th scope="row">{escape(number.name)}</th>{cells}</tr>'
    heads = "".join(f'<th scope="col">{n}</th>' for n in names)
    return (
        '<h2>Speed and tool calls</h2><div class="scroll"><table class="grid">'
        f'<thead><tr><th scope="col"></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _costs(names: Sequence[str], columns: Sequence[TargetColumn]) -> str:
    lines = cost_lines(names, columns)
    if not lines:
        return ""
    return f"<h2>Cost</h2><pre>{escape(chr(10).join(lines))}</pre>"


def _details(
    names: Sequence[str], columns: Sequence[TargetColumn], anchors: Anchors
) -> tuple[str, dict[tuple[int, str], str]]:
    """Every check that did not pass with its requests, and the place of each."""
    places: dict[tuple[int, str], str] = {}
    text = ""
    for number, (name, column) in enumerate(zip(names, columns, strict=True)):
        details = ""
        for one in column.checks:
            anchor = places[number, one.name] = anchors.new(name, one.name)
            details += render_check(one, anchor, anchors, is_item=False)
        if details:
            text += (
                f"<section><h2>{name}: {escape(column.name)} "
                f'<span class="count">what did not pass</span></h2>{details}</section>'
            )
    return text, places
