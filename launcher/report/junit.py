"""A smoke run or a comparison as JUnit XML, the form CI systems read.

fail = failure, inconclusive = error, could not check = skipped; a known deviation is skipped with
its name, because CI would otherwise be red for what the release cannot do. One suite per target.

The document is valid against the schema of Ant's JUnit task, the strictest of those in use (its
order of elements, one outcome per case, a time without a zone, a host and a package for every
suite), and holds what Jenkins and GitLab read beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from launcher.codec import encode
from launcher.report.escape import xml_attribute as _attr
from launcher.report.escape import xml_text as _text
from launcher.report.smoke_text import ended_early
from launcher.report.verdict import verdict_of
from launcher.result import Result
from launcher.smoke.comparison.payloads import Comparison
from launcher.smoke.outcome import KNOWN_DEVIATION
from launcher.smoke.run.results import CheckResult, Difference, SmokeRun, Stopped
from launcher.smoke.target import TargetFacts

EVIDENCE = 4
TEXT_LIMIT = 600
"""Characters of a request or an answer; the HTML report has more."""


@dataclass(frozen=True)
class Case:
    """One test case; `outcome` is `failure`, `error`, `skipped` or empty where it passed."""

    name: str
    seconds: float = 0.0
    outcome: str = ""
    kind: str = ""
    message: str = ""
    text: str = ""


def render(result: Result[SmokeRun | Comparison]) -> str:
    """The XML document."""
    data = result.payload
    return document(_compared(data) if isinstance(data, Comparison) else [_smoke(data)])


def document(suites: Iterable[Suite]) -> str:
    """The XML of these suites."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    for number, suite in enumerate(suites):
        lines += _xml(number, suite)
    return "\n".join([*lines, "</testsuites>"]) + "\n"


@dataclass(frozen=True)
class Suite:
    """The cases of one target; `prefix` is the command."""

    target: TargetFacts
    started: str
    seconds: float
    prefix: str
    cases: list[Case]


def _smoke(data: SmokeRun) -> Suite:
    return Suite(data.target, data.started, data.seconds, "smoke", smoke_cases(data))


def smoke_cases(data: SmokeRun) -> list[Case]:
    """The cases of a smoke run: its checks, where its clients differ, and an early end."""
    cases = [_case(one) for one in data.checks]
    return [*cases, *map(_difference, data.differences), *_ended_early(data.stopped)]


def _ended_early(stopped: Stopped | None) -> list[Case]:
    """A case of its own: CI does not show a check that was left out, because it is skipped."""
    ended = ended_early(stopped)
    if ended is None or stopped is None:
        return []
    return [Case("all checks carried out", 0.0, "error", stopped.code, ended, ended)]


def _compared(data: Comparison) -> list[Suite]:
    """A suite per target; what is worse than the baseline fails in its target's."""
    suites: list[Suite] = []
    regressions: dict[str, list[Case]] = {}
    for one in data.regressions:
        message = f"{one.metric} was {one.before} in {data.baseline}, is {one.after}"
        name = f"no worse than the baseline: {one.metric}"
        case = Case(name, 0.0, "failure", "regression", message, message)
        regressions.setdefault(one.target, []).append(case)
    for column in data.targets:
        by_name = {one.name: one for one in column.checks}
        cases = [
            _case(by_name[name])
            if name in by_name
            else Case(f"{name} [requests]", text=column.messages[name])
            for name in column.verdicts
        ]
        if column.problem:
            cases.append(
                Case("reachable", 0.0, "error", "not-checked", column.problem, column.problem)
            )
        cases += _ended_early(column.stopped)
        cases += regressions.pop(column.name, [])
        suite = Suite(column.target, column.started, column.seconds, "compare", cases)
        suites.append(suite)
    for name, cases in regressions.items():
        suites.append(Suite(TargetFacts(name), data.started, 0.0, "compare", cases))
    return suites


def _xml(number: int, suite: Suite) -> Iterable[str]:
    target, prefix, cases = suite.target, suite.prefix, suite.cases
    outcomes = [case.outcome for case in cases]
    classname = _attr(f"{prefix}.{target.name}")
    yield (
        f'<testsuite id="{number}" package={_attr("ernie-deploy." + prefix)} '
        f"name={_attr(prefix + ' ' + target.name)} "
        f'timestamp="{suite.started[:19]}" hostname={_attr(os.uname().nodename or "localhost")} '
        f'tests="{len(cases)}" failures="{outcomes.count("failure")}" '
        f'errors="{outcomes.count("error")}" skipped="{outcomes.count("skipped")}" '
        f'time="{suite.seconds:.3f}">'
    )
    yield "<properties>"
    facts = (
        ("url", target.url or None), ("model", target.model or None), ("engine", target.engine),
        ("release", target.release),
    )  # fmt: skip
    for key, value in facts:
        if value is not None:
            yield f"<property name={_attr(key)} value={_attr(value)}/>"
    yield "</properties>"
    for case in cases:
        yield (
            f'<testcase classname={classname} name={_attr(case.name)} time="{case.seconds:.3f}">'
        )
        if case.outcome == "skipped":
            yield f"<skipped message={_attr(case.message)}/>"
        elif case.outcome:
            yield (
                f"<{case.outcome} type={_attr(case.kind)} message={_attr(case.message)}>"
                f"{_text(case.text)}</{case.outcome}>"
            )
        yield "</testcase>"
    passed = [f"{case.name}: {case.text}" for case in cases if not case.outcome]
    yield f"<system-out>{_text(chr(10).join(passed))}</system-out>"
    yield "<system-err></system-err>"
    yield "</testsuite>"


def _case(one: CheckResult) -> Case:
    name = f"{one.name} [{one.client}]"
    seconds, message = one.seconds, one.message
    verdict = verdict_of(one)
    if verdict == KNOWN_DEVIATION:
        deviations = "; ".join(f"{d.id}: {d.title} ({d.source})" for d in one.deviations)
        return Case(name, seconds, "skipped", message=f"known deviation {deviations}")
    if verdict == "could not check":
        return Case(name, seconds, "skipped", message=message)
    if verdict == "fail":
        kind = one.findings[0].code if one.findings else "fail"
        return Case(name, seconds, "failure", kind, message, _evidence(one))
    if verdict == "inconclusive":
        return Case(name, seconds, "error", "inconclusive", message, _evidence(one))
    return Case(name, seconds, text=message)


def _difference(one: Difference) -> Case:
    """What the clients see differently fails a run, so a CI has to see it, too."""
    verdicts = ", ".join(f"{client}: {verdict}" for client, verdict in one.verdicts.items())
    name = f"clients agree: {one.check}"
    if one.is_known:
        return Case(name, 0.0, "skipped", message=f"known deviation, {verdicts}")
    return Case(name, 0.0, "failure", "clients-differ", f"the clients differ: {verdicts}", verdicts)


def _evidence(one: CheckResult) -> str:
    lines = [one.check.purpose]
    lines += [f"expected {f.expected}\ngot      {f.actual} [{f.code}]" for f in one.findings]
    for exchange in one.evidence[-EVIDENCE:]:
        status, answer = exchange.status, exchange.response or encode(exchange.events)
        came = f"no answer: {exchange.error}" if status is None else f"HTTP {status}"
        lines.append(f"{exchange.method} {exchange.url} -> {came}")
        if exchange.request is not None:
            lines.append(f"  request  {str(exchange.request)[:TEXT_LIMIT]}")
        if answer:
            lines.append(f"  response {str(answer)[:TEXT_LIMIT]}")
    return "\n".join(lines)
