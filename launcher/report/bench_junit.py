"""A benchmark as JUnit XML: a missed gate is a failure, a refused verdict an error."""

from __future__ import annotations

from launcher.bench.result import BenchComparison, BenchRun, ComparedFigure, Gate
from launcher.report.junit import Case, Suite, document
from launcher.result import Result


def render(result: Result[BenchRun | BenchComparison]) -> str:
    """The XML document: a case for each gate, or for each figure of a comparison."""
    data = result.payload
    if isinstance(data, BenchComparison):
        cases = [_figure(one) for one in data.figures]
        suite = Suite(data.b.target, data.started, data.seconds, "bench compare", cases)
    else:
        cases = [_gate(one) for one in data.gates] or [
            Case("measured", data.seconds, text=f"{len(data.levels)} levels, no gates")
        ]
        suite = Suite(data.target, data.started, data.seconds, "bench", cases)
    return document([suite])


def _gate(gate: Gate) -> Case:
    name = f"{gate.kind} {gate.name} at {gate.level}"
    outcome = {"met": "", "missed": "failure", "refused": "error"}[gate.verdict]
    message = gate.reason if outcome else ""
    return Case(name, 0.0, outcome, f"{gate.kind}-{gate.verdict}", message, gate.reason)


def _figure(one: ComparedFigure) -> Case:
    name = f"{one.metric} at {one.level}"
    outcome = {"worse": "failure", "refused": "error"}.get(one.verdict, "")
    message = one.reason if outcome else ""
    return Case(name, 0.0, outcome, one.verdict, message, one.reason or one.verdict)
