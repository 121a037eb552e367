"""A smoke run for a terminal: one line a check, failures with what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.report.causes import group_by_cause
from launcher.report.verdict import LABELS, verdict_of
from launcher.result import Result
from launcher.smoke.outcome import KNOWN_DEVIATION
from launcher.smoke.run.results import CheckList, CheckResult, SmokeRun, Stopped

FINDINGS = 3
"""Findings of one check that are shown; a check under load can have one a request."""
SAME_CAUSE = 3
"""From so many checks on, a cause is told once and the other checks name the first."""


def smoke(result: Result[SmokeRun | CheckList]) -> str:
    """The whole run, or the list of what there is to run."""
    data = result.payload
    if isinstance(data, CheckList):
        return listing(data)
    target, what = data.target, data.target.engine_text
    lines = [f"{target.name}: {target.model} at {target.url}" + (f" ({what})" if what else "")]
    lines += [f"  note: {note}" for note in target.notes]
    several = len({c.client for c in data.checks} - {"http"}) > 1
    width = max((len(_name(c, several)) for c in data.checks), default=0)
    if data.unreachable:
        lines.append(f"  ----  {data.unreachable} ({len(data.checks)} checks)")
    first = _first_of_cause(data.checks, several)
    for one in () if data.unreachable else data.checks:
        lines += check_lines(one, width, several, same_as=first.get(id(one)))
    for difference in data.differences:
        verdicts = ", ".join(f"{c}: {v}" for c, v in difference.verdicts.items())
        suffix = " (a known deviation)" if difference.is_known else ""
        lines.append(f"  clients differ in {difference.check}: {verdicts}{suffix}")
    if ended := ended_early(data.stopped):
        lines.append(f"  {ended}")
    lines.append(summary(data))
    return "\n".join(lines)


def ended_early(stopped: Stopped | None) -> str | None:
    """Why a run, or a target's run in a comparison, ended before its last check; None if not."""
    return f"the run ended early: {stopped.message}" if stopped else None


def listing(data: CheckList) -> str:
    """Every check on a line, and below it its tags and what a server has to promise for it."""
    width = max((len(c.name) for c in data.checks), default=0)
    lines = ["checks:"]
    for one in data.checks:
        tags = ", ".join(t for t in one.tags if t != "full") or "full only"
        needs = ", ".join(one.requires) or "nothing"
        lines.append(f"  {one.name:<{width}}  {one.purpose}")
        lines.append(f"  {'':<{width}}  tags: {tags}; needs: {needs}")
    lines += ["", "tags:"]
    width = max(map(len, data.tags))
    lines += [f"  {tag:<{width}}  {meaning}".rstrip() for tag, meaning in data.tags.items()]
    return "\n".join(lines)


def _first_of_cause(checks: Sequence[CheckResult], several: bool) -> dict[int, str]:
    """By the identity of a check that failed for a cause that is shown already: where it is."""
    return {
        id(one): _name(cause.checks[0], several)
        for cause in group_by_cause(checks)
        if cause.verdict in ("fail", KNOWN_DEVIATION) and len(cause.checks) >= SAME_CAUSE
        for one in cause.checks[1:]
        if len(one.findings) == 1
    }


def check_lines(
    one: CheckResult, width: int, several: bool = False, same_as: str | None = None
) -> list[str]:
    """One check: its line, and below it what was wrong.

    `same_as` names the check that failed before for the same cause: it is not told again.
    """
    mark = LABELS[verdict_of(one)].mark
    head = f"  {mark:<5} {_name(one, several):<{width}}  {one.seconds:6.2f} s  "
    if one.verdict != "fail":
        return [head + _rate(one) + one.message]
    if same_as:
        return [f"{head}{_rate(one)}same cause as {same_as}"]
    lines = [head + _rate(one) + one.check.purpose]
    for finding in one.findings[:FINDINGS]:
        lines.append(f"        expected {finding.expected}")
        lines.append(f"        got      {finding.actual}  [{finding.code}]")
    if len(one.findings) > FINDINGS:
        lines.append(f"        and {len(one.findings) - FINDINGS} more (see --json or --html)")
    if not one.findings:
        lines.append(f"        {one.message}")
    for deviation in one.deviations:
        lines.append(f"        known deviation {deviation.id}: {deviation.title}")
        lines.append(f"        ({deviation.source})")
    return lines


def summary(data: SmokeRun) -> str:
    """The counts on one line."""
    counts = data.counts
    failed = counts["fail"] - counts["known deviation"]
    parts = [f"{counts['pass']} passed"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{counts['known deviation']} known deviations"] if counts["known deviation"] else []
    parts += [f"{counts['inconclusive']} inconclusive"] if counts["inconclusive"] else []
    parts += (
        [f"{counts['could not check']} could not be checked"] if counts["could not check"] else []
    )
    return f"{data.verdict.upper()}: {', '.join(parts)} in {data.seconds:.1f} s"


def _name(one: CheckResult, several: bool) -> str:
    return f"{one.name} ({one.client})" if several else one.name


def _rate(one: CheckResult) -> str:
    rate = one.rate
    return f"[{rate.passes}/{rate.runs}] " if rate.runs > 1 else ""
