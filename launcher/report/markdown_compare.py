"""A comparison as GitHub-flavoured Markdown: regressions, differences, then everything."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.report.causes import group_by_cause
from launcher.report.compare_text import NUMBERS, cost_lines, format_number
from launcher.report.escape import markdown as cell
from launcher.report.escape import markdown_block as block
from launcher.report.escape import markdown_code as code
from launcher.report.markdown import table_head, table_row
from launcher.report.smoke_text import ended_early
from launcher.report.verdict import LABELS, letters
from launcher.result import Result
from launcher.smoke.comparison.payloads import Comparison, TargetColumn


def render(result: Result[Comparison]) -> str:
    """The Markdown document."""
    data = result.payload
    columns = data.targets
    names = letters(len(columns))
    lines = [f"# Compare: {len(columns)} targets", "", f"{data.started}", ""]
    for name, column in zip(names, columns, strict=True):
        target = column.target
        engine = target.engine_text or "unknown engine"
        problem, ended = column.problem, ended_early(column.stopped)
        lines.append(
            f"- **{name}**: {cell(column.name)}, {code(target.model)} ({cell(engine)})"
            + (f": could not be checked: {cell(problem)}" if problem else "")
            + (f": {cell(ended)}" if ended and not problem else "")
        )
    if data.regressions:
        lines += ["", f"## Worse than {cell(data.baseline or '')}", ""]
        lines += table_head("target", "what", "was", "is")
        lines += [table_row(r.target, r.metric, r.before, r.after) for r in data.regressions]
    elif data.baseline:
        lines += ["", f"No worse than {cell(data.baseline)}."]
    for title, is_same in (("Differences", False), ("The same everywhere", True)):
        rows = [row for row in data.checks if row.equal is is_same]
        if rows:
            lines += ["", f"## {title}", "", *table_head("check", *names)]
            lines += [table_row(row.check, *map(_label, row.outcomes)) for row in rows]
    lines += _messages(names, columns)
    lines += ["", "## Speed and tool calls", "", *table_head("figure", *names)]
    lines += [table_row(n.name, *(format_number(n, n.value(c)) for c in columns)) for n in NUMBERS]
    costs = cost_lines(names, columns)
    if costs:
        lines += ["", "## Cost", "", *block("\n".join(costs))]
    return "\n".join(lines) + "\n"


def _label(verdict: str) -> str:
    return LABELS[verdict].label if verdict in LABELS else verdict


def _messages(names: Sequence[str], columns: Sequence[TargetColumn]) -> list[str]:
    """The causes of what did not pass, each once for a target, with the checks that it hit."""
    lines = [
        f"- {name}, {LABELS[cause.verdict].label}: {cell(cause.text)} "
        f"({cell(', '.join(one.name for one in cause.checks))})"
        for name, column in zip(names, columns, strict=True)
        if not column.problem
        for cause in group_by_cause(column.checks)
    ]
    return ["", "## What did not pass", "", *lines] if lines else []
