"""A bench run as one HTML page: the verdict, the plots, the tables with their formulas."""

from __future__ import annotations

from launcher.bench.result import BenchRun
from launcher.errors import Problem
from launcher.report import bench_parts as parts
from launcher.report.bench_figures import figures
from launcher.report.page import page
from launcher.report.plots.plotter import draw
from launcher.result import Result


def render_noted(result: Result[BenchRun]) -> tuple[str, Problem | None]:
    """The whole page, and why it has no plots (None: it has them)."""
    run = result.payload
    plots = figures(run)
    drawn, problem = draw(plots)
    text = f"{problem.message}; {problem.remedy}." if problem else None
    body = "\n".join(
        (
            parts.header(run, f"Bench: {run.target.name}"),
            "<main>",
            parts.gates(run.gates),
            parts.plots(plots, drawn, text),
            parts.levels(run),
            parts.details(run),
            parts.formulas(run),
            parts.measured(run),
            "</main>",
        )
    )
    return page(f"Bench: {run.target.name}", body), problem
