"""The smoke run of a serving card: its causes first, then every check with its transcript."""

from __future__ import annotations

from launcher.card.payloads import ServingCard
from launcher.report.bench_parts import section
from launcher.report.escape import html as escape
from launcher.report.html_check import render_check
from launcher.report.page import Anchors
from launcher.report.smoke_text import ended_early, summary
from launcher.report.verdict import failures_first


def smoke_section(data: ServingCard) -> str:
    """The section; without a run, how to get one."""
    smoke = data.smoke
    if smoke is None:
        note = f'<p class="dim">{escape(data.smoke_note or "")}</p>'
        return section("smoke", "Smoke tests", note)
    run = smoke.run
    anchors = Anchors()
    notes = [f"{run.started}, {smoke.source}, through {', '.join(run.clients)}"]
    notes += [smoke.outdated] if smoke.outdated else []
    notes += [f"not kept: {smoke.cut}"] if smoke.cut else []
    text = f"<p><b>{escape(summary(run))}</b></p>"
    text += "".join(f'<p class="dim">{escape(note)}</p>' for note in notes)
    if ended := ended_early(run.stopped):
        text += f'<p class="doubt">{escape(ended)}</p>'
    checks = "".join(
        render_check(one, anchors.new("check", one.name, one.client), anchors, is_item=False)
        for one in failures_first(run.checks)
    )
    return section("smoke", "Smoke tests", text + checks, len(run.checks))
