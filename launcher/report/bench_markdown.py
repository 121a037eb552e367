"""A benchmark as Markdown: a table for a pull request or a ticket."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.bench.result import BenchComparison, BenchRun
from launcher.report.bench_rows import HEADINGS, compared, rows
from launcher.report.escape import markdown as escape
from launcher.result import Result

SIGNS = {"met": "met", "missed": "**missed**", "refused": "refused"}


def render(result: Result[BenchRun | BenchComparison]) -> str:
    """The document."""
    data = result.payload
    lines = _compared(data) if isinstance(data, BenchComparison) else _run(data)
    return "\n".join(lines) + "\n"


def _run(run: BenchRun) -> list[str]:
    lines = [
        f"## {escape(run.target.name)}: {escape(run.scenario.title)}",
        "",
        *_table([HEADINGS, *rows(run)]),
        "",
        "Latencies are p50 / p90 / p99 in ms; ± is half of the 95 % interval over repetitions.",
        f"{escape(run.generator.name)} {escape(run.generator.version)},"
        f" {escape(run.target.engine_text or 'unknown engine')}, {escape(run.machine.cpu)},"
        f" load {run.machine.load_before[0]:.1f} to {run.machine.load_after[0]:.1f}.",
    ]
    if run.generator.problem is not None:
        lines += ["", f"**Not to be believed**: {escape(run.generator.problem)}."]
    if run.gates:
        lines += ["", "| gate | level | verdict | reason |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {escape(gate.kind)} {escape(gate.name)} | {escape(gate.level)}"
            f" | {SIGNS[gate.verdict]} | {escape(gate.reason)} |"
            for gate in run.gates
        ]
    return lines


def _compared(data: BenchComparison) -> list[str]:
    every: list[tuple[str, ...]] = [("level", "figure", "A", "B", "change", "verdict")]
    for one in data.figures:
        every.append((*compared(one), one.verdict))
    return [
        f"## A {escape(data.a.target.name)}, B {escape(data.b.target.name)}",
        "",
        *_table(every),
        "",
        f"Test: {escape(data.test)}.",
    ]


def _table(every: Sequence[Sequence[str]]) -> list[str]:
    head, *body = every
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(map(escape, row))} |" for row in body]
