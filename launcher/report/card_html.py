"""The serving card as one HTML page: the summary, then each part with its evidence."""

from __future__ import annotations

from launcher.bench.result import BenchRun
from launcher.card.payloads import Part, ServingCard
from launcher.errors import Problem
from launcher.report import bench_parts, card_parts
from launcher.report.bench_figures import figures
from launcher.report.bench_parts import section
from launcher.report.card_smoke import smoke_section
from launcher.report.card_text import stamp
from launcher.report.escape import html as escape
from launcher.report.page import mark, page
from launcher.report.plots.plotter import draw
from launcher.result import Result


def render_noted(result: Result[ServingCard]) -> tuple[str, Problem | None]:
    """The whole page, and why plots are missing in it (None: none is)."""
    data = result.payload
    bench, problem = _bench(data)
    body = "\n".join(
        (
            _header(data),
            _summary(data),
            "<main>",
            card_parts.instances(data),
            card_parts.service(data),
            card_parts.versions(data),
            card_parts.memory(data),
            card_parts.profile(data),
            card_parts.doctor(data),
            smoke_section(data),
            bench,
            card_parts.incidents(data),
            card_parts.events(data),
            "</main>",
        )
    )
    return page(f"Serving card: {data.name}", body), problem


def _header(data: ServingCard) -> str:
    failed = data.failed
    doubtful = [part for part in data.parts if part.verdict == "inconclusive"]
    style = "fail" if failed else "doubt" if doubtful else "pass"
    verdict = "; ".join(f"{part.title}: {part.message}" for part in failed) or data.parts[0].message
    engine = data.versions.engine
    facts = (
        data.versions.weights.model, f"{engine.name} {engine.release or ''}".strip(),
        data.versions.host.name, stamp(data.made_at),
        f"ernie-deploy {data.versions.tool.version}",
    )  # fmt: skip
    return (
        f'<header class="{style}"><h1>Serving card: {escape(data.name)}</h1>'
        f'<div class="verdict">{escape(verdict)}</div>'
        f'<div class="dim facts">{" &middot; ".join(map(escape, facts))}</div></header>'
    )


def _summary(data: ServingCard) -> str:
    rows = "".join(
        f'<li><span>{mark(part.verdict)}</span><a href="#{_anchor(part)}">{escape(part.title)}</a>'
        f'<span class="text">{escape(part.message)}</span></li>'
        for part in data.parts
    )
    return f'<ul class="summary">{rows}</ul>'


def _anchor(part: Part) -> str:
    return {"state": "instances"}.get(part.name, part.name)


def _bench(data: ServingCard) -> tuple[str, Problem | None]:
    if data.bench is None:
        note = f'<p class="dim">{escape(data.bench_note or "")}</p>'
        return section("bench", "Bench", note), None
    run: BenchRun = data.bench.run
    plots = figures(run)
    drawn, problem = draw(plots)
    text = f"{problem.message}; {problem.remedy}." if problem else None
    notes = [data.bench.source, data.bench.outdated or ""]
    head = f'<p class="dim">{escape("; ".join(filter(None, notes)))}</p>'
    body = "".join(
        (
            head,
            bench_parts.gates(run.gates),
            bench_parts.plots(plots, drawn, text),
            bench_parts.levels(run),
            bench_parts.details(run),
            bench_parts.formulas(run),
            bench_parts.measured(run, "What the bench measured"),
        )
    )
    return section("bench", "Bench", body), problem
