"""One check in an HTML report: its line, what was wrong, and each request with its answer."""

from __future__ import annotations

import json
from collections.abc import Mapping

from launcher.json_values import JsonValue
from launcher.probe.bounded_json import loads
from launcher.report.curl import HIDDEN, KEY_VARIABLE, curl
from launcher.report.escape import html as escape
from launcher.report.page import Anchors, attribute, mark
from launcher.report.verdict import verdict_of
from launcher.smoke.clients.transcript import ExchangeRecord
from launcher.smoke.run.results import CheckResult

EVENTS_SHOWN = {"pass": 8}
"""Events of a stream that are shown for a verdict, else `EVENTS`; the JSON result has more."""
EVENTS = 40
PASSED_TEXT = 1_000
"""Characters of a text that are shown where the check passed."""


def render_check(
    one: CheckResult,
    anchor: str,
    anchors: Anchors,
    *,
    is_open: bool = False,
    is_item: bool = True,
) -> str:
    """The check as an element that opens.

    `anchor` is its name in the page; `is_item` lets the page's filters hide it.
    """
    rate = one.rate
    runs = f"{rate.passes}/{rate.runs} " if rate.runs > 1 else ""
    exchanges = "".join(_exchange(e, anchors, verdict_of(one)) for e in one.evidence)
    tags = attribute(one.check.tags)
    return (
        f'<details class="check" id="{anchor}"{" data-item" if is_item else ""} '
        f'data-verdicts="{verdict_of(one)}" '
        f'data-client="{attribute([one.client])}" data-tag="{tags}"'
        f"{' open' if is_open else ''}>"
        f"<summary><span>{mark(verdict_of(one))}</span>"
        f'<span class="name"><b>{escape(one.name)}</b> '
        f'<span class="dim">{escape(one.client)}</span></span>'
        f'<span class="message">{escape(runs + one.message)}</span>'
        f'<span class="time">{one.seconds:.2f} s'
        f'<a class="anchor" href="#{anchor}" title="Link to this check">#</a></span></summary>'
        f'<div class="inside"><p class="dim">{escape(one.check.purpose)} &middot; '
        f"{escape(one.check.kind)} &middot; needs "
        f"{escape(', '.join(one.check.requires) or 'nothing')}</p>"
        f"{_findings(one)}{_measures(one)}{exchanges}</div></details>"
    )


def _findings(one: CheckResult) -> str:
    rows = "".join(
        f"<tr><th>expected</th><td>{escape(f.expected)}</td></tr>"
        f"<tr><th>got</th><td>{escape(f.actual)} "
        f'<span class="dim">[{escape(f.code)}]</span></td></tr>'
        for f in one.findings
    )
    deviations = "".join(
        f'<p class="known">Known deviation {escape(d.id)} ({escape(d.releases)}): '
        f'{escape(d.title)}. <span class="dim">{escape(d.source)}</span></p>'
        for d in one.deviations
    )
    return (f"<table>{rows}</table>" if rows else "") + deviations


def _measures(one: CheckResult) -> str:
    rows = "".join(
        f"<tr><th>{escape(k.replace('_', ' '))}</th><td>{v:g}</td></tr>"
        for k, v in one.measures.items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _exchange(exchange: ExchangeRecord, anchors: Anchors, verdict: str) -> str:
    status = exchange.status if exchange.status is not None else exchange.error
    seconds = "" if exchange.seconds is None else f" in {exchange.seconds:.3f} s"
    events = _events(exchange, EVENTS_SHOWN.get(verdict, EVENTS))
    texts = [_pretty(exchange.request)]
    texts.append(_pretty(exchange.response or events or exchange.error or ""))
    if verdict == "pass":
        texts = [
            text
            if len(text) <= PASSED_TEXT
            else f"{text[:PASSED_TEXT]}\n... ({len(text) - PASSED_TEXT} more characters)"
            for text in texts
        ]
    request, answer = texts
    return (
        '<details class="exchange"><summary>'
        f"<code>{escape(exchange.method)} {escape(exchange.url)}</code> &rarr; "
        f'<b>{escape(str(status))}</b><span class="dim">{seconds}</span></summary>'
        f'<div class="inside">{_repeat(exchange, anchors)}'
        '<div class="label">Request</div>'
        f"<pre>{escape(_request_text(exchange.headers, request))}</pre>"
        '<div class="label">Answer</div>'
        f"<pre>{escape(_request_text(exchange.response_headers, answer))}</pre></div></details>"
    )


def _repeat(exchange: ExchangeRecord, anchors: Anchors) -> str:
    line = curl(exchange)
    if line is None:
        return '<p class="dim">The transcript does not hold the whole request to repeat it.</p>'
    notes = []
    if f"${KEY_VARIABLE}" in line:
        notes.append(f"set {KEY_VARIABLE} first")
    if HIDDEN in line:
        notes.append(f"replace {HIDDEN} with the secret that was removed")
    note = f" ({'; '.join(notes)})" if notes else ""
    name = anchors.new("curl", str(exchange.number))
    return (
        f'<div class="label"><span>Repeat{escape(note)}</span>'
        f'<button type="button" class="copy" data-copy="{name}" hidden>Copy</button></div>'
        f'<pre id="{name}" tabindex="0">{escape(line)}</pre>'
    )


def _events(exchange: ExchangeRecord, limit: int) -> str:
    events = exchange.events
    lines = [f"{e.at:8.3f} s  {e.data}" for e in events[:limit]]
    more = exchange.events_total - len(lines)
    return "\n".join([*lines, f"... and {more} more events"] if more > 0 else lines)


def _request_text(headers: Mapping[str, str], body: str) -> str:
    head = "\n".join(f"{k}: {v}" for k, v in headers.items())
    return f"{head}\n\n{body}".strip("\n")


def _pretty(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        try:
            value = loads(value, strict=False)
        except (ValueError, RecursionError):
            return str(value)
    try:
        text: str = json.dumps(value, ensure_ascii=False, indent=1)
    except RecursionError:
        return str(value)
    return text
