"""A smoke run as GitHub-flavoured Markdown, for a pull request or a job's summary.

The causes first, each once with the checks that it hit; then a table of all checks, failures
first. A known deviation is called one, in the table and in headings.
"""

from __future__ import annotations

from collections.abc import Sequence

from launcher.report.causes import Cause, group_by_cause
from launcher.report.escape import markdown as cell
from launcher.report.escape import markdown_code as code
from launcher.report.smoke_text import ended_early, summary
from launcher.report.verdict import LABELS, failures_first, verdict_of
from launcher.result import Result
from launcher.smoke.run.results import CheckResult, SmokeRun


def render(result: Result[SmokeRun]) -> str:
    """The Markdown document."""
    data = result.payload
    target = data.target
    engine = target.engine_text or "unknown engine"
    checks = failures_first(data.checks)
    causes = group_by_cause(checks)
    ended = ended_early(data.stopped)
    lines = [
        f"# Smoke: {cell(target.name)}",
        "",
        f"{code(target.model)} at {cell(target.url)} ({cell(engine)}), {data.started}",
        "",
        f"**{cell(summary(data))}**",
        "",
        *(f"- {cell(note)}" for note in target.notes),
        *([f"- {cell(ended)}"] if ended else []),
    ]
    for verdict in LABELS:
        lines += _section(verdict, [c for c in causes if c.verdict == verdict])
    if data.differences:
        lines += ["", "## What the clients see differently", ""]
        for difference in data.differences:
            verdicts = ", ".join(f"{c}: {v}" for c, v in difference.verdicts.items())
            suffix = " (known deviation)" if difference.is_known else ""
            lines.append(f"- {cell(difference.check)}: {cell(verdicts)}{suffix}")
    lines += ["", "## Checks", "", *table_head("verdict", "check", "client", "time", "result")]
    for one in checks:
        lines.append(
            table_row(
                LABELS[verdict_of(one)].label,
                one.name,
                one.client,
                f"{one.seconds:.2f} s",
                one.message,
            )
        )
    return "\n".join(lines) + "\n"


def table_head(*names: str) -> list[str]:
    """The first two lines of a table."""
    return [table_row(*names), f"| {' | '.join('---' for _ in names)} |"]


def table_row(*values: object) -> str:
    """One line of a table, every value escaped."""
    return f"| {' | '.join(cell(str(value)) for value in values)} |"


def _section(verdict: str, causes: Sequence[Cause]) -> list[str]:
    if not causes:
        return []
    lines = ["", f"## {LABELS[verdict].title}"]
    for cause in causes:
        several = f" ({len(cause.checks)} checks)" if cause.checks[1:] else ""
        lines += ["", f"**{cell(cause.text)}**{several}", ""]
        lines += [f"- {line}" for one in cause.checks for line in _check(one)]
    return lines


def _check(one: CheckResult) -> list[str]:
    """A check under its cause; the first line names it, the others say what else was wrong."""
    head = f"{cell(one.name)} ({cell(one.client)}): {cell(one.check.purpose)}"
    rest = one.findings if one.deviations else one.findings[1:]
    lines = [f"expected {cell(f.expected)}, got {cell(f.actual)} ({code(f.code)})" for f in rest]
    lines += [f"{code(d.id)} ({cell(d.releases)}): {cell(d.source)}" for d in one.deviations]
    return [head, *lines]
