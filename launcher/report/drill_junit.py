"""A drill as JUnit XML: a missed bar is a failure, what is not applicable is skipped."""

from __future__ import annotations

from launcher.drill.payloads import DrillRun, ScenarioList, ScenarioResult
from launcher.report.drill_text import bars
from launcher.report.junit import Case, Suite, document
from launcher.result import Result
from launcher.smoke.target import TargetFacts


def render(result: Result[DrillRun | ScenarioList]) -> str:
    """The XML document: one suite, a case for each scenario in each round."""
    data = result.payload
    if isinstance(data, ScenarioList):
        return document(())
    target = TargetFacts(
        data.target.name, url=data.target.base_url, engine=data.target.engine,
        release=data.target.release,
    )  # fmt: skip
    cases = [_case(one, data.rounds) for one in data.scenarios]
    cases += [
        Case("all drills carried out", 0.0, "error", problem.code, problem.message, problem.text())
        for problem in result.errors
        if problem.code != "bar-missed"
    ]
    return document([Suite(target, data.started, data.seconds, "drill", cases)])


def _case(one: ScenarioResult, rounds: int) -> Case:
    name = one.scenario if rounds == 1 else f"{one.scenario} [round {one.round}]"
    if one.verdict == "not applicable":
        return Case(name, one.seconds, "skipped", message=one.message)
    measured = one.measured
    text = (
        f"detection {measured.detection} s by {measured.event or 'nothing'}, restart"
        f" {measured.restart} s, longest request {measured.requests.longest:g} s;"
        f" bars: {bars(one.bar)}"
    )
    text += f"; {one.note}" if one.note else ""
    if one.misses:
        message = "; ".join(miss.message for miss in one.misses)
        return Case(name, one.seconds, "failure", one.misses[0].name, message, text)
    return Case(name, one.seconds, text=text)
